"""Hashes of passwords, and the one that nobody has."""

import pytest
from argon2 import extract_parameters

from app.core.config.groups import AuthSettings
from app.services.auth.passwords import Passwords

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
