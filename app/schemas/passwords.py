"""Which passwords people may choose: long ones, and none of those that are tried first."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

SHORTEST: Final = 10
LONGEST: Final = 256
"""Characters of a password. Length is what counts (NIST SP 800-63B, section 5.1.1)."""

FEWEST: Final = 4
"""Different characters of a password; fewer are repetitions, such as 1212121212."""

# Those of ten characters and more that stand on top of every list of leaked passwords.
COMMONEST: Final = frozenset(
    """
    0123456789 0987654321 1234567890 1234567891 12345678910 123456789a 123456789q 123456789qwe 1234qwerasdf
    1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc 1qazxsw23edc a123456789 abc123456789 abcd123456 abcdefghij admin12345
    admin123456 administrator asdfghjkl; asdfghjkl1 basketball changeme123 changethis computer123 dragon12345
    football123 iloveyou12 iloveyou123 jennifer12 letmein123 letmein1234 liverpool1 manchester michelle12
    monkey12345 myspace123 p@ssw0rd123 p@ssword123 pass123456 passw0rd123 password00 password01 password10
    password11 password12 password123 password123! password1234 password12345 password123456 password2024
    password2025 password2026 princess12 princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedc123 qazwsxedcrfv
    qwer1234qwer qwerty1234 qwerty12345 qwerty123456 qwertyuiop qwertyuiop123 sunshine12 sunshine123
    superman12 unbelievable welcome123 welcome1234 zaq12wsxcde3 zxcvbnm123 zxcvbnm,./
    """.split()  # noqa: SIM905 - as a list it would fill a page
)


def _uncommon(password: SecretStr) -> SecretStr:
    text = password.get_secret_value()
    if text.lower() in COMMONEST or len(set(text)) < FEWEST:
        raise PydanticCustomError("common_password", "This password is one of the first that are guessed")
    return password


def _writable(password: SecretStr) -> SecretStr:
    # JSON can hold half of a surrogate pair, which is no text: it has no bytes to hash.
    if any("\ud800" <= character <= "\udfff" for character in password.get_secret_value()):
        raise PydanticCustomError("no_text", "The password holds half of a character")
    return password


_Writable: Final = AfterValidator(_writable)

NewPassword = Annotated[
    SecretStr, Field(min_length=SHORTEST, max_length=LONGEST), _Writable, AfterValidator(_uncommon)
]
"""A password to be set."""

GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST), _Writable]
"""A password to be compared with the one that is set."""
