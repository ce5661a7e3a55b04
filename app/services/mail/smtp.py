"""Handing a message to the SMTP server (RFC 5321), with errors that say whether to try again.

Nothing of an error's text is kept: servers repeat addresses in it.
"""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import Final

from app.core.config.groups import EmailSettings, secret_text
from app.services.mail.message import domain_of

TIMEOUT: Final = 15.0
"""Seconds that one exchange with the server may take."""

PERMANENT: Final = 500
"""Replies from here on mean that the same would be refused again (RFC 5321, section 4.2.1)."""


class MailUnavailableError(Exception):
    """The server did not take the message now; another time it may."""


class MailRefusedError(Exception):
    """The server will not take this message, however often it is asked."""


async def send(message: EmailMessage, email: EmailSettings) -> None:
    """Hand over a message; when this returns, the server has taken it.

    Raises:
        MailUnavailableError: trying again may help.
        MailRefusedError: it cannot.
    """
    await asyncio.to_thread(_send, message, email, ssl.create_default_context())


def _send(message: EmailMessage, email: EmailSettings, context: ssl.SSLContext) -> None:
    try:
        with _connected(email, context, domain_of(message)) as server:
            if email.smtp_tls == "starttls":
                server.starttls(context=context)
            if email.smtp_user:
                _log_in(server, email.smtp_user, secret_text(email.smtp_password))
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, _text)] = error.recipients.values()
        raise _refused(code, "the recipient") from None
    except smtplib.SMTPDataError as error:
        raise _refused(error.smtp_code, "the message") from None
    except smtplib.SMTPNotSupportedError:
        raise MailUnavailableError(
            "The mail server lacks what SMTP_TLS, SMTP_USER or the address needs."
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        # Also a refused greeting, sender or TLS, with whatever code: not this message's fault, but the
        # operator's to mend, who may do so before the last attempt.
        raise MailUnavailableError(f"The mail server cannot be used ({type(error).__name__}).") from None


def _connected(email: EmailSettings, context: ssl.SSLContext, name: str) -> smtplib.SMTP:
    # Named here, for otherwise the resolver is asked, which may take its time.
    host, port = email.smtp_host or "", email.smtp_port
    if email.smtp_tls == "tls":
        return smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=TIMEOUT, context=context)
    return smtplib.SMTP(host, port, local_hostname=name, timeout=TIMEOUT)


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    try:
        server.login(user, password)
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPServerDisconnected):
        # Some hang up after a refusal. It is the operator's to mend, who may do so before the last attempt.
        raise MailUnavailableError("The mail server refused the login.") from None


def _refused(code: int, what: str) -> Exception:
    if code >= PERMANENT:
        return MailRefusedError(f"The mail server refused {what} ({code}).")
    return MailUnavailableError(f"The mail server put {what} off ({code}).")
