"""Errors with a status and a code. ``handlers`` renders them."""

from app.exceptions.base import (
    AppException,
    BadRequestException,
    ConflictException,
    ForbiddenException,
    InsufficientStorageException,
    InternalServerException,
    NotFoundException,
    PayloadTooLargeException,
    RequestTimeoutException,
    ServiceUnavailableException,
    UnauthorizedException,
    UnsupportedMediaTypeException,
)

__all__ = [
    "AppException",
    "BadRequestException",
    "ConflictException",
    "ForbiddenException",
    "InsufficientStorageException",
    "InternalServerException",
    "NotFoundException",
    "PayloadTooLargeException",
    "RequestTimeoutException",
    "ServiceUnavailableException",
    "UnauthorizedException",
    "UnsupportedMediaTypeException",
]
