"""Whether media can be stored."""

import asyncio

from app.schemas.health import HealthStatus
from app.services.health.checks import Check
from app.services.workspace import State, Workspace, WorkspaceStatus


class WorkspaceQuestion:
    """Looks at the workspace in a thread, at most one at a time: a dead network disk blocks one for good."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._looking: asyncio.Future[WorkspaceStatus] | None = None

    async def __call__(self) -> Check:
        """Whether files can be written, and if not, why."""
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.run_in_executor(None, self._workspace.check)
        state = (await asyncio.shield(self._looking)).state
        return Check() if state is State.WRITABLE else Check(HealthStatus.UNHEALTHY, str(state))
