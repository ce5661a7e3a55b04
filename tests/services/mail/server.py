"""An SMTP server that a test may tell what to answer."""

import ssl
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.core.config.groups import EmailSettings
from app.services.mail import Letter, compose
from tests.servers import DEADLINE, own_port

USER, PASSWORD = "holdfast", "a mail password"


class MailServer:
    """Keeps what it took.

    Args:
        answers: what it says to one message after the other; then it takes all.
        recipient_answer: what it says to every recipient instead of taking it.
        tls: for STARTTLS, or from the first byte where `implicit`.
        login: whether it asks for USER and PASSWORD.
    """

    def __init__(
        self,
        *,
        answers: list[str] | None = None,
        recipient_answer: str | None = None,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: bool = False,
    ) -> None:
        self.taken: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.logged_in: list[bool] = []
        self._answers = list(answers or [])
        self._recipient_answer = recipient_answer
        options: dict[str, Any] = {}
        if login:
            options |= {"authenticator": _authenticate, "auth_require_tls": tls is not None}
        if tls and not implicit:
            options |= {"tls_context": tls, "require_starttls": True}
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=own_port(),
            ready_timeout=DEADLINE,
            ssl_context=tls if implicit else None,
            **options,
        )

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def settings(self, **values: Any) -> EmailSettings:
        """Settings with which it can be used without TLS."""
        own = {"smtp_host": "127.0.0.1", "smtp_port": self._controller.port, "smtp_tls": "none"}
        return EmailSettings.model_validate(own | {"sender": "no-reply@example.org"} | values)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self._recipient_answer:
            return self._recipient_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._answers:
            return self._answers.pop(0)
        self.taken.append(envelope)
        self.logged_in.append(bool(session.authenticated))
        transport = server.transport
        self.encrypted.append(transport is not None and transport.get_extra_info("ssl_object") is not None)
        return "250 OK"


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()))


def message() -> EmailMessage:
    """A message to hand over."""
    return compose(Letter("anna@example.org", "Hello", "A text.\n"), sender="no-reply@example.org", name="1")
