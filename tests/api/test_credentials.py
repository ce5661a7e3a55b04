"""Credentials that are none: every one is a 401 and none a fault of ours."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import func, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import Key, KeyRing
from app.models.session import Session
from app.models.user import User
from app.services.auth.gate import KEY_LENGTH, KEY_PREFIX
from app.services.auth.grants import Grants
from app.services.auth.tokens import ACCESS, LONGEST, RESET, VERIFY, Tokens
from tests.accounts import OTHER, OWNER, bearer, session_of
from tests.serving import serve

ASKING = "/api/v1/sessions"
LATER = int(time.time()) + 10 * 365 * 86400
"""Of a run, however long it takes: the corpus is made when tests are collected."""

Forge = Callable[["Forger"], str]


class Forger:
    """Makes tokens that are right in all but what is changed. It knows the secret, which attackers do not."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.keys = KeyRing.from_settings(settings.auth)
        self.tokens = Tokens(self.keys, settings.auth)
        self.key: Key = self.keys.current(ACCESS)
        self.real = self.tokens.access(OWNER, session_of(OWNER))

    def token(
        self,
        *,
        header: dict[str, Any] | None = None,
        without: str = "",
        key: bytes | None = None,
        digest: str = "sha256",
        **claims: Any,
    ) -> str:
        """Signed by hand, for libraries refuse to make most of what is here."""
        now, auth = int(time.time()), self.settings.auth
        payload = {
            "iss": auth.issuer,
            "aud": auth.audience,
            "sub": str(OWNER),
            "sid": str(session_of(OWNER)),
            "iat": now,
            "exp": now + 900,
            "jti": uuid.uuid4().hex,
        } | claims
        payload.pop(without, None)
        return self.signed(json.dumps(payload).encode(), header, key, digest)

    def signed(
        self,
        payload: bytes,
        header: dict[str, Any] | None = None,
        key: bytes | None = None,
        digest: str = "sha256",
    ) -> str:
        headers = {"alg": "HS256", "typ": ACCESS, "kid": self.key.kid} | (header or {})
        body = f"{coded(json.dumps(headers).encode())}.{coded(payload)}"
        return f"{body}.{coded(hmac.digest(key or self.key.secret, body.encode(), digest))}"

    def parts(self) -> list[str]:
        return self.real.split(".")


def coded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def unsigned(forger: Forger, algorithm: str) -> str:
    header = {"alg": algorithm, "typ": ACCESS, "kid": forger.key.kid}
    return f"{coded(json.dumps(header).encode())}.{forger.parts()[1]}."


def tampered(forger: Forger) -> str:
    header, payload, signature = forger.parts()
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims |= {"sub": str(OTHER), "sid": str(session_of(OTHER))}
    return f"{header}.{coded(json.dumps(claims).encode())}.{signature}"


def with_rsa(forger: Forger) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = jwt.decode(forger.real, options={"verify_signature": False})
    return jwt.encode(claims, key, "RS256", {"typ": ACCESS, "kid": forger.key.kid})


def refresh_token(forger: Forger) -> str:
    grants = Grants(forger.keys, forger.tokens, forger.settings.auth)
    return grants.refresh_tokens.first(session_of(OWNER)).text


def with_header(**header: Any) -> Forge:
    return lambda forger: forger.token(header=header)


def with_claims(**claims: Any) -> Forge:
    return lambda forger: forger.token(**claims)


def without_claim(name: str) -> Forge:
    return lambda forger: forger.token(without=name)


def mailed(kind: str) -> Forge:
    return lambda forger: forger.tokens.mail(kind, OWNER, "stamp")


def with_foreign_key(forger: Forger) -> str:
    return forger.token(key=KeyRing("f" * 40).current(ACCESS).secret)


def with_foreign_ring(forger: Forger) -> str:
    return Tokens(KeyRing("f" * 40), forger.settings.auth).access(OWNER, session_of(OWNER))


CORPUS: dict[str, Forge] = {
    "algorithm none": lambda forger: unsigned(forger, "none"),
    "algorithm None": lambda forger: unsigned(forger, "None"),
    "algorithm HS256 without a signature": lambda forger: unsigned(forger, "HS256"),
    "algorithm HS512 with our key": lambda forger: forger.token(header={"alg": "HS512"}, digest="sha512"),
    "algorithm HS384 with our key": lambda forger: forger.token(header={"alg": "HS384"}, digest="sha384"),
    "signed HS512, header says HS256": lambda forger: forger.token(digest="sha512"),
    "algorithm RS256": with_rsa,
    "header says RS256, signed HS256": with_header(alg="RS256"),
    "foreign key under our kid": with_foreign_key,
    "foreign key, foreign kid": with_foreign_ring,
    "kid that is a path": with_header(kid="../../../../dev/null"),
    "kid that is an address": with_header(kid="https://evil.example/key"),
    "kid that is a query": with_header(kid="' OR 1=1 --"),
    "kid that is empty": with_header(kid=""),
    "kid that is null": with_header(kid=None),
    "kid that is a number": with_header(kid=1),
    "kid that is a list": with_header(kid=[1]),
    "jwk": with_header(jwk={"kty": "oct", "k": "AAAA"}),
    "jku": with_header(jku="https://evil.example/keys"),
    "x5u": with_header(x5u="https://evil.example/certificate"),
    "x5c": with_header(x5c=["AAAA"]),
    "crit": with_header(crit=["exp"]),
    "wrong typ": with_header(typ="JWT"),
    "typ that is null": with_header(typ=None),
    "alg that is a list": with_header(alg=["HS256"]),
    "wrong aud": with_claims(aud="another"),
    "list of aud": with_claims(aud=["holdfast-api"]),
    "wrong iss": with_claims(iss="another"),
    "expired": with_claims(exp=int(time.time()) - 1),
    "not yet valid": with_claims(nbf=LATER),
    "issued in the future": with_claims(iat=LATER),
    "exp that is text": with_claims(exp="never"),
    "exp that is a long past": with_claims(exp=-(10**400)),
    "sub that is no id": with_claims(sub="owner"),
    "sub that is a number": with_claims(sub=1),
    "sid that is no id": with_claims(sid="session"),
    "sid that is a list": with_claims(sid=[str(session_of(OWNER))]),
    **{f"no {name}": without_claim(name) for name in ("exp", "iat", "sub", "iss", "aud", "jti", "sid")},
    "unknown session": with_claims(sid=str(uuid.uuid4())),
    "session of another": with_claims(sid=str(session_of(OTHER))),
    "account that is not the session's": with_claims(sub=str(OTHER)),
    "refresh token": refresh_token,
    "token of a verification mail": mailed(VERIFY),
    "token of a reset mail": mailed(RESET),
    "tampered payload": tampered,
    "tampered signature": lambda forger: (
        forger.real[:-5] + ("A" if forger.real[-5] != "A" else "B") + forger.real[-4:]
    ),
    "no signature": lambda forger: ".".join(forger.parts()[:2]),
    "empty signature": lambda forger: ".".join([*forger.parts()[:2], ""]),
    "four parts": lambda forger: forger.real + ".AAAA",
    "payload that is no object": lambda forger: forger.signed(b"[1]"),
    "payload that is no JSON": lambda forger: forger.signed(b"\xff\xfe"),
    "payload that is nested deeply": lambda forger: forger.signed(b"[" * 2000),
    "payload that is NaN": lambda forger: forger.token(exp=float("nan")),
    "payload that never ends": lambda forger: forger.token(exp=float("inf")),
    "header that is no object": lambda forger: f"{coded(b'[1]')}.{forger.parts()[1]}.AAAA",
    "header that is no JSON": lambda forger: f"AAAA.{forger.parts()[1]}.AAAA",
    "huge": lambda forger: forger.real + "A" * 12_000,
    "just too long": lambda forger: forger.token(more="x" * LONGEST),
    "dots": lambda _: "..",
    "one word": lambda _: "token",
    "not ASCII": lambda _: "é.ü.ß",
    "short API key": lambda _: "hfk_x",
    "unknown API key": lambda _: "hfk_" + "x" * 43,
}


def as_headers(token: str) -> list[tuple[bytes, bytes]]:
    raw = token.encode("latin-1")
    return [(b"Authorization", b"Bearer " + raw), (b"Cookie", b"holdfast_access=" + raw)]


@pytest.fixture
def forger(settings: AppSettings) -> Forger:
    return Forger(settings)


async def test_the_forger_makes_tokens_that_are_right(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    """Without this all tests below would pass for tokens that are wrong in every way."""
    for token in (forger.real, forger.token()):
        for header in as_headers(token):
            assert (await anonymous.get(ASKING, headers=[header])).status_code == 200


async def test_no_forgery_is_let_in(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    """The corpus, as a bearer token and as a cookie; in one application, for its start takes longest."""
    let_in = {}
    for name, forge in CORPUS.items():
        for header in as_headers(forge(forger)):
            answer = await anonymous.get(ASKING, headers=[header])
            if answer.status_code != 401 or answer.json()["error"]["code"] != "unauthorized":
                let_in[name, header[0]] = (answer.status_code, answer.text)
    assert not let_in


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic b3duZXI6eA==", "bearer\t", "Bearer  x y"])
async def test_what_is_no_credential_is_a_401(anonymous: httpx.AsyncClient, header: str) -> None:
    answer = await anonymous.get(ASKING, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
async def test_who_sends_a_wrong_key_is_not_told_to_log_in(anonymous: httpx.AsyncClient, header: str) -> None:
    value = KEY_PREFIX + "x" * (KEY_LENGTH - len(KEY_PREFIX))
    sent = value if header == "X-API-Key" else f"Bearer {value}"
    message = (await anonymous.get("/api/v1/users/me", headers={header: sent})).json()["error"]["message"]
    assert message.startswith("The API key is not valid")
    assert "Log in again" not in message


async def test_an_error_does_not_repeat_the_token(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    answer = await anonymous.get(ASKING, headers={"Authorization": f"Bearer {tampered(forger)}"})
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert all(part not in answer.text for part in forger.parts())


async def test_tokens_of_the_secret_before_hold(settings: AppSettings) -> None:
    old, new = "o" * 40, "n" * 40
    issued = Tokens(KeyRing(old), settings.auth).access(OWNER, session_of(OWNER))
    claims = Tokens(KeyRing(new, old), settings.auth).verify(issued)
    assert (claims.user_id, claims.session_id) == (OWNER, session_of(OWNER))


@pytest.mark.parametrize(
    ("table", "column"),
    [(Session, "revoked_at"), (Session, "expires_at"), (User, "disabled_at"), (User, "deleted_at")],
)
async def test_access_ends_with_the_session_and_the_account(
    settings: AppSettings, sessions: Sessions, table: type[Session] | type[User], column: str
) -> None:
    at_once = settings.model_copy(update={"auth": settings.auth.model_copy(update={"revocation_seconds": 0})})
    async with serve(at_once, headers=bearer(settings)) as http:
        assert (await http.get(ASKING)).status_code == 200
        async with transaction(sessions) as session:
            await session.execute(update(table).values({column: func.now()}))
        assert (await http.get(ASKING)).status_code == 401
