"""How often one may ask."""

from http import HTTPStatus
from typing import Final, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config.groups import RateLimitSettings
from app.core.frontend import ASSETS
from app.core.limits import Allowances, Limit, Standing
from app.exceptions.base import TooManyRequestsException
from app.middleware.access_log import PROBES
from app.services.auth.gate import ACCESS_COOKIE, Gate
from app.services.auth.network import network_of

DOCUMENTATION: Final = "/docs/assets/"

REGISTRATION: Final = frozenset({("POST", "/api/v1/auth/register")})
MAILS: Final = frozenset(
    {
        ("POST", "/api/v1/auth/password/forgot"),
        ("POST", "/api/v1/auth/password/reset"),
        ("POST", "/api/v1/auth/verify-email"),
        ("POST", "/api/v1/auth/verify-email/resend"),
    }
)
"""What causes mails, or tries the links in them."""


class RateLimits:
    """Refuses whom a limit does not allow any more, and tells all others how they stand.

    A request with a credential that can be verified counts for its account or API key, so that an office
    behind one address is not one caller; any other counts for its address, IPv6 by /64. What a stranger can
    make this system do at some cost has a strict limit for each address besides, counted exactly.

    The headers are those of draft-ietf-httpapi-ratelimit-headers, before its version 8.

    Args:
        limits: RATE_LIMIT_DEFAULT, RATE_LIMIT_ACCOUNT, RATE_LIMIT_REGISTER and RATE_LIMIT_RESET.
        assets: whether the front end's are served here.
    """

    def __init__(self, app: ASGIApp, limits: RateLimitSettings, *, assets: bool = False) -> None:
        self.app = app
        self._free = (DOCUMENTATION, ASSETS) if assets else (DOCUMENTATION,)
        self._address = Limit.parse(limits.default)
        self._account = Limit.parse(limits.account)
        registration, reset = Limit.parse(limits.registration), Limit.parse(limits.reset)
        self._strict = dict.fromkeys(REGISTRATION, ("register", registration)) | dict.fromkeys(
            MAILS, ("reset", reset)
        )
        limited = {self._address, self._account, registration, reset}
        self._policies = {limit: _policy(limit) for limit in limited}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or self._is_free(scope):
            await self.app(scope, receive, send)
            return
        headers = self._headers(await self._standing(scope))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and not _tells_of_a_limit(message):
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _is_free(self, scope: Scope) -> bool:
        """Probes, which must not fail for a busy neighbour; preflights; the scripts of pages."""
        path = scope["path"]
        return path in PROBES or scope["method"] == "OPTIONS" or path.startswith(self._free)

    async def _standing(self, scope: Scope) -> Standing:
        """How the caller stands, by the strict limit where there is one.

        Raises:
            TooManyRequestsException: a limit does not allow this request.
        """
        allowances = cast("Allowances", scope["state"]["allowances"])
        network = network_of(scope["client"][0] if scope.get("client") else None)
        caller = _caller(scope)
        if caller is None:
            standing = await allowances.spend(self._address, f"address:{network}")
        else:
            standing = await allowances.spend(self._account, f"account:{caller}")
        strict = self._strict.get((scope["method"], scope["path"]))
        if standing.is_allowed and strict is not None:
            name, limit = strict
            standing = await allowances.spend(limit, f"{name}:{network}", chunk=1)
        if not standing.is_allowed:
            raise self._refusal(standing)
        return standing

    def _headers(self, standing: Standing) -> list[tuple[bytes, bytes]]:
        return [
            *self._policies[standing.limit],
            (b"ratelimit-remaining", b"%d" % standing.remaining),
            (b"ratelimit-reset", b"%d" % standing.wait),
        ]

    def _refusal(self, standing: Standing) -> TooManyRequestsException:
        headers = {name.decode(): value.decode() for name, value in self._headers(standing)}
        return TooManyRequestsException(
            f"Too many requests. Try again in {standing.wait} seconds.",
            headers=headers | {"Retry-After": str(standing.wait)},
        )


def _policy(limit: Limit) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that say what the limit is; they are the same for everybody."""
    return (
        (b"ratelimit-limit", b"%d" % limit.amount),
        (b"ratelimit-policy", b"%d;w=%d" % (limit.amount, limit.seconds)),
    )


def _tells_of_a_limit(message: Message) -> bool:
    """Whether a limit inside has refused: that one counts, not how the caller stands here."""
    return message["status"] == HTTPStatus.TOO_MANY_REQUESTS and any(
        name.lower() == b"ratelimit-limit" for name, _ in message.get("headers", ())
    )


def _caller(scope: Scope) -> str | None:
    """The account or API key, where a credential tells; in the order in which routes look for one."""
    credential = _credential(scope)
    if credential is None:
        return None
    known = cast("Gate", scope["state"]["gate"]).glance(credential)
    return known.hex if known else None


def _credential(scope: Scope) -> str | None:
    key: str | None = None
    cookie: str | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credential = str(value, "latin-1").partition(" ")
            if scheme.lower() == "bearer":
                return credential.strip()
        elif name == b"x-api-key":
            key = str(value, "latin-1")
        elif name == b"cookie":
            cookie = _cookie(str(value, "latin-1")) or cookie
    return key or cookie


def _cookie(text: str) -> str | None:
    for part in text.split(";"):
        name, _, value = part.strip().partition("=")
        if name == ACCESS_COOKIE:
            return value
    return None
