"""The front end's files, served where no route is: ENABLE_STATIC_FILES."""

from app.api.frontend.files import install

__all__ = ["install"]
