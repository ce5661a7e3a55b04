"""Server-sent events (HTML standard, section 9.2): how they look, and the stream of a job's own."""

import random
import time
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.config.groups import JobSettings
from app.exceptions.base import TooManyRequestsException
from app.schemas.jobs import JobEventData
from app.services.auth.principal import Principal
from app.services.auth.recheck import Recheck, Standing
from app.services.jobs.feed import Feed, Follower
from app.services.jobs.history import Event, Missed

RETRY: Final = (1000, 3000)
"""Milliseconds, from and to, after which a client connects again whose stream broke; at random, so that
those who lost one process come apart."""

HEARTBEAT: Final = b": heartbeat\n\n"
"""A comment: says to proxies that the connection lives, and to us when it does not."""

MOST_DIGITS: Final = 18
"""Of an id; more would not fit its column."""


class EventStream(StreamingResponse):
    """A stream of events, which nothing on its way may keep or gather."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncGenerator[bytes]) -> None:
        # The second is for nginx, which would gather the answer in its buffers.
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client; what the stream holds is given back at its end, whoever ends it."""
        async with aclosing(self._content):
            await super().__call__(scope, receive, send)


def documented_events(data: type[BaseModel], *, event: str, description: str) -> dict[str, Any]:
    """A stream in the OpenAPI document, as version 3.2 has it (section 4.14.4).

    What the data refers to must be among the document's schemas already.
    """
    schema = data.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    item = {
        "type": "object",
        "required": ["data", "event", "id"],
        "properties": {
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": schema},
            "event": {"type": "string", "const": event},
            "id": {"type": "string", "description": "To be sent back as `Last-Event-ID`."},
            "retry": {"type": "integer", "minimum": 0},
        },
    }
    return {"description": description, "content": {EventStream.media_type: {"itemSchema": item}}}


@dataclass(frozen=True, slots=True)
class Following:
    """One client's stream of a job's events.

    Args:
        feed: where events come from.
        recheck: tells when the client's credential does not stand any more.
        settings: how often silence is broken, and how long a stream lasts.
    """

    feed: Feed
    recheck: Recheck
    settings: JobSettings

    def require_room(self, principal: Principal) -> None:
        """See that the account may open another stream.

        Raises:
            TooManyRequestsException: it has as many as it may in this process.
        """
        most = self.settings.events_streams
        if self.feed.count(principal.user_id) >= most:
            raise TooManyRequestsException(
                f"The account has {most} streams of events open here. Close one, or ask for the job itself.",
                headers={"Retry-After": "10"},
            )

    async def told(
        self, job_id: uuid.UUID, missed: Missed, *, principal: Principal, until: float
    ) -> AsyncGenerator[bytes]:
        """What goes over the wire.

        Args:
            job_id: a job of the principal's account.
            missed: what the client has not seen yet.
            principal: who listens.
            until: when the credential ends by itself, in seconds since 1970.
        """
        yield f"retry: {random.randint(*RETRY)}\n\n".encode() + framed(missed.events)  # noqa: S311 - spreads load
        if any(event.is_end for event in missed.events):
            return
        end = min(time.monotonic() + self.settings.events_seconds, time.monotonic() + until - time.time())
        following = self.feed.follow(job_id, owner_id=principal.user_id, cursor=missed.cursor)
        async with following as follower:
            with self.recheck.hold(principal, follower.wake) as standing:
                async with aclosing(self._chunks(follower, standing, end)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def _chunks(self, follower: Follower, standing: Standing, end: float) -> AsyncGenerator[bytes]:
        heartbeat, said = self.settings.events_heartbeat, time.monotonic()
        while standing.holds() and (now := time.monotonic()) < end:
            events = await follower.next(max(0.0, min(said + heartbeat, end) - now))
            if not standing.holds():
                return
            if events:
                yield framed(events)
                if any(event.is_end for event in events):
                    return
            elif time.monotonic() >= said + heartbeat:
                yield HEARTBEAT
            else:
                continue
            said = time.monotonic()


def event_id(given: str) -> int | None:
    """The id in a `Last-Event-ID`; none where it is not of ours, so that its client begins anew."""
    return int(given) if given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS else None


def framed(events: Iterable[Event]) -> bytes:
    """Events as they are sent, up to the first that is an end."""
    frames = []
    for event in events:
        data = JobEventData.model_validate(event).model_dump_json()
        frames.append(format_sse_event(data_str=data, event="job", id=str(event.id)))
        if event.is_end:
            break
    return b"".join(frames)
