"""``Idempotency-Key`` on POSTs that create (draft-ietf-httpapi-idempotency-key-header).

A router whose class of routes is ``IdempotentRoute`` names, at each route that creates, the dependency
``idempotent(scopes)``; the scopes are those of the route's principal.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from app.api.credentials import needs
from app.api.deps import SessionDep, state_of
from app.exceptions.base import BadRequestException
from app.services.auth.principal import Principal
from app.services.auth.scopes import Scope
from app.services.idempotency import (
    OPERATION_LENGTH,
    Answer,
    Claim,
    claim_key,
    is_answered,
    keep_answer,
    release_key,
)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LONGEST: Final = 255

KEPT_HEADERS: Final = (
    *("content-type", "location", "etag", "cache-control"),
    *("upload-offset", "upload-expires", "holdfast-media-id"),
)

_VISIBLE: Final = rf"[\x21-\x7e]{{1,{LONGEST}}}"
_SCOPE: Final = "holdfast.idempotency"

_Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description=(
            f"1 to {LONGEST} visible ASCII characters that stand for this request, e.g. a UUID. Sent again "
            "with the same key, it has no second effect and gets the same answer."
        ),
        json_schema_extra={"pattern": rf"^{_VISIBLE}$"},
    ),
]


class Replay(Exception):
    """This was answered before: no error, it ends the request with that answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Once:
    """What a request with a key may do once. A request without one does nothing here."""

    def __init__(self, request: Request, session: SessionDep, principal: Principal, key: str | None) -> None:
        self._request = request
        self._session = session
        self._principal = principal
        self._key = key

    @property
    def has_key(self) -> bool:
        """Whether the request has one."""
        return self._key is not None

    async def begin(self, fingerprint: str) -> None:
        """Take the key; to be called before any effect.

        Args:
            fingerprint: SHA-256 of what is asked, in hexadecimal.

        Raises:
            Replay: it was answered before.
            BadRequestException: the key is malformed.
            ConflictException: the key stands for something else, or is in use.
        """
        if self._key is None:
            return
        state = state_of(self._request)
        answer = await claim_key(
            self._session,
            self._claim(self._key),
            fingerprint=fingerprint,
            keys=state["keys"],
            hours=state["settings"].rate_limit.idempotency_hours,
        )
        if answer is not None:
            raise Replay(answer)
        self._request.scope[_SCOPE] = self

    async def is_answered(self) -> bool:
        """Whether this was answered before: a look, in a transaction of its own, that takes nothing."""
        if self._key is None:
            return False
        async with state_of(self._request)["readings"]() as session:
            return await is_answered(session, self._claim(self._key))

    async def end(self, response: Response) -> None:
        """Keep an answer that tells of success, and give the key back otherwise."""
        assert self._key is not None  # noqa: S101 - it began; this tells the type checker
        claim = self._claim(self._key)
        if not 200 <= response.status_code < 300:
            await release_key(self._session, claim)
            return
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        answer = Answer(response.status_code, headers, bytes(response.body))
        await keep_answer(self._session, claim, answer, keys=state_of(self._request)["keys"])

    def _claim(self, key: str) -> Claim:
        if not re.fullmatch(_VISIBLE, key):
            raise BadRequestException(f"{HEADER} must have 1 to {LONGEST} visible ASCII characters.")
        operation = f"{self._request.method} {self._request.url.path}"
        return Claim(self._principal.user_id, operation[:OPERATION_LENGTH], key)


class IdempotentRoute(APIRoute):
    """Keeps the answer after it is made and before the transaction commits; answers what was kept."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """FastAPI's own handler, inside the transaction's dependency."""
        handle = super().get_route_handler()

        async def handle_once(request: Request) -> Response:
            try:
                response = await handle(request)
            except Replay as replay:
                return _replayed(replay.answer)
            once: Once | None = request.scope.get(_SCOPE)
            if once is not None:
                await once.end(response)
            return response

        return handle_once


def _replayed(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers | {REPLAYED: "true"})


def later(*scopes: Scope) -> Any:
    """The dependency on a ``Once`` that the route itself begins, for requests too large to be read first."""
    principal_with_scopes = needs(*scopes)

    async def once(
        request: Request, session: SessionDep, principal: Principal = principal_with_scopes, key: _Key = None
    ) -> Once:
        return Once(request, session, principal, key)

    return Depends(once)


def idempotent(*scopes: Scope) -> Any:
    """The dependency that makes a POST with a key happen once."""
    once_with_scopes = later(*scopes)

    async def begin(request: Request, once: Once = once_with_scopes) -> None:
        await once.begin(fingerprint(request.scope["query_string"], await request.body()))

    return Depends(begin)


def fingerprint(*parts: bytes) -> str:
    """The SHA-256 of what is asked; where one part ends and the next begins counts too."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8))
        hashed.update(part)
    return hashed.hexdigest()
