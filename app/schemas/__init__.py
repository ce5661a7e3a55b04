"""Requests and answers, apart from the tables."""

from app.schemas.base import (
    BaseSchema,
    ErrorResponse,
    PaginatedResponse,
    ProblemResponse,
    Timestamp,
    TimestampSchema,
)
from app.schemas.health import HealthResponse, ReadinessResponse

__all__ = [
    "BaseSchema",
    "ErrorResponse",
    "HealthResponse",
    "PaginatedResponse",
    "ProblemResponse",
    "ReadinessResponse",
    "Timestamp",
    "TimestampSchema",
]
