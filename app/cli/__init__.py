"""The ``holdfast`` command."""

import os
import sys
from typing import NoReturn

import typer

from app import __version__
from app.cli.accounts import create_admin
from app.cli.console import fail
from app.cli.container import run
from app.cli.database import migrate
from app.cli.doctor import doctor
from app.cli.document import openapi
from app.cli.stack import api, down, logs, restart, status, up
from app.cli.storage import storage
from app.core.config import ConfigurationError, exit_on_faults
from app.supervision.control import StackError
from app.supervision.embedded.binaries import ServerMissingError

cli = typer.Typer(
    name="holdfast",
    help="Start, look after and stop a Holdfast stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (up, down, status, restart, logs, api, run, migrate, create_admin, doctor, storage, openapi):
    cli.command()(command)


@cli.callback(invoke_without_command=True)
def root(*, version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Options of the command as a whole."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """Run the command. Exit code 78 for a faulty configuration, 1 for what did not work."""
    try:
        cli()
    except ConfigurationError as error:
        raise exit_on_faults(error) from None
    except (StackError, ServerMissingError) as error:
        fail(str(error))
    except BrokenPipeError:
        # The reader of our output went away; say nothing more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    raise SystemExit(0)
