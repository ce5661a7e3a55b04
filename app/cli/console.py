"""How the command speaks to a person: short lines, colour where there is a terminal."""

import json
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

console: Final = Console(highlight=False, soft_wrap=True)
errors: Final = Console(stderr=True, highlight=False, soft_wrap=True)

_STANDARD: Final = frozenset({"timestamp", "level", "message", "logger", "module", "process", "program"})
_COLOURS: Final = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what went wrong and exit."""
    errors.print(f"[bold red]error:[/] {escape(message)}")
    raise SystemExit(code)


def print_json(value: Any) -> None:
    """One JSON document on standard output, for scripts."""
    typer.echo(json.dumps(value, indent=2, default=str))


def readable(line: str) -> str:
    """A JSON log line as a person reads it, with rich's markup; any other line as it is.

    ``07:00:31 ERROR api-0 | message key=value``, a traceback on the lines below.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        return escape(line.rstrip("\n"))
    if not isinstance(fields, dict):
        return escape(line.rstrip("\n"))
    level = str(fields.get("level", "INFO")).upper()
    source = fields.get("program") or fields.get("logger", "")
    extra = {k: v for k, v in fields.items() if k not in _STANDARD}
    traceback = extra.pop("exc_info", None)
    pairs = " ".join(f"{name}={value}" for name, value in extra.items() if value is not None and value != "")
    time = str(fields.get("timestamp", ""))[11:19]
    head = f"{time} {level:<8} {source} | {fields.get('message', '')} {pairs}".rstrip()
    text = escape(head if traceback is None else f"{head}\n{traceback}")
    colour = _COLOURS.get(level)
    return f"[{colour}]{text}[/]" if colour else text
