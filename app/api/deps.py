"""What routes ask for: the process's state, a transaction, the owner, the page."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final, TypedDict, cast

from fastapi import Depends, Query, Request
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.drain import Drain
from app.exceptions.base import ForbiddenException
from app.services.health import Health
from app.services.jobs.doorbell import Doorbell
from app.services.metrics import Metrics
from app.services.unit_of_work import unit_of_work
from app.services.users import BUILT_IN_OWNER
from app.services.workspace import Workspace

MAX_PAGE_SIZE: Final = 100
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


class State(TypedDict):
    """What the lifespan opened."""

    settings: AppSettings
    engine: AsyncEngine
    sessions: Sessions
    redis: Redis
    doorbell: Doorbell
    drain: Drain
    health: Health
    metrics: Metrics
    workspace: Workspace


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


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction a request; after its commit the workers are told of the jobs it accepted."""
    state = state_of(request)
    async with unit_of_work(state["sessions"], state["doorbell"]) as session:
        yield session


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine itself, no proxy passed it on, and no page slipped it in.

    A page in a browser on this machine can send requests here too: under a name of its own that it points
    at loopback (told by Host), or across origins (told by Origin).
    """
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    if not is_loopback_name(request.client.host) or not is_loopback_name(request.url.hostname or ""):
        return False
    origin = request.headers.get("origin")
    allowed = (*state_of(request)["settings"].server.cors_origins, str(request.base_url).rstrip("/"))
    return origin is None or origin in allowed


def is_loopback_name(host: str) -> bool:
    """Whether a host is this machine: ``localhost`` or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def require_local(request: Request) -> None:
    """Refuse requests from elsewhere.

    Raises:
        ForbiddenException: the client is not on this machine.
    """
    if not is_local(request):
        raise ForbiddenException(
            "Until accounts exist this is answered on the machine itself only, and not through a proxy."
        )


def get_owner(_: Annotated[None, Depends(require_local)]) -> uuid.UUID:
    """The account that the request acts for: until accounts exist, the built-in owner on loopback."""
    return BUILT_IN_OWNER


def get_page(
    page: Annotated[int, Query(ge=1, le=1_000_000, description="The page, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="The most items of a page.")] = 20,
) -> Page:
    """The page that the query asks for."""
    return Page(page, page_size)


SettingsDep = Annotated[AppSettings, Depends(get_settings)]
HealthDep = Annotated[Health, Depends(get_health)]
WorkspaceDep = Annotated[Workspace, Depends(get_workspace)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
# Scope "function": by default FastAPI commits after the answer has gone out, and a client would be told of
# a write that then fails.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
OwnerDep = Annotated[uuid.UUID, Depends(get_owner)]
PageDep = Annotated[Page, Depends(get_page)]
