"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), in requests and answers."""

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Annotated, Final, Literal

from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError

from app.api.idempotency import IdempotentRoute
from app.exceptions.base import AppException, BadRequestException, UnsupportedMediaTypeException
from app.models.upload import Upload
from app.services.media.resumable import Checksum

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,termination,checksum,expiration"
ALGORITHMS: Final = ("sha1", "sha256", "sha512")
CONTENT_TYPE: Final = "application/offset+octet-stream"
MEDIA_ID: Final = "Holdfast-Media-Id"

TusVersion = Annotated[
    Literal["1.0.0"], Header(alias="Tus-Resumable", description="The version that is spoken.")
]
UploadLength = Annotated[int, Header(alias="Upload-Length", ge=1, description="Bytes of the whole file.")]
UploadOffset = Annotated[int, Header(alias="Upload-Offset", ge=0, description="Where these bytes begin.")]
UploadMetadata = Annotated[
    str | None,
    Header(
        alias="Upload-Metadata",
        max_length=8192,
        description="Keys and values in base64, such as `filename aG9saWRheS5tcDQ=`.",
    ),
]
UploadChecksum = Annotated[
    str | None,
    Header(
        alias="Upload-Checksum",
        max_length=200,
        description=f"Of this body: {', '.join(ALGORITHMS)}, a space, and the digest in base64.",
    ),
]

_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_NAMES: Final = ("filename", "name")


class VersionNotSupportedException(AppException):
    """The client speaks another version, or does not say which (tus 1.0.0, core protocol)."""

    status_code = 412
    code = "tus_version_not_supported"
    default_message = f"Say `Tus-Resumable: {VERSION}`: no other version is spoken here."


class TusRoute(IdempotentRoute):
    """Names the version on every answer, errors too, and refuses others as the protocol says."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler, between the two."""
        handle = super().get_route_handler()

        async def handle_version(request: Request) -> Response:
            try:
                response = await handle(request)
            except RequestValidationError as error:
                if any(fault["loc"] == ("header", "Tus-Resumable") for fault in error.errors()):
                    headers = {"Tus-Resumable": VERSION, "Tus-Version": VERSION}
                    raise VersionNotSupportedException(headers=headers) from error
                raise
            except AppException as error:
                error.headers.setdefault("Tus-Resumable", VERSION)
                raise
            response.headers["Tus-Resumable"] = VERSION
            return response

        return handle_version


def filename_of(metadata: str | None) -> str | None:
    """What the file is called.

    Raises:
        BadRequestException: the header is malformed.
    """
    values = dict(_pair(pair) for pair in metadata.split(",")) if metadata else {}
    name = next((values[name] for name in _NAMES if values.get(name)), None)
    # PostgreSQL holds no NUL; more of what names may not have goes where the name is shown.
    return name.decode(errors="replace").replace("\0", "") if name else None


def _pair(text: str) -> tuple[str, bytes]:
    key, _, value = text.strip().partition(" ")
    try:
        if not _KEY.fullmatch(key):
            raise ValueError(key)
        return key, base64.b64decode(value.strip(), validate=True)
    except ValueError as error:
        raise BadRequestException(
            "Upload-Metadata is malformed: send keys and base64 values, with commas between the pairs."
        ) from error


def checksum_of(header: str | None) -> Checksum | None:
    """What the body must hash to; None where nothing was said.

    Raises:
        BadRequestException: the header is malformed, or its algorithm is not known.
    """
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequestException(f"Upload-Checksum must use one of {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise BadRequestException(f"Upload-Checksum holds no {algorithm} digest in base64.")
    return Checksum(algorithm, digest)


def require_content_type(request: Request) -> None:
    """See that the body is said to be a piece of a file.

    Raises:
        UnsupportedMediaTypeException: it is not.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE:
        raise UnsupportedMediaTypeException(f"Send the bytes as Content-Type: {CONTENT_TYPE}.")


def progress(upload: Upload) -> dict[str, str]:
    """The headers that tell how far an upload is."""
    headers = {"Upload-Offset": str(upload.received)}
    if upload.finished_at is None:
        headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    if upload.media_id is not None:
        headers[MEDIA_ID] = str(upload.media_id)
    return headers
