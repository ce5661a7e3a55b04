"""The OpenAPI document: what the API is, and every error that each operation can answer with."""

from typing import Any, Final

from fastapi import FastAPI

from app.api.documentation import limits
from app.core.config import AppSettings
from app.schemas.base import ErrorResponse, ProblemResponse

TAGS: Final = (
    {"name": "info", "description": "What this installation is and offers."},
    {"name": "health", "description": "How it is: for probes, load balancers and people."},
    {"name": "auth", "description": "Register, log in, refresh, log out, change the password."},
    {"name": "users", "description": "The account: seen, changed, copied, deleted."},
    {"name": "sessions", "description": "Where the account is logged in, and the end of that."},
    {"name": "api-keys", "description": "Keys of programs: scoped, expiring, shown once."},
    {"name": "admin", "description": "For administrators: accounts and the audit log."},
    {"name": "jobs", "description": "Durable work: once accepted, it is done, whatever dies meanwhile."},
    {
        "name": "media",
        "description": "Files: uploaded, probed, and shown as thumbnail, poster, preview and waveform.",
    },
    {"name": "uploads", "description": "Resumable uploads by the protocol tus 1.0.0."},
    {"name": "operations", "description": "For who runs it."},
)
DESCRIPTION: Final = """
What it accepted, it holds: an accepted job or upload survives the death of any process, of the broker and of
the machine's power.

Every error has one form, `{"error": {"code", "message", "details"}, "request_id", "timestamp"}`; with
`Accept: application/problem+json` it is a problem document (RFC 9457). Every answer carries `X-Request-ID`,
which the log lines of its request, and of the jobs that it started, carry too.
""".strip()

ALWAYS: Final = {
    "400": "The request is framed wrongly, or for a host that is not served here.",
    "500": "A fault of this system; the log has it under the same request id.",
    "503": "PostgreSQL or Redis is away. Try again after `Retry-After` seconds.",
}
WITH_INPUT: Final = {
    "422": "A value is not valid: `details` names field, location and reason of each fault.",
    "431": "The address and the headers are too long to be read.",
}
WITH_PATH_VALUE: Final = {"404": "There is no such thing, or it is not yours."}
WITH_BODY: Final = {
    "408": "The body stopped coming, or came too slowly.",
    "413": "The body is too large.",
}
WITH_CREDENTIAL: Final = {
    "401": "No credential, or one that is malformed, has expired or was revoked.",
    "403": "The credential lacks a scope, or a request by cookie its CSRF token.",
}
LIMITED: Final = {"429": "Too many requests. Try again after `Retry-After` seconds."}
WITH_IDEMPOTENCY: Final = {"409": "The `Idempotency-Key` stands for another request, or is in use."}
METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def described(settings: AppSettings) -> dict[str, Any]:
    """The arguments of ``FastAPI`` that name the API. Its pages, which load from the internet, are off."""
    return {
        "title": settings.app_name,
        "version": settings.app_version,
        "summary": "Jobs and media that survive what happens to the machine.",
        "description": DESCRIPTION,
        "openapi_tags": list(TAGS),
        "openapi_url": None,
        "docs_url": None,
        "redoc_url": None,
    }


def install(app: FastAPI) -> None:
    """Let the application's document name its errors."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = with_errors(build())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of extending the document


def with_errors(document: dict[str, Any]) -> dict[str, Any]:
    """The document with each operation's errors declared, in both forms."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (ErrorResponse, ProblemResponse):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                _declare(operation, _errors(path, operation))
                if limits.is_limited(path):
                    limits.declare(document, operation)
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    return document


def _declare(operation: dict[str, Any], errors: dict[str, str]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status, description in errors.items():
        responses.setdefault(status, {"description": description})
    for status, response in responses.items():
        if status >= "400":
            response["content"] = _content() | response.get("content", {})
    operation["responses"] = dict(sorted(responses.items()))


def _errors(path: str, operation: dict[str, Any]) -> dict[str, str]:
    errors = dict(ALWAYS)
    if "parameters" in operation or "requestBody" in operation:
        errors |= WITH_INPUT
    if "security" in operation:
        errors |= WITH_CREDENTIAL
    if limits.is_limited(path):
        errors |= LIMITED
    if "{" in path:
        errors |= WITH_PATH_VALUE
    if "requestBody" in operation:
        errors |= WITH_BODY
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
        errors |= WITH_IDEMPOTENCY
    return errors


def _content() -> dict[str, Any]:
    return {
        "application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}},
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemResponse"}},
    }
