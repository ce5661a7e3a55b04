"""An application whose limits a test may set."""

from tests.api.v1.media.conftest import settings, workspace

__all__ = ["settings", "workspace"]
