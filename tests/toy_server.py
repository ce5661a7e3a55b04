"""A small application behind ``app.server.serve``, run as a process of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from app.core.drain import Drain
from app.core.heartbeat import Heartbeat
from app.core.logging import setup_logging
from app.server import Listening, protocol, serve

drain = Drain()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    Path(os.environ["JOURNAL"]).write_text("open")
    yield
    Path(os.environ["JOURNAL"]).write_text("closed")


async def ready(_request: Request) -> Response:
    headers = {"Connection": "close"} if drain.active else {}
    return JSONResponse({"pid": os.getpid()}, 503 if drain.active else 200, headers)


async def slow(request: Request) -> Response:
    Path(os.environ["JOURNAL"]).with_suffix(".slow").touch()
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("done")


async def events(_request: Request) -> Response:
    async def source() -> AsyncIterator[str]:
        yield "data: one\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(source(), media_type="text/event-stream")


async def late(_request: Request) -> Response:
    async def source() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    # The length is known, and not one byte is there yet.
    return StreamingResponse(source(), headers={"Content-Length": "5"})


async def silent(_request: Request) -> Response:
    async def source() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    return StreamingResponse(source(), media_type="text/event-stream")


async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    raise RuntimeError("between head and body")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.receive_text()


app = Starlette(
    routes=[
        Route("/", ready),
        Route("/health/ready", ready),
        Route("/slow", slow),
        Route("/events", events),
        Route("/late", late),
        Route("/silent", silent),
        Mount("/broken", broken),
        WebSocketRoute("/talk", talk),
    ],
    lifespan=lifespan,
)


def main() -> None:
    setup_logging("INFO")
    vars(protocol)["HEADER_SECONDS"] = float(os.environ.get("HEADER_SECONDS", "10"))
    listening = Listening(
        binds=tuple(os.environ["API_BIND"].split(",")),
        drain_delay=float(os.environ.get("DRAIN_DELAY", "0")),
        grace=float(os.environ.get("GRACE", "20")),
        keep_alive=float(os.environ.get("KEEP_ALIVE", "75")),
    )
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {
        "uvloop": uvloop.new_event_loop,
        "asyncio": None,
    }
    with asyncio.Runner(loop_factory=loops[os.environ.get("LOOP", "uvloop")]) as runner:
        runner.run(serve(app, listening, drain=drain, heartbeat=Heartbeat.from_environment()))


if __name__ == "__main__":
    main()
