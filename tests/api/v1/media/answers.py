"""What tests of media ask, and how they read the answers."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core.database import Sessions, transaction
from app.models.job import Job
from app.models.media_file import MediaFile
from app.services.workspace import Workspace

MEDIA = "/api/v1/media"


LIMIT = 100_000

small = pytest.mark.parametrize("settings", [{"MAX_UPLOAD_SIZE": str(LIMIT)}], indirect=True)
"""For a test of an application with a small limit."""


def stored(workspace: Workspace) -> list[Path]:
    return [path for path in workspace.root.rglob("*") if path.is_file() and path.name != ".lock"]


async def count(sessions: Sessions, table: type[MediaFile] | type[Job]) -> int:
    async with sessions() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def uploaded(client: httpx.AsyncClient, data: bytes, name: str = "clip.mp4") -> dict[str, Any]:
    answer = await client.post(MEDIA, files={"file": (name, data)})
    assert answer.status_code == 201, answer.text
    media: dict[str, Any] = answer.json()
    return media


async def finish(sessions: Sessions, media_id: str, **values: Any) -> None:
    """Write down what the job would."""
    async with transaction(sessions) as session:
        file = await session.get_one(MediaFile, uuid.UUID(media_id))
        for name, value in values.items():
            setattr(file, name, value)


async def end_job(sessions: Sessions, job_id: str, state: str, message: str | None = None) -> None:
    async with transaction(sessions) as session:
        job = await session.get_one(Job, uuid.UUID(job_id))
        job.state, job.finished_at = state, func.now()
        job.error = {"message": message} if message else None


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["message"]
    return text
