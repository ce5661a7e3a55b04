"""``doctor``: every fault of the machine and the configuration, all at once, each with its fix."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.console import console, print_json
from app.cli.doctor import configuration, machine, media, servers
from app.cli.doctor.finding import Finding
from app.core.config import EXIT_CONFIGURATION


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False
) -> None:
    """Look at the machine and the configuration; name each fault and its fix.

    Exit code 0 where all is well, 78 where the configuration is at fault, 1 for any other fault.
    """
    faults, settings = configuration.configured()
    findings = [*faults, *machine.machine(), *machine.stack(settings)]
    if settings is not None:
        findings += [
            *configuration.reminders(settings),
            *servers.servers(settings),
            *media.media(settings),
            *media.bucket(settings),
            *machine.port(settings),
            *configuration.frontend(settings),
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
