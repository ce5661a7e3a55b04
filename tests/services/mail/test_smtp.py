"""Handing mails to a real SMTP server."""

import asyncio
import socket
import ssl

import pytest

from app.services.mail import MailRefusedError, MailUnavailableError, send, smtp
from tests.services.mail.conftest import StartServer
from tests.services.mail.server import PASSWORD, USER, message
from tests.serving import NOBODY


async def test_a_message_arrives_from_the_sender_at_the_recipient(start_server: StartServer) -> None:
    server = start_server()
    await send(message(), server.settings())
    [envelope] = server.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@example.org", ["anna@example.org"])
    assert b"Subject: Hello\r\n" in (envelope.content or b"")


@pytest.mark.usefixtures("trusted")
async def test_starttls_encrypts_before_anything_is_said(
    start_server: StartServer, server_tls: ssl.SSLContext
) -> None:
    server = start_server(tls=server_tls, login=True)
    await send(message(), server.settings(smtp_tls="starttls", smtp_user=USER, smtp_password=PASSWORD))
    assert (server.encrypted, server.logged_in) == ([True], [True])


@pytest.mark.usefixtures("trusted")
async def test_tls_from_the_first_byte(start_server: StartServer, server_tls: ssl.SSLContext) -> None:
    server = start_server(tls=server_tls, implicit=True)
    await send(message(), server.settings(smtp_tls="tls"))
    assert server.encrypted == [True]


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    start_server: StartServer, server_tls: ssl.SSLContext, mode: str
) -> None:
    server = start_server(tls=server_tls, implicit=mode == "tls")
    with pytest.raises(MailUnavailableError, match="SSLCertVerificationError"):
        await send(message(), server.settings(smtp_tls=mode))
    assert server.taken == []


async def test_nothing_is_sent_in_the_clear_where_starttls_is_missing(start_server: StartServer) -> None:
    server = start_server()
    with pytest.raises(MailUnavailableError, match="SMTP_TLS"):
        await send(message(), server.settings(smtp_tls="starttls"))
    assert server.taken == []


async def test_a_login_is_made_where_one_is_set(start_server: StartServer) -> None:
    server = start_server(login=True)
    await send(message(), server.settings(smtp_user=USER, smtp_password=PASSWORD))
    assert server.logged_in == [True]


async def test_a_refused_login_is_for_the_operator_to_mend_and_tried_again(start_server: StartServer) -> None:
    server = start_server(login=True)
    with pytest.raises(MailUnavailableError, match="refused the login"):
        await send(message(), server.settings(smtp_user=USER, smtp_password="wrong"))


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        (["554 no service here"], "SMTPConnectError"),
        (["220 hello", "550 who are you", "550 who are you"], "SMTPHeloError"),
        (["220 hello", "250 hello", "550 not for this sender, no-reply@example.org"], "SMTPSenderRefused"),
    ],
)
async def test_what_is_no_fault_of_the_message_is_tried_again(
    start_server: StartServer, replies: list[str], error: str
) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            writer.write(f"{reply}\r\n".encode())
            await reader.readline()
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        settings = start_server().settings(smtp_port=server.sockets[0].getsockname()[1])
        with pytest.raises(MailUnavailableError, match=error) as caught:
            await send(message(), settings)
    assert "no-reply" not in str(caught.value)


async def test_what_is_put_off_once_is_taken_at_the_next_attempt(start_server: StartServer) -> None:
    server = start_server(answers=["451 greylisted, anna@example.org"])
    with pytest.raises(MailUnavailableError, match=r"put the message off \(451\)"):
        await send(message(), server.settings())
    await send(message(), server.settings())
    assert len(server.taken) == 1


async def test_a_message_that_is_refused_for_good_is_told_apart(start_server: StartServer) -> None:
    server = start_server(answers=["554 we know anna@example.org"])
    with pytest.raises(MailRefusedError, match=r"refused the message \(554\)") as caught:
        await send(message(), server.settings())
    assert "anna" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error"), [("450 later", MailUnavailableError), ("550 no anna here", MailRefusedError)]
)
async def test_a_recipient_may_be_refused_for_now_or_for_good(
    start_server: StartServer, answer: str, error: type[Exception]
) -> None:
    server = start_server(recipient_answer=answer)
    with pytest.raises(error, match=f"the recipient.*{answer[:3]}") as caught:
        await send(message(), server.settings())
    assert "anna" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_server_that_is_not_there_is_tried_again(start_server: StartServer) -> None:
    nowhere = start_server().settings(smtp_port=int(NOBODY.partition(":")[2]))
    with pytest.raises(MailUnavailableError, match="ConnectionRefusedError"):
        await send(message(), nowhere)


async def test_a_server_that_says_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, start_server: StartServer
) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = start_server().settings(smtp_port=silent.getsockname()[1])
        with pytest.raises(MailUnavailableError, match="cannot be used"):
            await send(message(), nowhere)
