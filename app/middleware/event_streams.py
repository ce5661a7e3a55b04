"""Answers that have no end of their own."""

from starlette.types import Message


def is_event_stream(start: Message) -> bool:
    """Whether the answer that begins so is a stream of events (HTML standard, section 9.2)."""
    return any(
        value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
        if name.lower() == b"content-type"
    )
