"""Answers that nobody may keep."""

from fastapi import Response


def uncached(response: Response) -> None:
    """Keep an answer out of every cache (RFC 9111, section 5.2.2.5; RFC 6749, section 5.1)."""
    response.headers["Cache-Control"] = "no-store"
