"""The errors that this system answers with. One handler renders them all."""

from typing import Any, ClassVar


class AppException(Exception):
    """An error with a status, a code that programs read, and a message that says what to do.

    Args:
        message: for people; the class's own where it is not given.
        details: JSON-like, for programs; never a secret.
        headers: response headers, such as ``Retry-After``.
    """

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    default_message: ClassVar[str] = (
        "Something went wrong on our side. Try again, and report the request id if it stays."
    )

    def __init__(
        self, message: str | None = None, *, details: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        self.message = message or self.default_message
        self.details = details
        self.headers = headers or {}
        super().__init__(self.message)


class BadRequestException(AppException):
    """The request cannot be understood or carried out as it is."""

    status_code = 400
    code = "bad_request"
    default_message = "The request is not valid."


class UnauthorizedException(AppException):
    """No credential, or one that is not valid (RFC 9110, section 15.5.2)."""

    status_code = 401
    code = "unauthorized"
    default_message = "A valid credential is needed."


class ForbiddenException(AppException):
    """The caller may not do this."""

    status_code = 403
    code = "forbidden"
    default_message = "You may not do this."


class NotFoundException(AppException):
    """What was asked for does not exist, or is not the caller's to see."""

    status_code = 404
    code = "not_found"
    default_message = "Not found."


class ConflictException(AppException):
    """The state of the thing does not allow this now."""

    status_code = 409
    code = "conflict"
    default_message = "This is not possible in the present state."


class IdempotencyKeyReusedException(ConflictException):
    """The key of this request stands for another one."""

    code = "idempotency_key_reused"
    default_message = "This Idempotency-Key was used for another request. Send each new request a new key."


class IdempotencyInProgressException(ConflictException):
    """The first request with the key has not ended; ``Retry-After`` says when to try again."""

    code = "idempotency_in_progress"
    default_message = "The first request with this Idempotency-Key is still being worked on. Try again."


class PayloadTooLargeException(AppException):
    """The body is over the limit (RFC 9110, section 15.5.14)."""

    status_code = 413
    code = "payload_too_large"
    default_message = "The request body is too large."


class UnsupportedMediaTypeException(AppException):
    """The content is of a type that is not accepted (RFC 9110, section 15.5.16)."""

    status_code = 415
    code = "unsupported_media_type"
    default_message = "This type of content is not accepted."


class RequestTimeoutException(AppException):
    """The body did not arrive in time (RFC 9110, section 15.5.9)."""

    status_code = 408
    code = "request_timeout"
    default_message = "The request body did not arrive in time."


class TooManyRequestsException(AppException):
    """Over a limit (RFC 6585, section 4); ``Retry-After`` says when to try again."""

    status_code = 429
    code = "too_many_requests"
    default_message = "Too many requests. Try again later."


class ServiceUnavailableException(AppException):
    """Something that this needs is away for the moment."""

    status_code = 503
    code = "service_unavailable"
    default_message = "This is not available at the moment. Try again shortly."


class InsufficientStorageException(AppException):
    """The workspace is full, missing or read-only (RFC 4918, section 11.5)."""

    status_code = 507
    code = "insufficient_storage"
    default_message = "There is no room to store this at the moment."


class InternalServerException(AppException):
    """A fault of this system."""
