"""Which passwords may be chosen."""

import pytest
from pydantic import TypeAdapter, ValidationError

from app.schemas.passwords import COMMONEST, LONGEST, SHORTEST, NewPassword

NEW: TypeAdapter[object] = TypeAdapter(NewPassword)


@pytest.mark.parametrize(
    "password", ["a long enough one", "ten chars!", "пароль-подлиннее", "x1" * 50 + "yz"]
)
def test_any_long_password_may_be_chosen(password: str) -> None:
    NEW.validate_python(password)


@pytest.mark.parametrize("password", ["", "nine char", "y" + "xz" * (LONGEST // 2) + "w"])
def test_short_and_endless_passwords_are_refused(password: str) -> None:
    assert not SHORTEST <= len(password) <= LONGEST
    with pytest.raises(ValidationError):
        NEW.validate_python(password)


@pytest.mark.parametrize(
    "password", ["password123", "QWERTYUIOP", "1234567890", "1212121212", "aaaaaaaaaaaaaaa"]
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match="first that are guessed"):
        NEW.validate_python(password)


def test_the_list_names_only_what_is_long_enough_and_in_lower_case() -> None:
    assert all(len(word) >= SHORTEST - 1 and word == word.lower() for word in COMMONEST)
