"""Comparing what two images hold: every path, its kind, rights, owner and content, but not its times."""

import hashlib
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.container.harness import client, docker

Tree = dict[str, tuple[object, ...]]


@contextmanager
def created(image: str) -> Iterator[str]:
    """A container of it that never starts."""
    container = docker("create", image)
    try:
        yield container
    finally:
        docker("rm", "--volumes", container)


def tree(image: str) -> Tree:
    """Everything in an image by path."""
    with (
        created(image) as container,
        subprocess.Popen([client(), "export", container], stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            return {entry.name: _facts(archive, entry) for entry in archive}


def _facts(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple[object, ...]:
    content = archive.extractfile(entry) if entry.isfile() else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
    return entry.type, oct(entry.mode), entry.uid, entry.gid, digest


def differences(one: Tree, other: Tree) -> list[str]:
    """The paths that are not the same in both."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
