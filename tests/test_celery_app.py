"""Celery's configuration (A7, A19)."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from app import celery_app as module
from app.celery_app import QUEUES, TICKS, configuration, create_celery
from app.core import config, context
from app.core.config import AppSettings
from tests.configuration import SECRET_KEY, make_settings


def test_importing_it_opens_and_reads_nothing() -> None:
    """Not even the settings: an empty environment, in which they would end the process."""
    code = "import app.celery_app, app.workers.tasks, app.workers.parent"
    root = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": root}, cwd=root, check=True, timeout=60)


def test_a19_json_utc_started_state_and_limits(settings: AppSettings) -> None:
    conf = create_celery(lambda: configuration(settings)).conf
    assert (conf.accept_content, conf.task_serializer, conf.result_serializer) == (["json"], "json", "json")
    assert (conf.enable_utc, conf.timezone, conf.task_track_started) == (True, "UTC", True)
    assert (conf.task_time_limit, conf.task_soft_time_limit) == (1800, 1500)
    assert conf.worker_prefetch_multiplier == 1
    assert conf.result_backend is None
    assert [queue.name for queue in conf.task_queues] == [*QUEUES, TICKS]


def test_a7_the_broker_is_waited_for_in_bounded_time(settings: AppSettings) -> None:
    conf = create_celery(lambda: configuration(settings)).conf
    options = conf.broker_transport_options
    assert conf.broker_connection_retry_on_startup
    assert options["health_check_interval"] == 5
    assert 0 < options["socket_timeout"] <= 5
    assert 0 < options["socket_connect_timeout"] <= 5
    assert options["socket_keepalive"]
    assert options["visibility_timeout"] > conf.task_time_limit


def test_beat_has_one_entry_the_tick(settings: AppSettings) -> None:
    conf = create_celery(lambda: configuration(settings)).conf
    assert [entry["task"] for entry in conf.beat_schedule.values()] == ["holdfast.tick"]


def test_beat_loads_nothing_that_only_tasks_need(settings: AppSettings) -> None:
    code = (
        "import sys; from app.celery_app import celery_app; import app.workers.schedule;"
        "celery_app.loader.import_default_modules(); "
        "print({'sqlalchemy', 'psycopg'} & sys.modules.keys() or 'nothing')"
    )
    root = str(Path(__file__).parents[1])
    addresses = {
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "SECRET_KEY": SECRET_KEY,
    }
    environment = addresses | {"PYTHONPATH": root, "ONLY_BEAT": "1", "STATE_DIR": str(settings.state_dir)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, check=True, timeout=60, capture_output=True
    )
    assert done.stdout.decode().strip() == "nothing"


def test_the_soft_shutdown_time_comes_from_the_supervisor(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_SOFT_SECONDS", "7")
    assert configuration(settings)["worker_soft_shutdown_timeout"] == 7.0


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("redis://:word@host:6379/0", "redis://:word@host:6379/0"),
    ],
)
def test_the_broker_is_redis_on_tcp_or_a_socket(
    settings: AppSettings, tmp_path: Path, address: str, url: str
) -> None:
    own = make_settings(tmp_path, settings.database.url.get_secret_value(), address)
    assert configuration(own)["broker_url"] == url


def test_tls_to_the_broker_checks_its_certificate(settings: AppSettings, tmp_path: Path) -> None:
    own = make_settings(tmp_path, settings.database.url.get_secret_value(), "rediss://host:6379/0")
    assert configuration(own)["broker_use_ssl"]


def test_the_request_id_is_sent_taken_and_cleared() -> None:
    headers: dict[str, str] = {}
    with context.bound(context.request_id, "the-request"):
        module._send_request_id(headers=headers)
    assert headers == {"request_id": "the-request"}

    class Task:
        request = headers

    with context.bound(context.request_id, None):
        module._take_request_id(task=Task)
        assert context.request_id.get() == "the-request"
        module._clear_request_id()
        assert context.request_id.get() is None


def test_logging_is_ours(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setitem(vars(config), "settings", settings)
    monkeypatch.setattr(module, "setup_logging", given.append)
    module._log_as_everything_does()
    assert given == [settings.log_level]
    assert logging.getLogger("celery.app.trace").level == logging.WARNING
