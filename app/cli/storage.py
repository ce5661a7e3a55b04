"""``storage``: how much is stored, and whether disk and database agree about it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.console import console, errors, print_json
from app.core.commands import command
from app.core.config import AppSettings, load_settings
from app.core.database import Sessions, create_engine, create_sessions
from app.exceptions.base import AppException
from app.schemas.storage import StorageReport, StorageResponse
from app.services.media import usage
from app.services.media.reconciliation import reconcile
from app.services.workspace import Workspace
from app.supervision.control import StackError

_Told = Callable[[float], None]


def storage(
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hold every object against its row and its hash now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show what is stored, and what the last sweep found; with --verify, look now. Removes nothing.

    Exit code 1 where something is lost or damaged.
    """
    with errors.status("Looking ...") as status:

        def tell(share: float) -> None:
            status.update(f"Reading all objects ... {share:.0%}")

        try:
            found = asyncio.run(_look(load_settings(), tell if verify else None))
        except (SQLAlchemyError, OSError) as error:
            said = type(getattr(error, "orig", None) or error).__name__
            raise StackError(f"PostgreSQL does not answer ({said}): see {command('doctor')}") from error
        except AppException as error:
            raise StackError(error.message) from error
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found)
    raise typer.Exit(int(found.report is not None and found.report.disagrees))


def summary(report: StorageReport) -> str:
    """What a sweep found, in one line."""
    parts = [
        f"{report.missing.count} missing",
        f"{report.wrong_size.count} of another size",
        f"{report.damaged.count} damaged",
    ]
    if report.kept:
        parts.append("strays were kept, for the database refers to nothing: is it the right one?")
    return ", ".join(parts)


async def _look(settings: AppSettings, tell: _Told | None) -> StorageResponse:
    engine = create_engine(settings.database, pool_size=1, name="holdfast storage")
    sessions = create_sessions(engine)
    try:
        async with sessions() as session:
            found = await usage.overview(session, settings.storage)
        if tell is not None:
            found.report = await _verified(settings, sessions, tell)
        return found
    finally:
        await engine.dispose()


async def _verified(settings: AppSettings, sessions: Sessions, tell: _Told) -> StorageReport:
    @asynccontextmanager
    async def reading() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def progress(share: float, _word: str) -> None:
        tell(share)

    workspace = Workspace.from_settings(settings)
    return await reconcile(workspace, reading, progress=progress, remove=False, verify="", limit=None)


def _print(found: StorageResponse) -> None:
    console.print(f"{found.files} files of {found.bytes:,} bytes, in a {found.kind}")
    for account in found.largest:
        console.print(escape(f"  {account.bytes:>16,}  {account.files:>6}  {account.email}"))
    report = found.report
    if report is None:
        console.print("No sweep has ended yet.")
        return
    when = f"{report.finished_at:%Y-%m-%d %H:%M} UTC"
    console.print(f"{report.objects} objects of {report.bytes:,} bytes at {when}: {summary(report)}")
    for name in ("missing", "wrong_size", "damaged"):
        for key in getattr(report, name).keys:
            console.print(f"  {name}  {key}")
