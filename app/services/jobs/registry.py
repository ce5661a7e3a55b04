"""The kinds of jobs: each is one function with a name, a model for its arguments, a queue and limits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from app.celery_app import QUEUES
from app.services.jobs.running import RunningJob

Result = BaseModel | dict[str, Any] | None
ArgsT = TypeVar("ArgsT", bound=BaseModel)
Body = Callable[[RunningJob, ArgsT], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job. Limits are in seconds; where they are None the settings decide."""

    name: str
    body: Body[Any]
    args_model: type[BaseModel]
    queue: str
    soft_limit: float | None
    hard_limit: float | None
    max_attempts: int | None


_KINDS: Final[dict[str, Kind]] = {}


def job(
    name: str,
    args_model: type[ArgsT],
    *,
    queue: str = QUEUES[0],
    soft_limit: float | None = None,
    hard_limit: float | None = None,
    max_attempts: int | None = None,
) -> Callable[[Body[ArgsT]], Body[ArgsT]]:
    """Register a coroutine function as a kind of job.

    Args:
        name: what rows and requests call it; it stays for ever.
        args_model: the shape of its arguments, checked when it is enqueued and again when it runs.
        queue: where it waits.
        soft_limit: seconds until it is cancelled; CELERY_TASK_SOFT_TIME_LIMIT where it is not given.
        hard_limit: seconds until its process is killed; CELERY_TASK_TIME_LIMIT where it is not given.
        max_attempts: attempts until it has failed; JOB_MAX_ATTEMPTS where it is not given.

    Raises:
        ValueError: the name is taken, the queue does not exist, or the limits are in the wrong order.
    """
    if queue not in QUEUES:
        raise ValueError(f"There is no queue {queue!r}; there are {', '.join(QUEUES)}.")
    if soft_limit is not None and hard_limit is not None and soft_limit >= hard_limit:
        raise ValueError(f"The soft limit of {name!r} is not below its hard limit.")

    def register(body: Body[ArgsT]) -> Body[ArgsT]:
        if name in _KINDS:
            raise ValueError(f"There is a kind of job named {name!r} already.")
        _KINDS[name] = Kind(name, body, args_model, queue, soft_limit, hard_limit, max_attempts)
        return body

    return register


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        LookupError: this version of the code knows no such kind.
    """
    try:
        return _KINDS[name]
    except KeyError:
        raise LookupError(f"There is no kind of job named {name!r}.") from None


def known_kinds() -> dict[str, Kind]:
    """All kinds by name; a worker leaves jobs of other kinds to newer workers."""
    return dict(_KINDS)
