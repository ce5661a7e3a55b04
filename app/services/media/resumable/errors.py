"""What a resumable upload is refused with (tus 1.0.0)."""

from app.exceptions.base import AppException, ConflictException


class OffsetMismatchException(ConflictException):
    """The client would go on elsewhere than where the upload ends; details tell where that is."""

    code = "offset_mismatch"


class InterruptedException(ConflictException):
    """Another request has gone on with this upload."""

    code = "upload_interrupted"
    default_message = "Another request has gone on with this upload: ask for its offset and go on from there."


class UploadGoneException(AppException):
    """It has expired, or its bytes were lost (RFC 9110, section 15.5.11)."""

    status_code = 410
    code = "gone"
    default_message = "This upload has expired. Start a new one."


class UploadLockedException(AppException):
    """Somebody else is sending it right now (RFC 4918, section 11.3)."""

    status_code = 423
    code = "locked"
    default_message = "Another request is sending this upload right now. Try again shortly."


class ChecksumMismatchException(AppException):
    """The bytes are not those that the client meant; none of them is kept (tus 1.0.0, checksum)."""

    status_code = 460
    code = "checksum_mismatch"
    default_message = "The checksum does not match what arrived: nothing was kept. Send it again."
