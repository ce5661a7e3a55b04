"""The application: what it is made of, and what it opens and closes."""

import importlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import app.workers.tasks  # noqa: F401 - registers the kinds of jobs that requests ask for
from app.api import documentation, frontend, health, metrics, v1
from app.api.deps import State
from app.api.event_stream import Following
from app.celery_app import configuration, create_celery
from app.core import config
from app.core.config import AppSettings
from app.core.database import check_pool_budget, create_engine, create_sessions, reading
from app.core.drain import Drain
from app.core.limits import Allowances, Counters
from app.core.logging import setup_logging
from app.core.redis import create_redis
from app.core.security import KeyRing
from app.exceptions.handlers import install_handlers
from app.middleware import middleware
from app.services.auth.gate import Gate
from app.services.auth.grants import Grants
from app.services.auth.login import Desk
from app.services.auth.passwords import Passwords
from app.services.auth.recheck import Recheck
from app.services.auth.throttle import Throttle
from app.services.auth.tokens import Tokens
from app.services.health import Health
from app.services.jobs.doorbell import Doorbell
from app.services.jobs.feed import Feed
from app.services.media.links import Links
from app.services.metrics import Metrics
from app.services.workspace import Workspace

UNTRACED: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own telemetry: it would look at each request for where to send any, and nothing is set up."""

logger = logging.getLogger(__name__)


def create_app(settings: AppSettings | None = None, *, drain: Drain | None = None) -> FastAPI:
    """The whole API. Nothing is opened before its lifespan begins.

    Args:
        settings: what it works with; the environment's where they are not given.
        drain: told by the server when this process is about to stop.
    """
    settings = settings or config.settings
    drain = drain or Drain()
    for module in settings.jobs.modules:
        importlib.import_module(module)
    numbers = Metrics()
    setup_logging(settings.log_level)
    app = FastAPI(
        **documentation.described(settings),
        lifespan=lifespan(settings, drain, numbers),
        middleware=middleware(settings, drain, numbers.requests),
        redirect_slashes=False,
        telemetry=UNTRACED,
    )
    install_handlers(app)
    # As they are: FastAPI makes each route of an included router anew, and searches that router twice.
    for router in (*v1.routers, health.router, metrics.router, documentation.router):
        app.router.routes.extend(router.routes)
    documentation.install(app)
    frontend.install(app, settings)
    return app


def lifespan(
    settings: AppSettings, drain: Drain, numbers: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """Opens on the way in, closes in reverse; starts without PostgreSQL or Redis too: readiness tells."""

    @asynccontextmanager
    async def opened(_app: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            engine = create_engine(settings.database)
            stack.push_async_callback(engine.dispose)
            redis = create_redis(settings.redis)
            stack.push_async_callback(redis.aclose)
            doorbell = Doorbell(create_celery(lambda: configuration(settings)))
            stack.push_async_callback(doorbell.aclose)
            limits = settings.rate_limit
            # Two, so that where each process counts alone many callers cannot crowd out failed logins.
            counters, attempts = (
                Counters.from_settings(settings.redis, limits, settings.server.api_processes)
                for _ in range(2)
            )
            stack.push_async_callback(counters.aclose)
            stack.push_async_callback(attempts.aclose)
            workspace = Workspace.from_settings(settings)
            health = Health(settings, engine, redis, workspace, drain)
            stack.push_async_callback(health.aclose)
            await health.open()
            keys = KeyRing.from_settings(settings.auth)
            reader = reading(engine)
            tokens, sessions = Tokens(keys, settings.auth), create_sessions(engine)
            passwords, grants = Passwords(settings.auth), Grants(keys, tokens, settings.auth)
            throttle = Throttle(attempts, sessions, keys, limits)
            feed, recheck = Feed(reader, settings.database), Recheck(reader, settings.auth)
            stack.push_async_callback(feed.aclose)
            stack.push_async_callback(recheck.aclose)
            await warn_of_pools(engine, settings)
            logger.info("api_started", extra={"version": settings.app_version})
            yield State(
                settings=settings,
                engine=engine,
                sessions=sessions,
                readings=create_sessions(reader),
                reader=reader,
                redis=redis,
                doorbell=doorbell,
                drain=drain,
                health=health,
                metrics=numbers,
                workspace=workspace,
                keys=keys,
                tokens=tokens,
                links=Links(keys),
                passwords=passwords,
                gate=Gate(tokens, sessions, settings.auth),
                grants=grants,
                desk=Desk(sessions, passwords, throttle, grants),
                allowances=Allowances(counters),
                throttle=throttle,
                following=Following(feed, recheck, settings.jobs),
            )

    return opened


async def warn_of_pools(engine: AsyncEngine, settings: AppSettings) -> None:
    """Log it where all pools together exceed what the server allows; better now than under load."""
    try:
        problem = await check_pool_budget(engine, settings)
    except (SQLAlchemyError, OSError):
        logger.warning(
            "database_away", extra={"hint": "starting all the same; readiness tells when it is back"}
        )
        return
    if problem:
        logger.error("pools_too_large", extra={"problem": problem})
