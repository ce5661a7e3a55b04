"""``create-admin``, and the administrator that the first ``up`` makes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer
from pydantic import SecretStr, TypeAdapter, ValidationError
from rich.markup import escape
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.console import console, errors, print_json
from app.core.commands import command, program
from app.core.config import AppSettings, load_settings
from app.core.database import create_engine, create_sessions, is_unavailable, transaction
from app.exceptions.base import AppException
from app.schemas.accounts import EmailAddress, Name
from app.schemas.passwords import LONGEST, SHORTEST, NewPassword
from app.services.auth import administrators
from app.services.auth.administrators import Made
from app.services.auth.passwords import Passwords
from app.supervision.control import StackError

T = TypeVar("T")

HOW: Final = f"make one with {program('create-admin EMAIL')}"

_NOT_MIGRATED: Final = frozenset({"42P01", "42703"})
"""SQLSTATEs of tables and columns that are not there."""


def create_admin(
    email: Annotated[str | None, typer.Argument(help="FIRST_ADMIN_EMAIL if not given.")] = None,
    *,
    name: Annotated[str, typer.Option(help="How to call it.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read its password from standard input.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Make an administrator, or promote an account; a new one gets a one-time password, shown once.

    So does one whose address was never verified, for a stranger may have registered it. The one-time
    password must be changed at the first login. A promoted account that gets a password loses its sessions
    and API keys.
    """
    settings = load_settings()
    address = _checked(EmailAddress, email or settings.auth.first_admin_email, "is no e-mail address")
    called = _checked(Name, name, "has more than 200 characters, or one that cannot be stored")
    password = _password_from_input() if password_stdin else None
    passwords = Passwords(settings.auth)
    made = within_transaction(
        settings,
        lambda session: administrators.make(
            session, passwords, email=address, name=called, password=password
        ),
    )
    if as_json:
        print_json(as_told(made))
    else:
        print_made(made)


def first_admin(settings: AppSettings) -> Made | None:
    """Make the administrator of a new installation; gives None where there is one.

    Raises:
        StackError: somebody else has its address, or the database does not answer.
    """
    passwords, email = Passwords(settings.auth), settings.auth.first_admin_email
    return within_transaction(
        settings, lambda session: administrators.make_first(session, passwords, email=email)
    )


def first_admin_or_hint(settings: AppSettings) -> Made | None:
    """The same for a stack that is up: a failure is told, and does not end it."""
    try:
        return first_admin(settings)
    except StackError as error:
        errors.print(f"[yellow]No administrator was made:[/] {escape(str(error))}")
        errors.print(f"[bold]fix:[/] {escape(HOW)}")
        return None


def hint_where_nobody_administrates(settings: AppSettings) -> None:
    """Say how an administrator is made where there is none and none is to be made here."""
    try:
        if not has_admin(settings):
            errors.print(f"[yellow]There is no administrator:[/] {escape(HOW)}")
    except StackError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")


def has_admin(settings: AppSettings) -> bool:
    """Whether somebody can administrate.

    Raises:
        StackError: the database does not answer, or is not migrated.
    """
    return within_transaction(settings, administrators.is_there)


def within_transaction(settings: AppSettings, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Do something in one transaction over a connection of its own.

    Raises:
        StackError: it was refused, the database does not answer or is not migrated.
    """
    return asyncio.run(_within_transaction(settings, work))


async def _within_transaction(settings: AppSettings, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    engine = create_engine(settings.database, pool_size=1, name="holdfast-accounts")
    try:
        async with transaction(create_sessions(engine)) as session:
            return await work(session)
    except AppException as error:
        raise StackError(error.message) from error
    except SQLAlchemyError as error:
        raise _told(error) from error
    finally:
        await engine.dispose()


def _told(error: SQLAlchemyError) -> Exception:
    if is_unavailable(error):
        return StackError(
            f"PostgreSQL does not answer: start it with {command('up')}, or correct DATABASE_URL"
        )
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _NOT_MIGRATED:
        return StackError(f"the database is not migrated: run {program('migrate')} first")
    return error


def _checked(kind: Any, text: str, problem: str) -> str:
    try:
        return str(TypeAdapter(kind).validate_python(text))
    except ValidationError as error:
        raise StackError(f"{text!r} {problem}") from error


def _password_from_input() -> str:
    text = sys.stdin.readline().rstrip("\r\n")
    try:
        given: SecretStr = TypeAdapter(NewPassword).validate_python(text)
    except ValidationError as error:
        raise StackError(
            f"the password is not accepted: {SHORTEST} to {LONGEST} characters, and none of the common ones"
        ) from error
    return given.get_secret_value()


def as_told(made: Made | None) -> dict[str, object] | None:
    """An administrator that was made, for scripts."""
    if made is None:
        return None
    return {
        "id": made.user.id,
        "email": made.user.email,
        "promoted": made.promoted,
        "one_time_password": made.one_time_password,
    }


def print_made(made: Made) -> None:
    """Tell of an administrator, and its one-time password for the only time."""
    verb = "is an administrator now" if made.promoted else "is ready"
    console.print(f"Administrator [bold]{escape(made.user.email)}[/] {verb}.")
    if made.one_time_password:
        told = "shown once; to be changed at the first login"
        console.print(f"One-time password: [bold]{made.one_time_password}[/]  ({told})")
