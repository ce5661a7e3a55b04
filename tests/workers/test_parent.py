"""A worker's parent: what it adds to Celery, and how it stops."""

import gc
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from celery.worker.consumer import Consumer

from app.celery_app import celery_app, configuration, create_celery, direct_queue
from app.core import config
from app.core.config import AppSettings
from app.workers import board as boards
from app.workers import parent
from app.workers.board import Board
from app.workers.consumer import LONGEST_PAUSE, PromptConsumer, forget_deliveries
from tests.configuration import make_settings
from tests.servers import DEADLINE, redis_server, state_folder

SIGNALS = (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def handlers() -> Iterator[list[int]]:
    """Stands in for Celery's handlers; gives the signals that reached them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    reached: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda given, _frame: reached.append(given))
    yield reached
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_the_parent_holds_is_left_out_of_its_childrens_collections() -> None:
    gc.unfreeze()
    try:
        signals.worker_before_create_process.send(sender=None)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def application(soft: float) -> Any:
    return SimpleNamespace(conf=SimpleNamespace(worker_soft_shutdown_timeout=soft))


@pytest.mark.parametrize("number", SIGNALS)
def test_every_stop_drains_the_board_before_celery_acts(handlers: list[int], number: signal.Signals) -> None:
    board = Board(1)
    parent.stop_in_order(board, application(0.0))
    signal.raise_signal(number)
    assert board.draining
    assert handlers == [number]


def test_a_quick_stop_does_not_wait_for_idle_children(handlers: list[int]) -> None:
    app = application(600.0)
    parent.stop_in_order(Board(1), app)
    signal.raise_signal(signal.SIGQUIT)
    assert handlers == [signal.SIGQUIT]
    assert app.conf.worker_soft_shutdown_timeout == 0.0


def test_the_wait_for_children_is_bounded() -> None:
    board = Board(1)
    board.live(0)
    waiting = threading.Thread(target=parent.wait_until_idle, args=(board, 0.2), daemon=True)
    waiting.start()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()


def test_the_wait_ends_with_the_last_job() -> None:
    board = Board(1)
    board.live(0)
    waiting = threading.Thread(target=parent.wait_until_idle, args=(board, 600.0), daemon=True)
    waiting.start()
    board.idle(0)
    waiting.join(DEADLINE)
    assert not waiting.is_alive()


def test_a_worker_consumes_its_own_pulses() -> None:
    chosen: list[Any] = []
    queues = SimpleNamespace(select_add=chosen.append)
    worker = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)))
    parent.consume_pulses("worker@here", worker)
    assert [queue.name for queue in chosen] == ["holdfast.pulse.worker@here"]


def test_the_board_is_made_before_the_pool_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_boards", [])
    parent.BoardStep(SimpleNamespace(concurrency=7)).create(SimpleNamespace(concurrency=7))
    assert boards.shared().children == 7


class RecordedSweep:
    """Notes what it is told; the sweep itself has tests of its own."""

    def __init__(self, *_arguments: Any, **options: Any) -> None:
        self.options = options
        self.told: list[str] = []
        started.append(self)

    def start(self) -> None:
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")


started: list[RecordedSweep] = []


@pytest.fixture
def swept(settings: AppSettings, handlers: list[int], monkeypatch: pytest.MonkeyPatch) -> "Started":
    """A step that has started, and the sweep that it made; signals and the board are put back."""
    monkeypatch.setitem(vars(config), "settings", settings)
    monkeypatch.setattr(boards, "_boards", [Board(1)])
    monkeypatch.setattr(parent, "Sweep", RecordedSweep)
    app = application(0.0)
    app.amqp = SimpleNamespace(queues=SimpleNamespace(consume_from={"default": None, "other": None}))
    worker = SimpleNamespace(hostname="worker@here", app=app)
    step = parent.SweepStep(worker)
    step.start(worker)
    return step, started.pop()


Started = tuple[parent.SweepStep, RecordedSweep]


def test_the_sweep_begins_with_the_worker_and_knows_its_queues(swept: Started) -> None:
    _step, sweep = swept
    assert sweep.told == ["start"]
    assert sweep.options["queues"] == ["default"]
    assert sweep.options["pulse_queue"] == "holdfast.pulse.worker@here"


def test_the_sweep_lasts_until_the_last_job_of_a_stopping_worker(swept: Started) -> None:
    """Celery stops this step first, and waits for its children's jobs after it."""
    step, sweep = swept
    step.stop(None)
    assert boards.shared().draining
    assert sweep.told == ["start"]
    signals.worker_shutdown.send(sender=None)
    assert sweep.told == ["start", "stop"]


def test_a_worker_that_ends_at_once_ends_its_sweep(swept: Started) -> None:
    step, sweep = swept
    step.terminate(None)
    assert sweep.told == ["start", "stop"]


def test_a_worker_that_never_started_ends_without_a_sweep() -> None:
    step = parent.SweepStep(SimpleNamespace())
    step.terminate(None)


def test_celery_is_told_of_both_steps() -> None:
    assert {parent.BoardStep, parent.SweepStep} <= celery_app.steps["worker"]


def test_the_consumer_comes_back_within_seconds() -> None:
    asked: dict[str, Any] = {}

    class Connection:
        def ensure_connection(self, errback: Any, retries: int | None, **options: Any) -> "Connection":
            asked.update(options, retries=retries)
            errback(OSError("away"), 0.5)
            return self

    connection = Connection()
    consumer = PromptConsumer.__new__(PromptConsumer)
    assert consumer.ensure_connected(connection) is connection
    assert asked["interval_max"] == LONGEST_PAUSE
    assert asked["retries"] is None


def test_a_connection_that_cannot_be_closed_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_consumer: Any, _error: Exception) -> None:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")

    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", broken)
    consumer = PromptConsumer.__new__(PromptConsumer)
    consumer.task_consumer = None
    consumer.on_connection_error_after_connected(OSError("lost"))
    assert [record.message for record in caplog.records] == ["broker_connection_not_closed"]


def test_a_task_that_ends_after_its_connection_was_lost_acknowledges_nothing(
    settings: AppSettings, tmp_path: Path
) -> None:
    """kombu's own acknowledgement fails then, with an error that ends the worker."""
    with state_folder() as folder:
        server = redis_server(folder)
        server.start()
        try:
            own = make_settings(tmp_path, settings.database.url.get_secret_value(), server.address)
            connection: Any = create_celery(lambda: configuration(own)).connection_for_read()
            queue: Any = direct_queue("test.lost")
            channel = connection.default_channel
            connection.Producer().publish({}, routing_key=queue.name, declare=[queue])
            message = queue(channel).get()
        finally:
            server.kill()
    forget_deliveries(SimpleNamespace(channel=channel))
    # What Celery does with a lost connection.
    connection.collect()
    connection.close()
    message.ack()
