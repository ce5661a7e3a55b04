"""Files: where they are, and what may be spent on them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.core.config.fields import Env, Group, OptionalText
from app.core.config.groups.units import MIB, Bytes, Seconds


class MediaSettings(Group):
    """The workspace, its limits, and the tools that read what strangers upload."""

    workspace_root: Annotated[Path | None, Env("WORKSPACE_ROOT")] = Field(
        None, description="a folder that can be written; STATE_DIR/workspace where it is not set"
    )
    max_upload_size: Annotated[Bytes, Env("MAX_UPLOAD_SIZE")] = Field(
        2 * 1024 * MIB, description="bytes of one uploaded file"
    )
    quota: Annotated[int, Env("MEDIA_QUOTA")] = Field(
        50 * 1024 * MIB, ge=0, description="bytes of all files of one account; 0 for no quota"
    )
    upload_expiry: Annotated[Seconds, Env("UPLOAD_EXPIRY")] = Field(
        86400.0, description="seconds that an unfinished upload waits for its next byte"
    )
    link_seconds: Annotated[int, Env("MEDIA_LINK_SECONDS")] = Field(
        3600, ge=1, le=7 * 86400, description="seconds that a signed link to a file holds at most"
    )
    upload_dir: Annotated[Path | None, Env("UPLOAD_DIR")] = Field(
        None, description="a folder on the workspace's file system; WORKSPACE_ROOT/uploads where not set"
    )
    temp_dir: Annotated[Path | None, Env("TEMP_DIR")] = Field(
        None, description="a folder for work files; WORKSPACE_ROOT/tmp where it is not set"
    )
    ffmpeg: Annotated[OptionalText, Env("FFMPEG_PATH")] = Field(
        None, description="the path of ffmpeg; looked for where it is not set"
    )
    ffprobe: Annotated[OptionalText, Env("FFPROBE_PATH")] = Field(
        None, description="the path of ffprobe; looked for where it is not set"
    )
    tool_timeout: Annotated[Seconds, Env("MEDIA_TOOL_TIMEOUT")] = Field(
        300.0, description="seconds that one run of ffmpeg or ffprobe may take"
    )
    preview_timeout: Annotated[Seconds, Env("MEDIA_PREVIEW_TIMEOUT")] = Field(
        900.0, description="seconds that making one preview may take; it ends early where they are over"
    )
    preview_size: Annotated[Bytes, Env("MEDIA_PREVIEW_SIZE")] = Field(
        1024 * MIB, description="bytes of one preview; it ends early where they are reached"
    )
    tool_memory: Annotated[Bytes, Env("MEDIA_TOOL_MEMORY")] = Field(
        2 * 1024 * MIB, description="bytes of address space of one run of ffmpeg or ffprobe"
    )
    minimum_free: Annotated[int, Env("WORKSPACE_MINIMUM_FREE")] = Field(
        256 * MIB, ge=0, description="bytes that must stay free on the workspace"
    )
