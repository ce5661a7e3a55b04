"""The template of the environment names every setting, and nothing else (V5)."""

import re
from pathlib import Path

import pytest

from app.core.config import PROJECT_ROOT, AppSettings, load_settings
from app.core.config.sources import known_variables, variables
from tests.configuration import SECRET_KEY
from tests.deploy.reading import DEPLOY

LINE = re.compile(r"^(# )?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
BY_THE_IMAGE = {"HOST", "STATE_DIR", "RUN_DIR", "WORKSPACE_ROOT"}
CHOSEN = {"APP_VERSION", "SECRETS_DIR"}
"""Where no default could be shown: the code's own version, and a folder that is read before all else."""


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str, str]]:
    found = LINE.findall((DEPLOY / "env.prod.template").read_text("utf-8"))
    return [(mark, name, value) for mark, name, value in found]


def test_v5_every_setting_is_there_once_and_nothing_else(lines: list[tuple[str, str, str]]) -> None:
    names = [name for _, name, _ in lines]
    documented = {variables(field)[0] for _, field in known_variables(AppSettings)} | {"SECRETS_DIR"}
    assert set(names) ^ documented == set(), "each setting has a line in deploy/env.prod.template"
    assert len(names) == len(documented)


def test_v5_what_is_commented_out_is_the_default(lines: list[tuple[str, str, str]], tmp_path: Path) -> None:
    given = {
        name: value for mark, name, value in lines if mark and value and name not in BY_THE_IMAGE | CHOSEN
    }
    sound = {
        "DATABASE_URL": "postgresql://u@h/d",
        "REDIS_URL": "redis://h",
        "SECRET_KEY": SECRET_KEY,
        "STATE_DIR": str(tmp_path),
    }
    given["FRONTEND_DIR"] = str(PROJECT_ROOT / given["FRONTEND_DIR"])
    assert load_settings(sound | given, directory=tmp_path) == load_settings(sound, directory=tmp_path)
    optional = {
        variables(field)[0]
        for _, field in known_variables(AppSettings)
        if field.is_required() or not field.default
    }
    empty = {name for mark, name, value in lines if mark and not value}
    assert empty - optional == CHOSEN


def test_v5_it_is_a_sound_configuration_of_production(
    lines: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    chosen = {name: value for mark, name, value in lines if not mark}
    secrets = {
        "DATABASE_URL": "postgresql://u:h4rd@h/d",
        "REDIS_URL": "rediss://:h4rd@h/0",
        "SECRET_KEY": SECRET_KEY,
    }
    settings = load_settings(chosen | secrets | {"STATE_DIR": str(tmp_path)}, directory=tmp_path)
    assert settings.app_env == "production"
    assert set(chosen) == {"APP_ENV", "TRUSTED_HOSTS", "TRUSTED_PROXIES", "CORS_ORIGINS", "FRONTEND_URL"}
