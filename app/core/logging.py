"""One JSON object a line, under 4 KB, written in one write, the same from every program."""

import json
import logging
import logging.config
import os
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

from app.core import context
from app.core.masking import mask, mask_text

LINE_LIMIT: Final = 4095
"""Bytes of a line with its break: writes to a pipe of up to PIPE_BUF, 4096 on Linux, are atomic (POSIX)."""

_CUT: Final = " ...[cut]... "
_CONTEXT: Final = {"request_id": context.request_id, "job_id": context.job_id, "user_id": context.user_id}


def encode_line(fields: dict[str, Any]) -> bytes:
    """One log line as UTF-8 with its line break, cut so that it is at most ``LINE_LIMIT`` bytes."""
    line = _encode(fields)
    if len(line) <= LINE_LIMIT:
        return line
    fields = fields | {"cut": True}
    for share in (1800, 900, 400, 120, 40):
        line = _encode({name: _shorten(value, share) for name, value in fields.items()})
        if len(line) <= LINE_LIMIT:
            return line
    kept = ("timestamp", "level", "logger", "message", "cut")
    return _encode({name: _shorten(fields[name], 200) for name in kept if name in fields})


# json.dumps would make one of these for each line.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)


def _encode(fields: dict[str, Any]) -> bytes:
    return _ENCODER.encode(fields).encode("utf-8", "replace") + b"\n"


def _shorten(value: Any, share: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= share:
        return value
    # A traceback says most at its end, a message at its beginning: keep both.
    return text[: share // 3] + _CUT + text[-(share - share // 3) :]


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    whole = int(seconds // 1)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class LineFormatter(JsonFormatter):
    """Standard fields first, then the request's and job's ids, then what the caller added, secrets masked."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Collect one record's fields."""
        log_data |= {
            "timestamp": timestamp(record.created),
            "level": record.levelname,
            "message": mask_text(record.getMessage()),
            "logger": record.name,
            "module": record.module,
            "process": record.process,
        }
        log_data |= {
            name: value for name, variable in _CONTEXT.items() if (value := variable.get()) is not None
        }
        extra: dict[str, Any] = {}
        super().add_fields(extra, record, message_dict)
        log_data |= {
            name: value for name, value in mask(extra).items() if name not in log_data and value is not None
        }

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """The fields as one JSON object, cut to the limit, without a line break."""
        return encode_line(log_data).decode().rstrip("\n")


def write_line(line: str) -> None:
    """Write one finished line of under ``LINE_LIMIT`` bytes; for what is said at each request.

    A record, its masking and the general formatter would cost such a line ten times as much.
    """
    try:
        os.write(1, line.encode("utf-8", "replace") + b"\n")
    except OSError:
        return


class LineHandler(logging.Handler):
    """Writes each line to standard output in one system call, so that processes never interleave."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a reader that went away is not this program's fault."""
        try:
            os.write(1, self.format(record).encode() + b"\n")
        except OSError:
            return
        except Exception:  # noqa: BLE001 - a faulty log call must not break what it reports on
            self.handleError(record)


def setup_logging(level: str = "INFO") -> None:
    """Send every logger of this process through one JSON handler on standard output."""
    logging.captureWarnings(capture=True)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter}},
            "handlers": {"stdout": {"()": LineHandler, "formatter": "line"}},
            "root": {"level": level, "handlers": ["stdout"]},
            "loggers": {
                # These speak of each request, connection or event at INFO; our own access log says it once.
                name: {"level": "WARNING"}
                for name in (
                    "hypercorn.access",
                    "kombu",
                    "amqp",
                    "httpx",
                    "httpcore",
                    "watchfiles",
                    "asyncio",
                )
            },
        }
    )
