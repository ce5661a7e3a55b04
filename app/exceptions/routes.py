"""What the application's routes offer to who asked for something else."""

import re
from difflib import get_close_matches
from functools import lru_cache

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts


@lru_cache(maxsize=4)
def _routes(app: FastAPI) -> tuple[tuple[str, re.Pattern[str], frozenset[str]], ...]:
    """Every route's template, pattern and methods; read once, for routes do not change while serving."""
    return tuple(
        (route.path_format or "", route.path_regex, frozenset(route.methods or ()))
        for route in iter_route_contexts(app.routes)
        if route.methods
    )


def nearest_path(app: FastAPI, path: str) -> str | None:
    """The template of the route that resembles an unknown path most, or None where none does."""
    templates = dict.fromkeys(template for template, _, _ in _routes(app))
    return next(iter(get_close_matches(path, templates, n=1, cutoff=0.6)), None)


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Every method that some route answers at this path (RFC 9110, section 10.2.1).

    A path that is a route's own, as `/media/usage`, is not meant by those that would take it for a value.
    """
    matching = [route for route in _routes(app) if route[1].match(path)]
    own = [route for route in matching if route[0] == path]
    return sorted(set().union(*(methods for _, _, methods in own or matching)))
