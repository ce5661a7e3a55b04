"""What was taken out of the image to make it small is missed by nothing that runs in it."""

import json
import re

import pytest

from tests.configuration import SECRET_KEY
from tests.container.harness import IMAGE, docker

pytestmark = pytest.mark.container

SETTINGS = {
    "SECRET_KEY": SECRET_KEY,
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}

IMPORT_ALL = """
import importlib, json, pathlib
names = [".".join(path.with_suffix("").parts) for path in pathlib.Path().glob("app/**/*.py")]
# What is run and not imported: entries, and migrations, which each start tries.
names = [name for name in names if not name.startswith("app.migrations") and "__main__" not in name]
for name in names:
    importlib.import_module(name.removesuffix(".__init__"))
print(json.dumps(names))
"""

FAILING = """
import pathlib, runpy, rich.console
pathlib.Path("/tmp/failing.py").write_text("assert False")
try:
    runpy.run_path("/tmp/failing.py")
except AssertionError:
    rich.console.Console(force_terminal=True).print_exception()
"""


def run(script: str, **environment: str) -> str:
    """What a program says that is run by the image's Python in a container of its own."""
    variables = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    return docker("run", "--rm", "--network", "none", *variables, IMAGE, "python3", "-c", script)


def test_every_module_of_the_application_can_be_imported() -> None:
    names = json.loads(run(IMPORT_ALL, **SETTINGS))
    assert {"app.main", "app.celery_app", "app.services.media.picture_reader"} <= set(names)


def test_a_traceback_is_put_in_colours() -> None:
    words = re.split(r"(?:\x1b\[[0-9;]*m)+", run(FAILING))
    assert {"assert", "False"} <= set(words), "each in a colour of its own"


def test_every_time_zone_can_be_read_those_of_former_names_too() -> None:
    read = "sorted(zoneinfo.ZoneInfo(name).key for name in zoneinfo.available_timezones())"
    names = json.loads(run(f"import json, zoneinfo; print(json.dumps({read}))"))
    assert {"Europe/Zurich", "US/Pacific"} <= set(names)


def test_the_c_library_knows_time_zones() -> None:
    assert run("import time; print(time.tzname)", TZ="Asia/Tokyo") == "('JST', 'JST')"
