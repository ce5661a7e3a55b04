"""``up``, ``down``, ``status``, ``restart``, ``logs`` and ``api``."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.accounts import (
    as_told,
    first_admin_or_hint,
    hint_where_nobody_administrates,
    print_made,
)
from app.cli.console import console, errors, print_json, readable
from app.cli.startup import Plan, start_and_wait
from app.cli.welcome import print_welcome
from app.core.commands import command
from app.core.config import AppSettings, given_values
from app.supervision import control
from app.supervision.control import StackError
from app.supervision.orphans import end_orphans
from app.supervision.state import State

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def current_state() -> State:
    """The state folder that the environment and ``.env`` choose."""
    return State.chosen(given_values())


def up(
    *,
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Stay, and show the logs.")] = False,
    as_json: Json = False,
) -> None:
    """Start the stack, wait until it is ready, and say where it is.

    With --foreground it stays and shows the logs in readable form; with --json as well, this process becomes
    supervisord and writes the logs as JSON lines, as a container wants it.
    """
    plan = Plan.make()
    if foreground:
        _stay(plan, as_json=as_json)
        return
    seconds = start_and_wait(plan)
    first = first_admin_or_hint(plan.settings) if plan.serves else None
    if as_json:
        told = {"url": plan.url, "ready_after_seconds": seconds, "state_dir": str(plan.state.folder)}
        print_json(told | {"first_admin": as_told(first)})
        return
    print_welcome(plan, seconds, first)


def _stay(plan: Plan, *, as_json: bool) -> None:
    plan.refuse_where_it_cannot_start()
    if as_json:
        plan.migrate_from_beside()
        control.become_supervisord(plan.environment(log_file=False))
    process = subprocess.Popen(
        control.supervisord_command(),
        env=plan.environment(log_file=False),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        threading.Thread(target=_prepare, args=(plan, process), daemon=True).start()
        _show(process)
    finally:
        process.terminate()
        code = process.wait()
    raise typer.Exit(code)


def _prepare(plan: Plan, process: subprocess.Popen[str]) -> None:
    """Migrate and make the first administrator, as soon as the database answers; beside what is shown."""
    try:
        plan.migrate_patiently(lambda: process.poll() is None)
    except StackError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")
        return
    if plan.serves:
        _administrate(plan.settings)


def _administrate(settings: AppSettings) -> None:
    if not sys.stdout.isatty():
        # Whatever keeps these lines is no place for a one-time password.
        hint_where_nobody_administrates(settings)
    elif (first := first_admin_or_hint(settings)) is not None:
        print_made(first)


def _show(process: subprocess.Popen[str]) -> None:
    """Print what a program writes, readable, until it ends."""
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    for line in process.stdout:
        console.print(readable(line))


def down() -> None:
    """Stop the stack in order and wait for its end."""
    state = current_state()
    timeout = Plan.shutdown_timeout() + 10
    if control.stop(state, timeout=timeout):
        console.print("The stack has stopped.")
    elif orphans := end_orphans(state):
        console.print(f"supervisord was gone; what it left has been ended: {', '.join(orphans)}.")
    else:
        console.print("The stack was not running.")


def status(*, as_json: Json = False) -> None:
    """Show what supervisord says of each process; exit code 3 unless all run, as supervisorctl does."""
    processes = control.process_info(current_state())
    if as_json:
        print_json([_summary(info) for info in processes])
    else:
        table = Table("process", "state", "pid", "for", box=None, pad_edge=False)
        for summary in map(_summary, processes):
            table.add_row(*(str(summary[key]) for key in ("name", "state", "pid", "description")))
        console.print(table)
    if any(info["statename"] != "RUNNING" for info in processes):
        raise typer.Exit(3)


def _summary(info: dict[str, Any]) -> dict[str, Any]:
    up_for = max(0, info["now"] - info["start"]) if info["statename"] == "RUNNING" else 0
    return {
        "name": info["name"],
        "group": info["group"],
        "state": info["statename"],
        "pid": info["pid"],
        "uptime_seconds": up_for,
        "description": f"{up_for} s" if up_for else info["description"],
    }


def restart() -> None:
    """Replace API processes one by one without losing a request, then worker and beat."""
    state = current_state()
    groups = {info["group"] for info in control.process_info(state)}
    for group in ("api", "worker", "beat"):
        if group not in groups:
            continue
        if group == "api" and _processes(state, group) > 1:
            rolled = subprocess.run(
                [*_supervisorctl(state), "rolling", "api"], check=False, stdout=sys.stderr.fileno()
            )
            if rolled.returncode:
                raise StackError(
                    "the rollout was stopped; the old processes go on serving. What it stopped is shown by "
                    f"{command('status')}; start it again with supervisorctl start api:<process>"
                )
        else:
            control.restart_program(state, group)
            errors.print(f"{group}: restarted")


def _processes(state: State, group: str) -> int:
    return sum(info["group"] == group for info in control.process_info(state))


def _supervisorctl(state: State) -> list[str]:
    return [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(state.client_configuration)]


def logs(
    *,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on as lines come.")] = True,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the log of a stack in the background, in readable form."""
    file = current_state().log_file
    if not file.exists():
        raise StackError(f"there is no log at {file}: the stack was not started in the background")
    with suppress(KeyboardInterrupt):
        for line in _tail(file, lines, follow=follow):
            if as_json:
                typer.echo(line.rstrip("\n"))
            else:
                console.print(readable(line))


def _tail(file: Path, lines: int, *, follow: bool) -> Iterator[str]:
    stream = file.open("r", encoding="utf-8", errors="replace")
    try:
        yield from deque(stream, maxlen=lines)
        while follow:
            if line := stream.readline():
                yield line
            elif file.exists() and file.stat().st_ino != os.fstat(stream.fileno()).st_ino:
                # Rotated: the last line of the old file has been read.
                stream.close()
                stream = file.open("r", encoding="utf-8", errors="replace")
            else:
                time.sleep(0.2)
    finally:
        stream.close()


def api(
    *, reload: Annotated[bool, typer.Option("--reload", help="Restart on changes of the source.")] = False
) -> None:
    """Run the API alone in the foreground, with the data servers that it needs."""
    plan = Plan.make()
    plan.refuse_taken_port()
    servers = plan.start_data_servers()
    try:
        plan.migrate(lambda: servers is None or servers.poll() is None)
        if (first := first_admin_or_hint(plan.settings)) is not None:
            print_made(first)
        code = _run_api(plan, reload=reload)
    finally:
        if servers is not None:
            console.print(f"Stopping {escape(', '.join(plan.servers))}.")
            control.end(servers, timeout=plan.settings.server.shutdown_timeout + 10)
    raise typer.Exit(code)


def _run_api(plan: Plan, *, reload: bool) -> int:
    arguments = [sys.executable, "-m", "app.server", *(["--reload"] if reload else [])]
    process = subprocess.Popen(
        arguments, env=plan.environment(log_file=True), stdout=subprocess.PIPE, text=True, errors="replace"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        _show(process)
    finally:
        process.terminate()
        code = process.wait()
    return code
