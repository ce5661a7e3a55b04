"""One effect for many tries: the answer to a request is kept under the key that its sender chose.

The key's row is part of the transaction that it speaks of. So PostgreSQL itself lets a second request with
the same key wait until the first has committed, and then it is answered the same, or has rolled back, by an
error or because its process died, and then it goes on. There is no state that a crash could leave behind.
"""

import base64
import hmac
import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import ColumnElement, Select, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import KeyRing, digest
from app.exceptions.base import IdempotencyInProgressException, IdempotencyKeyReusedException
from app.models.base import new_id
from app.models.idempotency_key import IdempotencyKey

PATIENCE: Final = 10.0
"""Seconds that a request waits for another with the same key."""

OPERATION_LENGTH: Final = 200

_PURPOSE: Final = "idempotency"
_LOCK_NOT_AVAILABLE: Final = "55P03"


@dataclass(frozen=True, slots=True)
class Claim:
    """A key of an account for one operation. Another account's, or that of another path, is another."""

    user_id: uuid.UUID
    operation: str
    key: str = field(repr=False)

    @property
    def key_hash(self) -> str:
        """What is stored of the key."""
        return digest(self.key)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, and is answered again."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


async def claim_key(
    session: AsyncSession,
    claim: Claim,
    *,
    fingerprint: str,
    keys: KeyRing,
    hours: int,
    patience: float = PATIENCE,
) -> Answer | None:
    """Take a key for this transaction, or give the answer that was kept under it.

    Args:
        session: the transaction of the effect.
        claim: whose key, and for what.
        fingerprint: SHA-256 of what is asked, in hexadecimal.
        keys: what answers are encrypted with.
        hours: how long the key is kept.
        patience: seconds to wait for another request with the same key.

    Raises:
        IdempotencyKeyReusedException: the key stands for something else, or its answer cannot be read.
        IdempotencyInProgressException: another request with the key did not end in time.
    """
    if await _insert(session, claim, fingerprint, hours, patience):
        return None
    kept = (await session.execute(_row(claim))).scalar_one()
    if not hmac.compare_digest(kept.fingerprint, fingerprint):
        raise IdempotencyKeyReusedException
    return _opened(kept, claim, keys)


async def is_answered(session: AsyncSession, claim: Claim) -> bool:
    """Whether an answer is kept under a key, without waiting for who may be at it."""
    kept = _row(claim).where(IdempotencyKey.answer.is_not(None), IdempotencyKey.expires_at > func.now())
    return await session.scalar(kept) is not None


async def keep_answer(session: AsyncSession, claim: Claim, answer: Answer, *, keys: KeyRing) -> None:
    """Keep the answer under the key that this transaction took."""
    content = {"headers": answer.headers, "body": base64.b64encode(answer.body).decode()}
    sealed = _cipher(claim, keys).encrypt(json.dumps(content).encode())
    await session.execute(
        update(IdempotencyKey).where(*_is(claim)).values(status=answer.status, answer=sealed)
    )


async def release_key(session: AsyncSession, claim: Claim) -> None:
    """Give back the key that this transaction took: nothing was done."""
    await session.execute(delete(IdempotencyKey).where(*_is(claim)))


async def prune_keys(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to ``limit`` keys whose time has been over for ``days`` days; gives how many."""
    old = (
        select(IdempotencyKey.id)
        .where(IdempotencyKey.expires_at <= func.now() - literal(timedelta(days=days)))
        .order_by(IdempotencyKey.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = await session.scalars(
        delete(IdempotencyKey).where(IdempotencyKey.id.in_(old)).returning(IdempotencyKey.id)
    )
    return len(deleted.all())


async def _insert(session: AsyncSession, claim: Claim, fingerprint: str, hours: int, patience: float) -> bool:
    """Whether the key is this transaction's now: it was free, or its time was over."""
    values = {"fingerprint": fingerprint, "expires_at": func.now() + literal(timedelta(hours=hours))}
    statement = insert(IdempotencyKey).values(
        id=new_id(), user_id=claim.user_id, operation=claim.operation, key_hash=claim.key_hash, **values
    )
    statement = statement.on_conflict_do_update(
        index_elements=["user_id", "operation", "key_hash"],
        set_=values | {"status": None, "answer": None, "created_at": func.now(), "updated_at": func.now()},
        where=IdempotencyKey.expires_at <= func.now(),
    )
    try:
        # Of this transaction alone. It stays: nothing else here should wait longer for a lock either.
        await session.execute(
            text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": f"{int(patience * 1000)}ms"}
        )
        taken = await session.execute(statement.returning(IdempotencyKey.id))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgressException(headers={"Retry-After": "1"}) from error
        raise
    return taken.first() is not None


def _row(claim: Claim) -> Select[IdempotencyKey]:
    return select(IdempotencyKey).where(*_is(claim))


def _is(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.user_id == claim.user_id,
        IdempotencyKey.operation == claim.operation,
        IdempotencyKey.key_hash == claim.key_hash,
    )


def _opened(kept: IdempotencyKey, claim: Claim, keys: KeyRing) -> Answer:
    try:
        content = json.loads(_cipher(claim, keys).decrypt(kept.answer or b""))
    except InvalidToken as error:
        raise IdempotencyKeyReusedException(
            "This Idempotency-Key was used, and SECRET_KEY has changed since: its answer cannot be read any "
            "more. See whether what you wanted exists, and use another key for anything new."
        ) from error
    assert kept.status is not None  # noqa: S101 - written with the answer; this tells the type checker
    return Answer(kept.status, content["headers"], base64.b64decode(content["body"]))


def _cipher(claim: Claim, keys: KeyRing) -> MultiFernet:
    """Nobody opens an answer without both our secret and the sender's key, and the row has neither."""
    context = f"{claim.user_id} {claim.operation} {claim.key}".encode()
    derived = (hmac.digest(key.secret, context, "sha256") for key in keys.accepted(_PURPOSE))
    return MultiFernet([Fernet(base64.urlsafe_b64encode(secret)) for secret in derived])
