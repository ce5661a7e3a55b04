"""One settings object from the environment, `.env` and secret files (A5, L2, T1, P4, P7, P9, V5)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.commands import command
from app.core.config import AppSettings, ConfigurationError, Environment, load_settings
from app.core.config.sources import known_variables, variables

GOOD_KEY = "7d0c2a9f41e8b6357d0c2a9f41e8b635x"
ADDRESSES = {"DATABASE_URL": "postgresql://u:p@localhost/db", "REDIS_URL": "redis://localhost"}
SOUND = ADDRESSES | {"SECRET_KEY": GOOD_KEY}


def load(folder: Path, **values: str) -> AppSettings:
    return load_settings(SOUND | {"STATE_DIR": str(folder / "state")} | values, directory=folder)


def faults(folder: Path, **values: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **values)
    return {fault.name: str(fault) for fault in caught.value.faults}


def test_l2_what_is_required_and_missing_is_each_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"STATE_DIR": str(tmp_path)}, directory=tmp_path)
    assert [fault.name for fault in caught.value.faults] == ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"]
    assert all("is missing" in str(fault) and "expected" in str(fault) for fault in caught.value.faults)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_p9_every_spelling_of_the_scheme_becomes_psycopg(tmp_path: Path, scheme: str) -> None:
    settings = load(tmp_path, DATABASE_URL=f"{scheme}://u:p@h:5432/db")
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://u:p@h:5432/db"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("BACKEND_LOG_LEVEL", "ERROR", lambda s: s.logging.level == "ERROR"),
        ("PROJECT_NAME", "Other", lambda s: s.app_name == "Other"),
        ("API_TITLE", "Other", lambda s: s.app_name == "Other"),
        ("ENVIRONMENT", "testing", lambda s: s.app_env is Environment.TESTING),
        ("BACKEND_CELERY_BROKER_URL", "redis://other", lambda s: s.broker_url == "redis://other"),
        ("BACKEND_FRONTEND_URL", "https://x.example", lambda s: s.frontend_url == "https://x.example"),
        ("BACKEND_WORKSPACE_ROOT", "/w", lambda s: s.workspace_root == Path("/w")),
        ("BACKEND_CORS_ORIGINS", "http://a, http://b", lambda s: len(s.server.cors_origins) == 2),
    ],
)
def test_a5_the_names_of_the_older_systems_are_accepted(tmp_path: Path, name: str, value: str, read) -> None:  # type: ignore[no-untyped-def]
    assert read(load(tmp_path, **{name: value}))


@pytest.mark.parametrize("text", ["http://a,http://b", " http://a , http://b ,", '["http://a", "http://b"]'])
def test_p4_lists_are_json_or_separated_by_commas(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, CORS_ORIGINS=text).server.cors_origins == ("http://a", "http://b")


def test_a_broken_json_list_is_named(tmp_path: Path) -> None:
    assert "JSON list" in faults(tmp_path, CORS_ORIGINS='["http://a"')["CORS_ORIGINS"]


def test_the_environment_wins_over_dotenv_and_that_over_secret_files(tmp_path: Path) -> None:
    secrets = tmp_path / "given"
    secrets.mkdir()
    for name in ("APP_NAME", "APP_VERSION", "PORT"):
        (secrets / name.lower()).write_text("1111\n")
    (tmp_path / ".env").write_text("APP_VERSION=from-dotenv\nPORT=2222\n")
    settings = load(tmp_path, SECRETS_DIR=str(secrets), PORT="3333")
    assert (settings.app_name, settings.app_version, settings.server.port) == ("1111", "from-dotenv", 3333)


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, PORT="", SMTP_HOST=" ").server.port == 8000


def test_what_the_state_folder_generated_is_the_weakest_source(tmp_path: Path) -> None:
    generated = tmp_path / "state" / "secrets"
    generated.mkdir(parents=True)
    (generated / "DATABASE_URL").write_text("postgresql://generated@localhost/db")
    (generated / "SECRET_KEY").write_text("k" * 40)
    settings = load(tmp_path)
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://u:p@localhost/db"
    assert settings.auth.secret_key is not None


def test_every_fault_is_found_at_once_with_the_name_that_was_used(tmp_path: Path) -> None:
    found = faults(
        tmp_path, PORT="99999", BACKEND_LOG_LEVEL="loud", LIVEKIT_URL="wss://x", DATABASE_POOL_SIZE="many"
    )
    assert set(found) == {
        "PORT", "BACKEND_LOG_LEVEL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "DATABASE_POOL_SIZE",
    }  # fmt: skip


def test_no_fault_shows_a_value(tmp_path: Path) -> None:
    found = faults(tmp_path, DATABASE_URL="mysql://root:hunter2@h/db", REDIS_URL="hunter2", APP_ENV="hunter2")
    assert len(found) == 3
    assert "hunter2" not in "".join(found.values())


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"SECRET_KEY": "changethis"}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": GOOD_KEY, "DEBUG": "true"}, "DEBUG"),
        ({"SECRET_KEY": GOOD_KEY, "CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"SECRET_KEY": GOOD_KEY, "CELERY_VISIBILITY_TIMEOUT": "1800"}, "CELERY_VISIBILITY_TIMEOUT"),
        ({"SECRET_KEY": GOOD_KEY, "DATABASE_URL": "postgresql://u:changeme@h/db"}, "DATABASE_URL"),
    ],
)
def test_production_refuses(tmp_path: Path, values: dict[str, str], name: str) -> None:
    assert name in faults(tmp_path, APP_ENV="production", **values)


@pytest.mark.parametrize("environment", list(Environment))
def test_no_environment_goes_without_a_secret_and_make_up_makes_one(
    tmp_path: Path, environment: Environment
) -> None:
    found = faults(tmp_path, APP_ENV=environment, SECRET_KEY="")
    assert "is missing" in found["SECRET_KEY"]
    assert command("up") in found["SECRET_KEY"]


def test_production_accepts_a_sound_configuration(tmp_path: Path) -> None:
    assert load(tmp_path, APP_ENV="production", SECRET_KEY=GOOD_KEY).app_env is Environment.PRODUCTION


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"LIVEKIT_API_KEY": "k"}, {"LIVEKIT_URL", "LIVEKIT_API_SECRET"}),
        ({"S3_BUCKET": "b"}, {"S3_ACCESS_KEY", "S3_SECRET_KEY"}),
        ({"S3_ENDPOINT_URL": "http://s3"}, {"S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"}),
        ({"S3_PREFIX": "a/"}, {"S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"}),
        ({"SMTP_HOST": "h"}, {"EMAIL_FROM"}),
        ({"SMTP_HOST": "h", "EMAIL_FROM": "a@b", "SMTP_USER": "u"}, {"SMTP_PASSWORD"}),
    ],
)
def test_an_integration_wants_all_of_its_variables(
    tmp_path: Path, given: dict[str, str], missing: set[str]
) -> None:
    assert set(faults(tmp_path, **given)) == missing


@pytest.mark.parametrize("prefix", ["holdfast", "/", "a//", "../", "a/b", " a/"])
def test_a_prefix_of_a_bucket_is_a_folder(tmp_path: Path, prefix: str) -> None:
    assert "S3_PREFIX" in faults(tmp_path, S3_PREFIX=prefix)


def test_the_soft_limit_stays_below_the_hard_one(tmp_path: Path) -> None:
    assert "CELERY_TASK_SOFT_TIME_LIMIT" in faults(tmp_path, CELERY_TASK_SOFT_TIME_LIMIT="1800")


@pytest.mark.parametrize("host", ["::1", "[::]", "example.org", "127.0.0.1:8000", "1.2.3"])
def test_supervisord_listens_on_ipv4_only(tmp_path: Path, host: str) -> None:
    assert "IPv4" in faults(tmp_path, HOST=host)["HOST"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.1.2.3"])
def test_an_ipv4_address_can_be_listened_on(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, HOST=host).server.host == host


def test_a_run_folder_too_long_for_unix_sockets_is_a_fault(tmp_path: Path) -> None:
    longest = "/" + "x" * 74
    assert str(load(tmp_path, RUN_DIR=longest).run_dir) == longest
    assert "76 bytes" in faults(tmp_path, RUN_DIR="/" + "x" * 75)["RUN_DIR"]


def test_secrets_do_not_show_in_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, SECRET_KEY="hunter2" * 8, DATABASE_URL="postgresql://u:hunter2@h/db")
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]


def test_debug_lowers_the_level_of_the_log(tmp_path: Path) -> None:
    assert load(tmp_path, DEBUG="1").log_level == "DEBUG"
    assert load(tmp_path, LOG_LEVEL="ERROR").log_level == "ERROR"


def test_a_long_state_folder_gets_a_short_folder_for_sockets(tmp_path: Path) -> None:
    settings = load_settings(SOUND | {"STATE_DIR": "/" + "x" * 150}, directory=tmp_path)
    assert len(str(settings.run_dir)) < 75


def test_every_setting_has_a_variable_of_its_own_and_says_what_it_expects() -> None:
    seen: dict[str, object] = {}
    for place, field in known_variables(AppSettings):
        names = variables(field)
        assert names, place
        assert field.description, place
        for name in names:
            assert seen.setdefault(name, place) == place


def run_python(code: str, folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "STATE_DIR": str(folder),
        "PYTHONPATH": str(Path.cwd()),
    } | values
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=folder
    )


def test_l2_a_faulty_configuration_ends_the_process_with_78_and_one_line_a_fault(tmp_path: Path) -> None:
    done = run_python("from app.core.config import settings", tmp_path, PORT="x")
    assert done.returncode == 78
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [
        "PORT",
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
    ]
    assert "Traceback" not in done.stderr


def test_l2_settings_can_be_imported(tmp_path: Path) -> None:
    done = run_python("from app.core.config import settings; print(settings.app_name)", tmp_path, **SOUND)
    assert done.stdout.strip() == "Holdfast"


def test_a_name_that_config_does_not_have_is_an_attribute_error() -> None:
    from app.core import config  # noqa: PLC0415 - the module itself is the subject

    with pytest.raises(AttributeError):
        config.no_such_name  # noqa: B018


def test_a_setting_survives_json(tmp_path: Path) -> None:
    assert json.loads(load(tmp_path).model_dump_json())["server"]["port"] == 8000


def test_the_strongest_source_wins_whatever_spelling_it_uses(tmp_path: Path) -> None:
    generated = tmp_path / "state" / "secrets"
    generated.mkdir(parents=True)
    (generated / "DATABASE_URL").write_text("postgresql://generated@localhost/db")
    (tmp_path / ".env").write_text("LOG_LEVEL=ERROR\nAPP_NAME=weaker\n")
    values = {
        "BACKEND_DATABASE_URL": "postgresql://chosen@localhost/db",
        "REDIS_URL": "redis://localhost",
        "SECRET_KEY": GOOD_KEY,
        "BACKEND_LOG_LEVEL": "DEBUG",
        "PROJECT_NAME": "stronger",
        "STATE_DIR": str(tmp_path / "state"),
    }
    settings = load_settings(values, directory=tmp_path)
    assert "chosen" in settings.database.url.get_secret_value()
    assert (settings.logging.level, settings.app_name) == ("DEBUG", "stronger")


def test_the_documented_spelling_wins_within_one_source(tmp_path: Path) -> None:
    assert (
        load(tmp_path, APP_NAME="first", PROJECT_NAME="second", BACKEND_APP_NAME="third").app_name == "first"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:p@h:abc/db"),
        ("DATABASE_URL", "postgresql://u:p[x@h/db"),
        ("REDIS_URL", "redis://h:abc/0"),
    ],
)
def test_an_address_that_is_none_is_a_fault_in_every_environment(
    tmp_path: Path, name: str, value: str
) -> None:
    for environment in ("development", "production"):
        assert name in faults(tmp_path, APP_ENV=environment, **{name: value})


def test_a_secret_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "APP_NAME").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "not-a-setting").write_bytes(b"\xff\xfe\x00")
    assert set(faults(tmp_path, SECRETS_DIR=str(tmp_path))) == {str(tmp_path / "APP_NAME")}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"SECRET_KEY": "changeme" * 5}, "SECRET_KEY"),
        ({"SECRET_KEY": "k" * 40}, "SECRET_KEY"),
        ({"REDIS_URL": "redis://:changeme@h"}, "REDIS_URL"),
        (
            {"SMTP_HOST": "h", "EMAIL_FROM": "a@b", "SMTP_USER": "u", "SMTP_PASSWORD": "secret"},
            "SMTP_PASSWORD",
        ),
    ],
)
def test_production_refuses_placeholders_of_every_secret(
    tmp_path: Path, values: dict[str, str], name: str
) -> None:
    assert name in faults(tmp_path, APP_ENV="production", **values)


def test_a_folder_of_secrets_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "secrets"
    closed.mkdir()
    listed = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)  # root, as whom tests may run, would not be refused
    assert "a folder that this account may read" in faults(tmp_path, SECRETS_DIR=str(closed))[str(closed)]
