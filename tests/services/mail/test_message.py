"""The form of mails."""

import email
from email.policy import SMTP

import pytest

from app.services.mail import Letter, compose

SENDER = "Holdfast <no-reply@mail.example.org>"


def letter(**changes: str) -> Letter:
    return Letter(**({"recipient": "anna@example.org", "subject": "Hello", "text": "A text.\n"} | changes))


def test_a_message_says_from_whom_to_whom_when_and_which() -> None:
    message = compose(letter(), sender=SENDER, name="0190")
    assert (message["From"], message["To"]) == (SENDER, "anna@example.org")
    assert message["Message-ID"] == "<0190@mail.example.org>"
    assert message["Date"].datetime.tzinfo is not None
    assert message["Auto-Submitted"] == "auto-generated"


def test_the_text_is_plain_and_arrives_as_it_was() -> None:
    text = "Zeile eins: äöü\n" + "x" * 1500 + "\n.\nFrom here\n"
    raw = compose(letter(text=text), sender=SENDER, name="1").as_bytes()
    read = email.message_from_bytes(raw, policy=SMTP)
    assert read.get_content_type() == "text/plain"
    assert read.get_content().replace("\r\n", "\n") == text
    assert max(map(len, raw.split(b"\r\n"))) < 998


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("field", ["recipient", "subject"])
def test_no_header_can_be_smuggled_in(field: str, break_: str) -> None:
    given = {
        "recipient": f"anna@example.org{break_}Bcc: eve@example.org",
        "subject": f"Hi{break_}Bcc: e@example.org",
    }
    with pytest.raises(ValueError, match=r".+"):
        compose(letter(**{field: given[field]}), sender=SENDER, name="1")


def test_one_letter_has_one_recipient() -> None:
    with pytest.raises(ValueError, match="recipient"):
        compose(letter(recipient="anna@example.org, eve@example.org"), sender=SENDER, name="1")


def test_a_domain_in_another_script_is_written_as_servers_know_it() -> None:
    message = compose(letter(recipient="anna@bücher.example"), sender=SENDER, name="1")
    assert message["To"] == "anna@xn--bcher-kva.example"


@pytest.mark.parametrize("sender", ["nobody", "", "a@example.org, b@example.org"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="EMAIL_FROM"):
        compose(letter(), sender=sender, name="1")
