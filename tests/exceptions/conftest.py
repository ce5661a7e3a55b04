"""The client of an application whose routes fail."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.config import AppSettings
from app.main import create_app
from tests.exceptions.failing import with_routes
from tests.serving import serve


@pytest.fixture
async def http(settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(settings, app=with_routes(create_app(settings))) as client:
        yield client
