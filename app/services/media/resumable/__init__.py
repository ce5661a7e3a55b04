"""Resumable uploads by the protocol tus 1.0.0: an offset that was told survives the death of anything.

The row's ``received`` is the truth, and it grows only after the bytes are on the disk. Bytes behind it may
be there after a crash; they are cut off by the next writer. See decision 9.
"""

from app.services.media.resumable.appending import append
from app.services.media.resumable.creating import Announced, create
from app.services.media.resumable.looking import GLANCE, look, page, terminate
from app.services.media.resumable.rows import Store
from app.services.media.resumable.writer import Checksum

__all__ = ["GLANCE", "Announced", "Checksum", "Store", "append", "create", "look", "page", "terminate"]
