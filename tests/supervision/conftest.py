"""The fixture that every test of supervision uses."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervision.stack import Stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    # The path of a unix socket has about 100 bytes; pytest's own folders are too deep for it.
    made = Stack(Path(tempfile.mkdtemp(prefix="holdfast-")))
    yield made
    made.close()
    shutil.rmtree(made.folder)
