"""Hashes of passwords, and the one that nobody has."""

import asyncio
import threading

import pytest
from argon2 import extract_parameters

from app.core.config.groups import AuthSettings
from app.exceptions.base import ServiceUnavailableException
from app.services.auth.passwords import AT_ONCE, MOST_WAITING, Passwords
from tests.servers import DEADLINE

AUTH = AuthSettings(password_memory=1024, password_passes=1)


async def test_a_password_fits_its_hash_and_no_other() -> None:
    passwords = Passwords(AUTH)
    stored = await passwords.hash("one")
    assert await passwords.verify("one", stored) == (True, None)
    assert await passwords.verify("other", stored) == (False, None)


async def test_the_hash_that_nobody_has_costs_what_those_of_people_cost() -> None:
    passwords = Passwords(AUTH)
    assert extract_parameters(passwords._dummy) == extract_parameters(await passwords.hash("one"))


async def test_without_a_hash_no_password_fits() -> None:
    assert await Passwords(AUTH).verify("one", None) == (False, None)


async def test_without_a_hash_the_same_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, hashes = Passwords(AUTH), []

    def verify(_password: str, stored: str) -> tuple[bool, None]:
        hashes.append(stored)
        return True, None

    monkeypatch.setattr(passwords._hash, "verify_and_update", verify)
    assert await passwords.verify("one", None) == (False, None)
    assert hashes == [passwords._dummy]


@pytest.mark.parametrize("stored", ["", "plain", "$2b$12$abc", "$argon2id$broken"])
async def test_a_hash_of_another_kind_fits_nothing(stored: str) -> None:
    assert await Passwords(AUTH).verify("one", stored) == (False, None)


async def test_whoever_comes_to_a_long_queue_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, go_on = Passwords(AUTH), threading.Event()

    def verify(_password: str, _stored: str) -> tuple[bool, None]:
        return go_on.wait(DEADLINE), None

    monkeypatch.setattr(passwords._hash, "verify_and_update", verify)
    try:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            queue = [
                group.create_task(passwords.verify("one", "some")) for _ in range(AT_ONCE + MOST_WAITING)
            ]
            while (
                limiter := passwords._limiter
            ) is None or limiter.statistics().tasks_waiting < MOST_WAITING:
                await asyncio.sleep(0)
            with pytest.raises(ServiceUnavailableException) as refused:
                await passwords.hash("another")
            go_on.set()
    finally:
        go_on.set()
    assert int(refused.value.headers["Retry-After"]) > 0
    assert [task.result() for task in queue] == [(True, None)] * len(queue)
