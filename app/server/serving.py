"""Serves an application on sockets until the process is told to stop, then lets its requests finish."""

import asyncio
import logging
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hypercorn.asyncio.run import worker_serve
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from app.core.drain import Drain
from app.core.heartbeat import Heartbeat
from app.server import protocol
from app.server.config import ServerConfig
from app.server.streams import Streams

BACKLOG: Final = 2048
BEAT_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a process listens and how it stops. Times are in seconds, sizes in bytes."""

    binds: tuple[str, ...]
    """``HOST:PORT``, ``unix:PATH`` or ``fd://NUMBER``."""
    drain_delay: float = 0.0
    """From the signal to the end of accepting, for load balancers to notice."""
    grace: float = 3.0
    """From then on until requests that are still in flight are cut off."""
    keep_alive: float = 75.0
    max_header_size: int = 16 * 1024


async def serve(app: ASGIApp, listening: Listening, *, drain: Drain, heartbeat: Heartbeat) -> None:
    """Serve until SIGTERM or SIGINT. The application's lifespan is always shut down.

    Raises:
        hypercorn.utils.LifespanFailureError: the application could not start.
        OSError: an address cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    streams = Streams(app)

    async def leave() -> None:
        await _beat_until(stop, heartbeat)
        drain.start()
        await asyncio.sleep(listening.drain_delay)
        streams.end()
        asyncio.get_running_loop().call_later(listening.grace, _cut_off, listening.grace)

    protocol.install()
    config = _config(listening)
    # The annotations of Hypercorn describe each message; Starlette's say "a mapping".
    wrapped = wrap_app(streams, config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]
    sockets = config.create_sockets()  # before the application starts, so that a taken port ends it at once
    try:
        await worker_serve(wrapped, config, sockets=sockets, shutdown_trigger=leave)
    except asyncio.CancelledError:
        # Hypercorn passes on that connections were cut off, after it has shut the lifespan down.
        if not stop.is_set():
            raise
    finally:
        for listener in sockets.insecure_sockets:
            listener.close()


async def _beat_until(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
    """A cycle of this process is a turn of its event loop while it accepts connections."""
    while not stop.is_set():
        heartbeat.beat()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_SECONDS)


def _cut_off(grace: float) -> None:
    """Cancel the connections that are left; Hypercorn waits for them for ever on newer Pythons."""
    left = [task for task in asyncio.all_tasks() if _serves_connection(task)]
    if left:
        logger.warning("Connections cut off", extra={"connections": len(left), "grace": grace})
    for task in left:
        task.cancel()


def _serves_connection(task: asyncio.Task[object]) -> bool:
    return getattr(task.get_coro(), "__name__", "") == "_server_callback"


def _config(listening: Listening) -> ServerConfig:
    config = ServerConfig(listening.keep_alive)
    config.bind = list(listening.binds)
    config.backlog = BACKLOG
    config.umask = 0o177  # of unix sockets
    config.h11_max_incomplete_size = listening.max_header_size
    config.graceful_timeout = listening.grace + 2  # ours comes first, and works on every Python
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
