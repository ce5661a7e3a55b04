"""Renders every error in the one form, or as a problem document (RFC 9457) for who asks for that."""

import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.core import context
from app.exceptions.base import AppException, InternalServerException
from app.exceptions.problems import Problem, describe

logger = logging.getLogger(__name__)

JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"


def install_handlers(app: FastAPI) -> None:
    """Give the framework's own errors the one form; the last stands for faults of the middleware itself."""
    for kind in (AppException, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """The handler of every error."""
    return error_response(request.scope, error)


def error_response(scope: Scope, error: Exception) -> Response:
    """The answer to an error. One that is not the client's is logged, with its traceback if it is a fault."""
    problem = describe(error, scope)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log(problem, error)
    facts = {
        "request_id": context.request_id.get() or context.new_request_id(),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    prefers_problem = _prefers_problem(scope)
    form = (_problem_document(problem) if prefers_problem else _error_form(problem)) | facts
    content = json.dumps(form, ensure_ascii=False, separators=(",", ":"), default=str)
    media_type = PROBLEM_TYPE if prefers_problem else JSON_TYPE
    return Response(content.encode("utf-8", "replace"), problem.status, dict(problem.headers), media_type)


def _error_form(problem: Problem) -> dict[str, Any]:
    return {"error": {"code": problem.code, "message": problem.message, "details": problem.details}}


def _problem_document(problem: Problem) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": _phrase(problem.status),
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "details": problem.details,
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # of a protocol of its own, such as 460 of tus
        return "Refused"


def _prefers_problem(scope: Scope) -> bool:
    """Whether the client names the problem type in ``Accept``, and not JSON above it (RFC 9110, 12.5.1)."""
    accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
    if PROBLEM_TYPE not in accept.lower():
        return False
    weights = dict(map(_weight, accept.lower().split(",")))
    return weights.get(PROBLEM_TYPE, 0.0) > 0 and weights[PROBLEM_TYPE] >= weights.get(JSON_TYPE, 0.0)


def _weight(choice: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip() for part in choice.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0


def _log(problem: Problem, error: Exception) -> None:
    if isinstance(error, AppException) and not isinstance(error, InternalServerException):
        logger.warning("request_refused", extra={"code": problem.code, "error": str(error)})
    elif problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        logger.warning("service_unavailable", extra={"error": f"{type(error).__name__}: {error}"})
    else:
        logger.error("request_failed", exc_info=error)
