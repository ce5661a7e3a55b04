"""What the mails of accounts say.

Nothing that a stranger chose is repeated in one but the address that it goes to: a name could be an
advertisement, and we would be the ones who send it to everybody.
"""

from dataclasses import dataclass, replace
from typing import Final

from app.core.config import AppSettings
from app.services.mail import Letter

IGNORE: Final = "If this was not you, do nothing: without it nothing changes."


@dataclass(frozen=True, slots=True)
class Page:
    """Where a token is to be used: at the front end, or at the API where there is none."""

    path: str
    route: str
    body: str


VERIFY_PAGE: Final = Page("/verify-email", "/api/v1/auth/verify-email", '{"token": "...", "password": "..."}')
"""Where a new account gets its password."""

CHANGE_PAGE: Final = Page("/verify-email", "/api/v1/auth/verify-email", '{"token": "..."}')
"""Where an account gets another address."""

RESET_PAGE: Final = Page(
    "/reset-password", "/api/v1/auth/password/reset", '{"token": "...", "password": "..."}'
)


class Wording:
    """The words of one installation.

    Args:
        settings: its name, its front end, and for how long links hold.
    """

    def __init__(self, settings: AppSettings) -> None:
        # The operator's choice; a line break in it would be refused in a header.
        self._name = " ".join(settings.app_name.split())
        self._front = (settings.frontend_url or "").rstrip("/")
        self._seconds = settings.auth.mail_token_seconds

    def verification(self, address: str, token: str) -> Letter:
        """To whom an account was made for; nobody can use it before."""
        said = (
            f"Somebody, we hope you, made an account at {self._name}\nwith this address. "
            "It has no password yet: you choose it, and with it\nconfirm that the address is yours."
        )
        return self._asking(address, "Choose a password", said, VERIFY_PAGE, token)

    def change(self, address: str, token: str) -> Letter:
        """To the address that an account is to have."""
        said = f"Somebody, we hope you, wants to use this address for an account at\n{self._name}."
        return self._asking(address, "Confirm your new address", said, CHANGE_PAGE, token)

    def reset(self, address: str, token: str) -> Letter:
        """To whom has forgotten a password."""
        said = f"Somebody, we hope you, has forgotten the password of your account at\n{self._name}."
        return self._asking(address, "Set a new password", said, RESET_PAGE, token)

    def known(self, address: str) -> Letter:
        """To whose address was used as if it were free."""
        said = (
            f"Somebody wanted to use this address for an account at {self._name}.\n"
            "It has one already, and nothing has changed."
        )
        then = f"If this was you and you have forgotten your password, ask for a new one\n{self._where()}."
        return self._letter(address, "You have an account already", said, then, "Else do nothing.")

    def password_set(self, address: str) -> Letter:
        """To whose password was set anew."""
        said = (
            f"The password of your account at {self._name} was set anew.\nIt was logged out everywhere, "
            "and its API keys do not hold any more."
        )
        then = f"If this was not you, ask for a new password at once\n{self._where()}."
        return self._letter(address, "Your password was changed", said, then)

    def address_changed(self, address: str) -> Letter:
        """To the address that an account had."""
        said = f"Your account at {self._name} has another address now;\nthis one is not used for it any more."
        then = "If this was not you, tell whoever runs it at once."
        return self._letter(address, "Your address was changed", said, then)

    def _asking(self, address: str, subject: str, said: str, page: Page, token: str) -> Letter:
        # Behind `#`: browsers send that part to no server, and no server logs it.
        link = f"{self._front}{page.path}#token={token}" if self._front else token
        if self._front:
            how = f"To go on, open this link. {self._until()}\n\n{link}"
        else:
            request = f"POST {page.route}\nContent-Type: application/json\n\n{page.body}"
            how = f"To go on, send the token below to the API. {self._until()}\n\n{request}"
            how = f"{how}\n\nThe token:\n\n{link}"
        letter = self._letter(address, subject, said, how, IGNORE)
        return replace(letter, link=link, how=f"POST {page.route} {page.body}")

    def _letter(self, address: str, subject: str, *parts: str) -> Letter:
        return Letter(address, f"{self._name}: {subject}", "\n\n".join(parts) + "\n")

    def _until(self) -> str:
        minutes = round(self._seconds / 60)
        return (
            f"It holds for {minutes} minutes, and once."
            if minutes > 1
            else "It holds for a minute, and once."
        )

    def _where(self) -> str:
        return f"at {self._front}" if self._front else "by POST /api/v1/auth/password/forgot"
