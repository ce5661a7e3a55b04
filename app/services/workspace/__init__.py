"""Where files live: a folder of content-addressed objects, written so that a crash loses none of them.

A file is durable under the name of its SHA-256 before the row that speaks of it can commit. A crash in
between leaves a file without a row, never the reverse; such strays are removed by age.
"""

from app.services.workspace.incoming import Incoming, Stored
from app.services.workspace.status import State, WorkspaceStatus, storage_error
from app.services.workspace.store import Workspace

__all__ = ["Incoming", "State", "Stored", "Workspace", "WorkspaceStatus", "storage_error"]
