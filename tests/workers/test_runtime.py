"""What a worker's child works with."""

from collections.abc import Iterator

import pytest

from app.celery_app import configuration, create_celery
from app.core import context
from app.core.config import AppSettings
from app.workers.board import Board
from app.workers.runtime import Runtime


@pytest.fixture
def runtime(settings: AppSettings) -> Iterator[Runtime]:
    runtime = Runtime(settings, create_celery(lambda: configuration(settings)), Board(1), 0)
    yield runtime
    runtime.close()


async def request() -> str | None:
    return context.request_id.get()


def test_each_run_has_the_context_that_it_is_asked_from(runtime: Runtime) -> None:
    with context.bound(context.request_id, "first"):
        assert runtime.run(request()) == "first"
    assert runtime.run(request()) is None
    with context.bound(context.request_id, "second"):
        assert runtime.run(request()) == "second"
