"""Delivering letters, and the log line in place of a mail server."""

import json
import uuid
from typing import Any

import pytest

from app.core.config import AppSettings
from app.core.logging import LINE_LIMIT
from app.services.accounts.wording import Wording
from app.services.jobs import JobFailed
from app.services.mail import Letter, MailUnavailableError
from app.supervision.lines import LineStream
from app.workers.tasks.mail import deliver
from tests.configuration import make_settings
from tests.services.mail.conftest import StartServer, start_server
from tests.services.mail.server import MailServer

__all__ = ["start_server"]

NAME = uuid.UUID("01900000-0000-7000-8000-0000000000aa")
TOKEN = "eyJhbGciOiJIUzI1NiJ9." + "x" * 500 + ".signature"


def through(settings: AppSettings, server: MailServer) -> AppSettings:
    return settings.model_copy(update={"email": server.settings()})


def strict(settings: AppSettings) -> AppSettings:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    return make_settings(settings.state_dir, database, redis, APP_ENV="production")


def letter(settings: AppSettings) -> Letter:
    return Wording(settings).reset("anna@example.org", TOKEN)


async def test_a_letter_is_sent_under_a_name_that_stays(
    settings: AppSettings, start_server: StartServer
) -> None:
    server = start_server()
    for _ in range(2):
        assert await deliver(through(settings, server), letter(settings), name=NAME)
    contents = [envelope.original_content or b"" for envelope in server.taken]
    assert all(f"Message-ID: <{NAME}@example.org>".encode() in content for content in contents)
    assert TOKEN.encode() in contents[0].replace(b"=\r\n", b"")


async def test_what_is_put_off_is_left_to_another_attempt(
    settings: AppSettings, start_server: StartServer
) -> None:
    server = start_server(answers=["451 later"])
    with pytest.raises(MailUnavailableError):
        await deliver(through(settings, server), letter(settings), name=NAME)


async def test_what_is_refused_for_good_fails_with_a_reason_without_the_address(
    settings: AppSettings, start_server: StartServer
) -> None:
    server = start_server(recipient_answer="550 no anna@example.org here")
    with pytest.raises(JobFailed) as caught:
        await deliver(through(settings, server), letter(settings), name=NAME)
    assert (caught.value.reason, caught.value.code) == (
        "The mail server refused the recipient (550).",
        "mail_refused",
    )
    assert caught.value.keep_effects


async def test_a_letter_that_has_no_valid_form_fails_for_good(
    settings: AppSettings, start_server: StartServer
) -> None:
    broken = Letter("anna@example.org\nBcc: eve@example.org", "Hello", "A text.\n")
    with pytest.raises(JobFailed, match="no valid form"):
        await deliver(through(settings, start_server()), broken, name=NAME)


async def written(settings: AppSettings, capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    capfdbinary.readouterr()
    assert not await deliver(settings, letter(settings), name=NAME)
    return capfdbinary.readouterr().out


@pytest.mark.parametrize("front", ["", "https://app.example.org"])
async def test_without_a_mail_server_the_link_stands_in_one_log_line(
    settings: AppSettings, capfdbinary: pytest.CaptureFixture[bytes], front: str
) -> None:
    output = await written(settings.model_copy(update={"frontend_url": front or None}), capfdbinary)
    assert output.count(b"\n") == 1
    assert len(output) < LINE_LIMIT
    line: dict[str, Any] = json.loads(output)
    assert (line["message"], line["to"]) == ("mail_not_sent", "anna@example.org")
    assert line["how"] == 'POST /api/v1/auth/password/reset {"token": "...", "password": "..."}'
    assert line["link"] == (f"{front}/reset-password#token={TOKEN}" if front else TOKEN)


async def test_the_line_passes_the_supervisor_as_it_is(
    settings: AppSettings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    output = await written(settings, capfdbinary)
    assert list(LineStream("worker", "stdout").feed(1, output)) == [output]


async def test_outside_development_no_link_gets_into_the_log(
    settings: AppSettings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with pytest.raises(JobFailed) as caught:
        await deliver(strict(settings), letter(settings), name=NAME)
    assert caught.value.code == "mail_not_configured"
    assert b"eyJ" not in capfdbinary.readouterr().out
