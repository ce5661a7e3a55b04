"""The OpenAPI document, and the pages that show it without the internet."""

from app.api.documentation.document import described, install
from app.api.documentation.pages import router

__all__ = ["described", "install", "router"]
