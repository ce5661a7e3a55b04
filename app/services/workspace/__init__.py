"""Where files live: a folder of content-addressed objects, written so that a crash loses none of them.

A file is durable under the name of its SHA-256 before the row that speaks of it can commit. A crash in
between leaves a file without a row, never the reverse; such strays are removed by age. Objects are in the
workspace's own folder, or in a bucket where one is configured (``objects`` has the interface of both).
"""

from app.services.workspace.incoming import Incoming
from app.services.workspace.objects import ObjectFile, ObjectInfo, Stored
from app.services.workspace.status import State, WorkspaceStatus, storage_error
from app.services.workspace.store import Workspace

__all__ = [
    "Incoming",
    "ObjectFile",
    "ObjectInfo",
    "State",
    "Stored",
    "Workspace",
    "WorkspaceStatus",
    "storage_error",
]
