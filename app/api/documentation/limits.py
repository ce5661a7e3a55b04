"""The headers that tell how often one may still ask, in the OpenAPI document."""

from typing import Any, Final

_UNLIMITED: Final = "/api/v1/health"

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "RateLimit-Limit": {
        "description": "Requests of one window.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Remaining": {
        "description": "Requests that are left in this window.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {
        "description": "Seconds until the next window.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "The limit and the seconds of its window, such as `300;w=60`.",
        "schema": {"type": "string", "pattern": r"^\d+;w=\d+$"},
    },
}
RETRY_AFTER: Final[dict[str, Any]] = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def is_limited(path: str) -> bool:
    """Whether a path's answers carry the headers, and 429 can be one of them."""
    return path.startswith("/api/") and not path.startswith(_UNLIMITED)


def declare(document: dict[str, Any], operation: dict[str, Any]) -> None:
    """Name the headers on all answers of an operation."""
    document["components"].setdefault("headers", {}).update(HEADERS)
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
    for status, response in operation["responses"].items():
        own = RETRY_AFTER if status == "429" else {}
        response["headers"] = references | own | response.get("headers", {})
