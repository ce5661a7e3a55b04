"""What routes ask for: the process's state, a transaction, the owner, the page."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, TypedDict, cast

from fastapi import Depends, Query, Request
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.api.event_stream import Following
from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.drain import Drain
from app.core.limits import Allowances
from app.core.security import KeyRing
from app.services.auth.gate import Gate
from app.services.auth.grants import Grants
from app.services.auth.login import Desk
from app.services.auth.origin import ADDRESS_LENGTH, USER_AGENT_LENGTH, Origin
from app.services.auth.passwords import Passwords
from app.services.auth.throttle import Throttle
from app.services.auth.tokens import Tokens
from app.services.health import Health
from app.services.jobs.doorbell import Doorbell
from app.services.media.links import Links
from app.services.metrics import Metrics
from app.services.unit_of_work import unit_of_work
from app.services.workspace import Workspace

MAX_PAGE_SIZE: Final = 100


class State(TypedDict):
    """What the lifespan opened."""

    settings: AppSettings
    engine: AsyncEngine
    sessions: Sessions
    readings: Sessions
    reader: AsyncEngine
    redis: Redis
    doorbell: Doorbell
    drain: Drain
    health: Health
    metrics: Metrics
    workspace: Workspace
    keys: KeyRing
    tokens: Tokens
    links: Links
    passwords: Passwords
    gate: Gate
    grants: Grants
    desk: Desk
    allowances: Allowances
    throttle: Throttle
    following: Following


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: ``limit`` rows after the first ``offset``."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.number - 1) * self.size

    @property
    def limit(self) -> int:
        """Rows of this page at most."""
        return self.size


def state_of(request: Request) -> State:
    """What the lifespan opened, typed."""
    return cast("State", request.scope["state"])


def get_settings(request: Request) -> AppSettings:
    """The settings that the application was made with."""
    return state_of(request)["settings"]


def get_health(request: Request) -> Health:
    """The checks of this process."""
    return state_of(request)["health"]


def get_metrics(request: Request) -> Metrics:
    """The numbers of this process."""
    return state_of(request)["metrics"]


def get_workspace(request: Request) -> Workspace:
    """Where files live."""
    return state_of(request)["workspace"]


def get_following(request: Request) -> Following:
    """The streams of events of this process."""
    return state_of(request)["following"]


def begin_of(request: Request) -> Callable[[], AbstractAsyncContextManager[AsyncSession]]:
    """What opens a transaction, whose jobs the workers are told of after its commit."""
    state = state_of(request)
    return partial(unit_of_work, state["sessions"], state["doorbell"])


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction a request; after its commit the workers are told of the jobs it accepted."""
    async with begin_of(request)() as session:
        yield session


async def get_reading(request: Request) -> AsyncIterator[AsyncSession]:
    """A session for who only reads."""
    async with state_of(request)["readings"]() as session:
        yield session


async def get_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """A connection that only reads, for what is asked so often that a session's objects cost too much.

    It is taken at once, where a session takes one at its first statement: name it after the principal.
    """
    async with state_of(request)["reader"].connect() as connection:
        yield connection


def get_origin(request: Request) -> Origin:
    """The client's address and what it calls itself, for the audit log and limits."""
    agent = request.headers.get("user-agent")
    return Origin(
        address=request.client.host[:ADDRESS_LENGTH] if request.client else None,
        user_agent=agent[:USER_AGENT_LENGTH] if agent else None,
    )


def get_page(
    page: Annotated[int, Query(ge=1, le=1_000_000, description="The page, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="The most items of a page.")] = 20,
) -> Page:
    """The page that the query asks for."""
    return Page(page, page_size)


SettingsDep = Annotated[AppSettings, Depends(get_settings)]
HealthDep = Annotated[Health, Depends(get_health)]
WorkspaceDep = Annotated[Workspace, Depends(get_workspace)]
FollowingDep = Annotated[Following, Depends(get_following)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
# Scope "function": by default FastAPI commits after the answer has gone out, and a client would be told of
# a write that then fails.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
# For GET alone: what is written through it commits statement by statement.
ReadingDep = Annotated[AsyncSession, Depends(get_reading, scope="function")]
ConnectionDep = Annotated[AsyncConnection, Depends(get_connection, scope="function")]
OriginDep = Annotated[Origin, Depends(get_origin)]
PageDep = Annotated[Page, Depends(get_page)]
