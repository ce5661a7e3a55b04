"""HTTP/1.1 as Hypercorn speaks it, stricter where an ambiguous or endless request would pass."""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import h11
import hypercorn.protocol
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol

from app.core.context import new_request_id
from app.schemas.base import ErrorBody, ErrorResponse
from app.server.config import ServerConfig
from app.server.connection import StrictConnection
from app.server.exchange import Exchange

HEADER_SECONDS: Final = 10.0
"""From the first byte of a request to the end of its headers."""

_PLAIN_HEADERS: Final = re.compile(rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+\0[\t -~\x80-\xff]*\n)*")
"""Lines of a token, NUL and visible text (RFC 9110, section 5.5)."""

_MESSAGES: Final = {
    400: ("bad_request", "The request is not valid HTTP."),
    408: ("request_timeout", "The headers of the request did not arrive in time."),
    431: ("headers_too_large", "The headers of the request are too large."),
    501: ("not_implemented", "This transfer encoding is not supported."),
    505: ("version_not_supported", "HTTP/1.1 is spoken here."),
}


class StrictProtocol(H11Protocol):
    """Serves one connection. Answers what it refuses in the form of every other error."""

    config: ServerConfig
    connection: Any  # h11's, or Hypercorn's own once it is a websocket

    def __init__(self, app: Any, config: ServerConfig, *rest: Any) -> None:
        super().__init__(app, config, *rest)
        self.connection = StrictConnection(config.h11_max_incomplete_size)
        self._pass_on, self.send = self.send, self._send
        self._late: asyncio.TimerHandle | None = None
        self._corked: list[bytes] | None = None
        self._is_new = True

    async def handle(self, event: Event) -> None:
        """Take bytes from the client, or the end of the connection."""
        if isinstance(event, Closed):
            self.config.idle.leave(self._close_idle)
        await super().handle(event)
        if isinstance(event, RawData) and self._within_headers():
            if self._late is None:
                loop = asyncio.get_running_loop()
                self._late = loop.call_later(HEADER_SECONDS, self.task_group.spawn, self._refuse_late)
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def _within_headers(self) -> bool:
        return self.connection.their_state is h11.IDLE and bool(self.connection.trailing_data[0])

    async def _refuse_late(self) -> None:
        await self._send_error_response(408)
        await self.send(Closed())

    async def _check_protocol(self, event: h11.Request) -> None:
        """Offer no HTTP/2 without TLS: an upgrade is ignored, as RFC 9110, section 7.8, allows.

        A proxy that passes the upgrade on would no longer see the requests behind it.
        """

    async def _create_stream(self, request: h11.Request) -> None:
        headers = self.connection.headers
        if self.connection.asks_for_upgrade:
            await super()._create_stream(request)
            return
        given = (self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server)
        self.stream = Exchange(
            *given, self.stream_send, STREAM_ID, cork=self._cork, uncork=self._uncork
        )  # fmt: skip
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def stream_send(self, event: StreamEvent) -> None:
        """Take what the request's stream sends."""
        if isinstance(event, Response) and event.status_code >= HTTPStatus.OK:
            await self._send_head(event)
            return
        if isinstance(event, StreamClosed):
            await self._uncork()  # what follows may close the connection
        await super().stream_send(event)

    async def _send_head(self, event: Response) -> None:
        """Send the head of an answer, whose headers are looked at all at once: h11 does so one by one."""
        headers = [*event.headers, *self.config.response_headers("h11")]
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            headers.append((b"connection", b"close"))
        await self._send_h11_event(
            h11.Response(headers=headers, status_code=event.status_code, _parsed=_are_plain(headers))
        )

    async def _send(self, event: Event) -> None:
        if isinstance(event, Updated) and not self._is_new:
            if event.idle:
                self.config.idle.enter(self._close_idle, self.context)
            else:
                self.config.idle.leave(self._close_idle)
        elif isinstance(event, RawData) and self._corked is not None:
            self._corked.append(event.data)
        else:
            # The first request ends the wait that Hypercorn itself began.
            self._is_new = self._is_new and not isinstance(event, Updated)
            await self._pass_on(event)

    async def _close_idle(self) -> None:
        if self.stream is None:
            with suppress(OSError):
                await self.handle(Closed())
                await self.send(Closed())

    def _cork(self) -> None:
        self._corked = []

    async def _uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked:
            await self.send(RawData(data=b"".join(corked)))

    async def _send_error_response(self, status_code: int) -> None:
        code, message = _MESSAGES.get(status_code, ("bad_request", HTTPStatus(status_code).phrase))
        request_id = new_request_id()
        error = ErrorBody(code=code, message=message, details=None)
        now = datetime.now(UTC)
        body = ErrorResponse(error=error, request_id=request_id, timestamp=now).model_dump_json().encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def _are_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether h11 would find no fault in any of them, nor spaces around a value, which exchanges strip."""
    lines = b"".join([b"%b\0%b\n" % header for header in headers])
    # Counted too, or a name and a value with the separators in them would pass for two.
    return lines.count(b"\n") == len(headers) and _PLAIN_HEADERS.fullmatch(lines) is not None


def install() -> None:
    """Have Hypercorn use it; it offers no setting for that, and looks the name up for each connection."""
    vars(hypercorn.protocol)[H11Protocol.__name__] = _protocol


def _protocol(app: Any, config: Config, *rest: Any) -> H11Protocol:
    """Ours for servers of ours; another server in the same process keeps Hypercorn's."""
    if isinstance(config, ServerConfig):
        return StrictProtocol(app, config, *rest)
    return H11Protocol(app, config, *rest)
