"""What somebody set."""

import difflib
from collections.abc import Iterator
from typing import Final

from app.cli.doctor.finding import Finding
from app.core.config import (
    PROJECT_ROOT,
    AppSettings,
    ConfigurationError,
    given_values,
    known_names,
    load_settings,
)
from app.supervision.state import SECRET_KEY, State

_ADDRESSES: Final = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}


def configured() -> tuple[list[Finding], AppSettings | None]:
    """What is set and at fault, and the settings where nothing is."""
    given = given_values()
    findings = list(_misspelt(given))
    embedded = State.chosen(given).embedded_servers(given)
    later = {SECRET_KEY, *(_ADDRESSES[name] for name in embedded)}
    try:
        settings = load_settings()
    except ConfigurationError as error:
        # The first start makes a secret, and addresses of embedded servers; before it they may be absent.
        real = [fault for fault in error.faults if fault.problem != "is missing" or fault.name not in later]
        findings += [Finding(fault.name, fault.problem, f"set it to {fault.expected}") for fault in real]
        return findings, None
    return [*findings, Finding("configuration", f"{settings.app_env.value}, no fault")], settings


def _misspelt(given: dict[str, str]) -> Iterator[Finding]:
    known = known_names()
    ours = [name for name in given if name.startswith("BACKEND_")]
    dotenv = PROJECT_ROOT / ".env"
    if dotenv.exists():
        lines = dotenv.read_text("utf-8", "replace").splitlines()
        ours += [line.partition("=")[0].strip() for line in lines if "=" in line and not line.startswith("#")]
    for name in dict.fromkeys(ours):
        if name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it, or see .env.example for the names"
            yield Finding(name, "is not a setting of this system", hint)


def reminders(settings: AppSettings) -> Iterator[Finding]:
    """What is as somebody chose, and may be forgotten."""
    if settings.email.smtp_host is None and not settings.app_env.is_lenient:
        refused = "registration and password reset are refused"
        yield Finding("mail", f"SMTP_HOST is not set: in {settings.app_env.value} {refused}")
    if settings.auth.secret_key_previous is not None:
        days = settings.auth.session_days
        yield Finding("SECRET_KEY_PREVIOUS", f"is accepted still: remove it {days} days after the change")


def frontend(settings: AppSettings) -> Iterator[Finding]:
    """What is served to browsers, where anything is."""
    # A folder that cannot be served is a fault of the configuration.
    if settings.enable_static_files:
        yield Finding("front end", f"{settings.frontend_dir} is served")
