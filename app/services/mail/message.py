"""What a mail says, and its form (RFC 5322)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from email_validator import EmailNotValidError, validate_email


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person, in plain text."""

    recipient: str
    subject: str
    text: str
    link: str | None = None
    """What the text asks to open, for the log of a developer who has no mail server."""
    how: str | None = None
    """The request that takes the link's token, for the same log."""


def compose(letter: Letter, *, sender: str, name: str) -> EmailMessage:
    """The message to send.

    Args:
        letter: what it says.
        sender: the address that it comes from, with a display name or without.
        name: unique to this mail and the same at every attempt, so that a doubled one can be known.

    Raises:
        ValueError: an address is none, or a line break stands where none may.
    """
    message = EmailMessage(SMTP)
    # A header with a line break in it is refused by the policy; addresses are taken as one, never as a list.
    message["From"] = sender
    message["To"] = Address(addr_spec=_transportable(letter.recipient))
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{name}@{domain_of(message)}>"
    # Asks machines not to answer (RFC 3834, section 5).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def domain_of(message: EmailMessage) -> str:
    """The sender's domain.

    Raises:
        ValueError: the sender is no address.
    """
    addresses = message["From"].addresses
    if len(addresses) != 1 or not addresses[0].domain:
        raise ValueError("EMAIL_FROM is not an address")
    return str(addresses[0].domain)


def _transportable(address: str) -> str:
    """The address as servers know it: its domain in ASCII (RFC 5891)."""
    try:
        found = validate_email(address, check_deliverability=False)
        return found.ascii_email or f"{found.local_part}@{found.ascii_domain}"
    except (EmailNotValidError, HeaderParseError) as error:
        raise ValueError("the recipient is not an address") from error
