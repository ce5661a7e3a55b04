"""Reads the level out of lines that were not written as JSON: PostgreSQL, Redis, Python, anything else."""

import re
from typing import Final

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_REDIS: Final = re.compile(r"\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ ([.*#-]) (.*)", re.DOTALL)
_REDIS_LEVELS: Final = {".": "DEBUG", "-": "DEBUG", "*": "INFO", "#": "WARNING"}

# PostgreSQL puts two blanks behind its severity, whatever prefix log_line_prefix chose.
_POSTGRES: Final = re.compile(
    r".{0,120}?\b(DEBUG[1-5]?|INFO|NOTICE|LOG|WARNING|ERROR|FATAL|PANIC"
    r"|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION|BACKTRACE):  (.*)",
    re.DOTALL,
)
_POSTGRES_LEVELS: Final = {
    # FATAL ends one session, not the server: a wrong password is no emergency.
    **dict.fromkeys(("ERROR", "FATAL"), "ERROR"),
    "WARNING": "WARNING",
    "PANIC": "CRITICAL",
    **dict.fromkeys(("DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5"), "DEBUG"),
}

_TRACEBACK: Final = re.compile(r"\s*(\+ Exception Group )?Traceback \(most recent call last\):")
_WORD: Final = re.compile(r"[^A-Za-z]{0,40}(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_WORD_LEVELS: Final = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def starts_traceback(line: str) -> bool:
    """Whether a Python traceback, an exception group's too, begins on this line."""
    return _TRACEBACK.match(line) is not None


def plain(line: str) -> str:
    """The line without terminal colours and without what ends it."""
    return _ESCAPES.sub("", line).rstrip()


def read_level(text: str, channel: str) -> tuple[str, str]:
    """The level and the message of one foreign record.

    Args:
        text: the record, without line break at its end.
        channel: ``stdout`` or ``stderr``; what says nothing of itself is INFO or WARNING by it.
    """
    if redis := _REDIS.fullmatch(text):
        return _REDIS_LEVELS[redis[1]], redis[2]
    if starts_traceback(text) or text.startswith("configuration: "):
        return "ERROR", text
    if postgres := _POSTGRES.fullmatch(text):
        severity = postgres[1]
        return _POSTGRES_LEVELS.get(severity, "INFO"), f"{severity}: {postgres[2]}"
    if word := _WORD.match(text):
        return _WORD_LEVELS.get(word[1], word[1]), text
    return ("WARNING" if channel == "stderr" else "INFO"), text
