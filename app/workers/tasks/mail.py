"""Handing mails to the mail server; while developing without one, to the log."""

import time
import uuid
from typing import Final

from app.core.config import AppSettings
from app.core.logging import encode_line, timestamp, write_line
from app.services.jobs import JobFailed
from app.services.mail import Letter, MailRefusedError, compose, send

NOT_SENT: Final = "mail_not_sent"


async def deliver(settings: AppSettings, letter: Letter, *, name: uuid.UUID) -> bool:
    """Send a letter, or write it to the log where mail is not set up; says whether it was sent.

    Raises:
        JobFailed: it can never be sent; nothing of it is repeated in the reason.
        MailUnavailableError: another attempt may succeed.
    """
    email = settings.email
    if not email.smtp_host or not email.sender:
        if not settings.app_env.is_lenient:
            raise JobFailed("This server cannot send mail.", code="mail_not_configured", keep_effects=True)
        _write_down(letter)
        return False
    try:
        message = compose(letter, sender=email.sender, name=str(name))
    except ValueError:
        raise JobFailed("The mail has no valid form.", code="mail_invalid", keep_effects=True) from None
    try:
        await send(message, email)
    except MailRefusedError as error:
        raise JobFailed(str(error), code="mail_refused", keep_effects=True) from None
    return True


def _write_down(letter: Letter) -> None:
    """One line with the link. Not by a logger: those mask what opens an account, and here that is meant."""
    line = {
        "timestamp": timestamp(time.time()),
        "level": "WARNING",
        "message": NOT_SENT,
        "logger": __name__,
        "hint": "SMTP_HOST is not set, so the mail stands here",
        "to": letter.recipient,
        "subject": letter.subject,
        "link": letter.link,
        "how": letter.how,
    }
    write_line(encode_line(line).decode().rstrip("\n"))
