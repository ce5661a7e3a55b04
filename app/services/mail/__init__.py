"""Mail: written as one plain message, handed to one SMTP server."""

from app.services.mail.message import Letter, compose
from app.services.mail.smtp import MailRefusedError, MailUnavailableError, send

__all__ = ["Letter", "MailRefusedError", "MailUnavailableError", "compose", "send"]
