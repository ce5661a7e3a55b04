"""Resumable uploads by the protocol tus 1.0.0: an offset that was told survives the death of anything.

The row's ``received`` is the truth, and it grows only after the bytes are on the disk. Bytes behind it may
be there after a crash; they are cut off by the next writer. See decision 9.
"""

from app.services.media.resumable.rows import Store
from app.services.media.resumable.service import (
    GLANCE,
    Announced,
    append,
    create,
    is_whole,
    look,
    terminate,
)
from app.services.media.resumable.writer import Checksum

__all__ = ["GLANCE", "Announced", "Checksum", "Store", "append", "create", "is_whole", "look", "terminate"]
