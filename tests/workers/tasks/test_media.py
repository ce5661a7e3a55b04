"""The job that processes an upload."""

import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.exceptions.base import ServiceUnavailableException
from app.models.media_file import MediaFile
from app.schemas.storage import StorageReport
from app.services.jobs import JobFailed, RunningJob
from app.services.media import deletion, intake, results
from app.services.media.probe import Probe
from app.services.media.process import Outcome, process
from app.services.media.run import ToolHinderedError
from app.services.media.strays import objects_of
from app.services.media.types import Kind
from app.services.workspace import Workspace
from app.services.workspace.incoming import HEAD
from app.services.workspace.objects import place
from app.workers.tasks import media as task
from app.workers.tasks.media import MediaArgs, process_media
from tests.accounts import OWNER
from tests.buckets import Variables, names, nowhere
from tests.configuration import make_settings
from tests.samples import Samples, behind_id3, jpeg_size, playlist


class Bytes:
    """An upload of what is in memory."""

    def __init__(self, data: bytes, filename: str) -> None:
        self.filename: str | None = filename
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


Upload = Callable[[bytes], Awaitable[uuid.UUID]]


@pytest.fixture
def upload(sessions: Sessions, workspace: Workspace) -> Upload:
    async def run(data: bytes) -> uuid.UUID:
        async with transaction(sessions) as session:
            media = await intake.accept(session, workspace, Bytes(data, "a.mp4"), owner_id=OWNER, limit=2**30)
        return media.id

    return run


def running(settings: AppSettings, sessions: Sessions) -> RunningJob:
    return RunningJob(
        id=uuid.uuid4(),
        owner_id=OWNER,
        attempt=1,
        settings=settings,
        sessions=sessions,
        report=lambda _share, _word: None,
    )


async def run(settings: AppSettings, sessions: Sessions, media_id: uuid.UUID) -> dict[str, Any]:
    """One attempt as the runner makes it: the final transaction commits when the body returns."""
    job = running(settings, sessions)
    try:
        result = await process_media(job, MediaArgs(media_id=media_id))
        await job.session.commit()
    finally:
        await job.close()
    assert isinstance(result, dict)
    return result


async def row(sessions: Sessions, media_id: uuid.UUID) -> MediaFile:
    async with sessions() as session:
        return await session.get_one(MediaFile, media_id)


async def test_an_uploaded_video_becomes_a_probed_file_with_a_thumbnail(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload, workspace: Workspace
) -> None:
    media_id = await upload(samples.data("clip.mp4", seconds=10))
    result = await run(settings, sessions, media_id)
    file = await row(sessions, media_id)
    assert result == {
        "media_id": str(media_id),
        "kind": Kind.VIDEO,
        "thumbnail": True,
        "poster": True,
        "preview": "video/mp4",
        "waveform": True,
    }
    assert (file.kind, file.width, file.height) == ("video", 640, 360)
    assert file.duration == pytest.approx(10, abs=0.2)
    assert file.probe is not None
    assert file.thumbnail_key is not None
    assert jpeg_size(workspace.path(file.thumbnail_key).read_bytes()) == (480, 270)


async def test_its_effects_are_part_of_the_final_transaction(
    settings: AppSettings,
    sessions: Sessions,
    samples: Samples,
    upload: Upload,
) -> None:
    media_id = await upload(samples.data("picture.jpg"))
    job = running(settings, sessions)
    await process_media(job, MediaArgs(media_id=media_id))
    assert (await row(sessions, media_id)).probe is None
    await job.close()
    assert (await row(sessions, media_id)).probe is None


async def test_a_file_shows_what_there_is_while_its_preview_is_made(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("clip.mp4"))
    job = running(settings, sessions)
    await process_media(job, MediaArgs(media_id=media_id))
    await job.close()
    file = await row(sessions, media_id)
    assert None not in (file.thumbnail_key, file.poster_key, file.waveform_key)
    assert (file.probe, file.preview_key) == (None, None)


async def test_an_attempt_that_lost_its_job_takes_nothing_back(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("clip.mp4"))
    await run(settings, sessions, media_id)
    late = running(settings, sessions)
    await process_media(late, MediaArgs(media_id=media_id))
    await late.close()
    assert (await row(sessions, media_id)).preview_key is not None


async def test_what_is_missing_is_noted_a_line_for_each_fact(
    sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("clip.mp4"))
    probe = Probe(Kind.VIDEO, 1, 1, 1.0, 0, {})
    async with transaction(sessions) as session:
        await results.record(session, media_id, Outcome(probe, notes=("No this.", "No that.")))
    assert (await row(sessions, media_id)).note == "No this.\nNo that."


def test_a_preview_leaves_time_for_the_rest_of_its_job(settings: AppSettings) -> None:
    celery = settings.celery.model_copy(update={"soft_time_limit": 100.0})
    assert task._in_time(settings.model_copy(update={"celery": celery})).preview_timeout == 60.0
    assert task._in_time(settings).preview_timeout == settings.media.preview_timeout


async def test_running_it_twice_changes_nothing_more(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("picture.jpg"))
    await run(settings, sessions, media_id)
    first = await row(sessions, media_id)
    await run(settings, sessions, media_id)
    second = await row(sessions, media_id)
    assert (first.probe, first.thumbnail_key) == (second.probe, second.thumbnail_key)


async def test_a_container_for_video_with_sound_alone_becomes_sound(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload, tmp_path: Path
) -> None:
    path = tmp_path / "sound.mkv"
    samples.ffmpeg("-i", str(samples.path("tone.flac")), "-c", "copy", str(path))
    media_id = await upload(path.read_bytes())
    assert (await row(sessions, media_id)).kind == "video"
    await run(settings, sessions, media_id)
    assert (await row(sessions, media_id)).kind == "audio"


@pytest.mark.parametrize("name", ["truncated.mp4", "truncated.png", "hostile"])
async def test_a_broken_or_hostile_file_fails_for_good_with_its_reason(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload, name: str
) -> None:
    hostile = behind_id3(playlist(samples.path("clip.ts")))
    media_id = await upload(hostile if name == "hostile" else samples.data(name))
    with pytest.raises(JobFailed, match="cannot be read as") as caught:
        await run(settings, sessions, media_id)
    assert caught.value.code == "media_unreadable"
    assert str(settings.workspace_root) not in caught.value.reason


async def test_a_file_that_was_deleted_meanwhile_fails_for_good(
    settings: AppSettings, sessions: Sessions
) -> None:
    with pytest.raises(JobFailed, match="deleted"):
        await run(settings, sessions, uuid.uuid4())


async def test_a_missing_tool_fails_for_good_and_tells_the_owner_nothing_of_the_server(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("clip.mp4"))
    with pytest.raises(JobFailed) as caught:
        await run(without_tools(settings), sessions, media_id)
    assert caught.value.reason == "Media processing is not set up on this server."
    assert caught.value.code == "media_not_set_up"


async def test_a_missing_tool_is_logged_for_the_operator(
    settings: AppSettings,
    sessions: Sessions,
    samples: Samples,
    upload: Upload,
    caplog: pytest.LogCaptureFixture,
) -> None:
    media_id = await upload(samples.data("clip.mp4"))
    with caplog.at_level(logging.ERROR, logger=task.__name__), pytest.raises(JobFailed):
        await run(without_tools(settings), sessions, media_id)
    [record] = [each for each in caplog.records if each.name == task.__name__]
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "media_tool_missing")
    assert "FFMPEG_PATH" in vars(record)["error"]


async def test_a_picture_needs_no_ffmpeg(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(samples.data("picture.jpg"))
    result = await run(without_tools(settings), sessions, media_id)
    assert result["thumbnail"] is True


async def test_a_tool_that_something_else_killed_is_no_end_of_the_job(
    settings: AppSettings, sessions: Sessions, samples: Samples, upload: Upload, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o755)
    media = settings.media.model_copy(update={"ffprobe": str(killed)})
    media_id = await upload(samples.data("clip.mp4"))
    with pytest.raises(ToolHinderedError):
        await run(settings.model_copy(update={"media": media}), sessions, media_id)


def without_tools(settings: AppSettings) -> AppSettings:
    media = settings.media.model_copy(update={"ffmpeg": "/nonexistent"})
    return settings.model_copy(update={"media": media})


async def test_sound_behind_a_tag_with_a_large_cover_is_known_for_what_it_is(
    sessions: Sessions, samples: Samples, upload: Upload
) -> None:
    media_id = await upload(behind_id3(samples.data("tone.flac"), padding=3 * HEAD))
    assert (await row(sessions, media_id)).mime_type == "audio/flac"


async def test_a_file_that_is_deleted_while_it_is_processed_is_not_made_anew(
    settings: AppSettings,
    sessions: Sessions,
    samples: Samples,
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    media_id = await upload(samples.data("picture.jpg"))

    async def deleting(*_: Any) -> Outcome:
        outcome = await process(*_)
        async with transaction(sessions) as session:
            await session.delete(await session.get_one(MediaFile, media_id))
        return outcome

    monkeypatch.setattr(task, "process", deleting)
    await run(settings, sessions, media_id)
    async with sessions() as session:
        assert await session.get(MediaFile, media_id) is None


async def test_strays_are_swept_by_a_job(
    settings: AppSettings, sessions: Sessions, workspace: Workspace, upload: Upload, samples: Samples
) -> None:
    media_id = await upload(samples.data("picture.jpg"))
    stored = await workspace.keep(b"stray")
    os.utime(workspace.path(stored.key), (0, 0))
    key = (await row(sessions, media_id)).sha256
    report = await task.sweep_media(running(settings, sessions), task.SweepArgs(verify=key[:4]))
    assert isinstance(report, StorageReport)
    assert (report.removed, report.referenced, report.verified, report.disagrees) == (1, 1, 1, False)
    assert not workspace.path(stored.key).exists()


async def test_the_sweep_hashes_another_part_each_day(
    settings: AppSettings, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def noted(*_: Any, **options: Any) -> StorageReport:
        asked.append(options["verify"])
        raise JobFailed("seen")

    monkeypatch.setattr(task, "reconcile", noted)
    for day in (0, 257):
        monkeypatch.setattr(time, "time", lambda day=day: day * 86400.0)
        with pytest.raises(JobFailed):
            await task.sweep_media(running(settings, sessions), task.SweepArgs())
    assert asked == ["00", "01"]


async def discard(settings: AppSettings, sessions: Sessions, *keys: str) -> dict[str, int]:
    job = running(settings, sessions)
    try:
        result = await task.discard_objects(job, task.DiscardArgs(keys=list(keys)))
        await job.session.commit()
    finally:
        await job.close()
    assert isinstance(result, dict)
    return result


async def test_objects_of_a_deleted_file_are_removed_once_nothing_refers_to_them(
    settings: AppSettings, sessions: Sessions, workspace: Workspace, upload: Upload, samples: Samples
) -> None:
    data = samples.data("picture.jpg")
    first, second = await upload(data), await upload(data)
    await run(settings, sessions, first)
    await run(settings, sessions, second)
    file = await row(sessions, first)
    assert file.thumbnail_key is not None
    for media_id, left in ((first, True), (second, False)):
        async with transaction(sessions) as session:
            await deletion.delete(session, media_id, owner_id=OWNER)
        await discard(settings, sessions, file.sha256, file.thumbnail_key)
        assert workspace.path(file.sha256).exists() is left
        assert workspace.path(file.thumbnail_key).exists() is left


async def test_a_storage_that_is_away_is_asked_again_later(
    settings: AppSettings, sessions: Sessions, tmp_path: Path
) -> None:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    away = make_settings(tmp_path, database, redis, **nowhere())
    with pytest.raises(ServiceUnavailableException):
        await discard(away, sessions, "ab" * 32)


async def test_a_thumbnail_that_was_removed_before_its_row_is_made_again(
    *,
    settings: AppSettings,
    sessions: Sessions,
    samples: Samples,
    upload: Upload,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another file with the same thumbnail was deleted at that moment."""
    media_id = await upload(samples.data("picture.jpg"))

    async def removing(*_: Any) -> Outcome:
        outcome = await process(*_)
        assert outcome.thumbnail_key is not None
        await workspace.remove({outcome.thumbnail_key})
        return outcome

    monkeypatch.setattr(task, "process", removing)
    with pytest.raises(ServiceUnavailableException):
        await run(settings, sessions, media_id)
    monkeypatch.setattr(task, "process", process)
    assert (await run(settings, sessions, media_id))["thumbnail"] is True


async def test_a_file_in_a_bucket_is_processed(
    settings: AppSettings, sessions: Sessions, samples: Samples, bucket: Variables, tmp_path: Path
) -> None:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    remote = make_settings(tmp_path, database, redis, **bucket)
    workspace = Workspace.from_settings(remote)
    async with transaction(sessions) as session:
        clip = Bytes(samples.data("clip.mp4", seconds=10), "a.mp4")
        media = await intake.accept(session, workspace, clip, owner_id=OWNER, limit=2**30)
    await run(remote, sessions, media.id)
    file = await row(sessions, media.id)
    assert file.thumbnail_key is not None
    async with workspace.open(file.thumbnail_key) as thumbnail:
        assert jpeg_size(await thumbnail.read(10**6)) == (480, 270)
    assert file.preview_key is not None
    assert set(names(bucket)) == {place(key) for key in objects_of(file)}
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []
