"""Files and folders that survive a power cut."""

import os
import time
from pathlib import Path


def make_durable_folder(folder: Path, *, within: Path) -> None:
    """Make a folder and its parents up to ``within``, which exists."""
    folder.mkdir(parents=True, exist_ok=True)
    # Also where it existed: another process may have made it a moment ago and not come to this yet.
    while folder != within:
        folder = folder.parent
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on the disk (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_older(path: Path, seconds: float) -> bool:
    """Whether the file was last written longer ago than this; False where it is gone."""
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except OSError:
        return False
