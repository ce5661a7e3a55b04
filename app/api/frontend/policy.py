"""What the front end's pages may do: run their own scripts, and talk to this server."""

import base64
import hashlib
from html.parser import HTMLParser
from urllib.parse import urlsplit

from app.core.config import AppSettings


class PagePolicy:
    """The Content-Security-Policy of each page, in place of the one of data, which would run nothing.

    Scripts come from here alone. Those that stand in a page itself are its author's too: they are allowed by
    their hashes (CSP Level 3, section 2.3.1), so that what a request could smuggle into a page is not.

    Args:
        settings: FRONTEND_CSP, which replaces all of it, and LIVEKIT_URL, which pages connect to.
    """

    def __init__(self, settings: AppSettings) -> None:
        self._given = settings.frontend_csp
        self._connect = " ".join(("'self'", *_livekit(settings.livekit.url)))

    def of(self, page: bytes) -> str:
        """The policy of a page; of no page where it is empty, as for a script that becomes a worker."""
        if self._given is not None:
            return self._given
        return "; ".join(
            (
                "default-src 'self'",
                " ".join(("script-src 'self'", *_hashes(page))),
                # A style attribute runs nothing, and most libraries of components write some.
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "media-src 'self' blob:",
                "font-src 'self' data:",
                f"connect-src {self._connect}",
                "worker-src 'self' blob:",
                "object-src 'none'",
                "base-uri 'self'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            )
        )


def _livekit(url: str | None) -> tuple[str, ...]:
    """Its rooms are WebSockets, and before them its client asks over HTTP."""
    if url is None:
        return ()
    parts = urlsplit(url)
    return (f"{parts.scheme}://{parts.netloc}", f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}")


def _hashes(page: bytes) -> list[str]:
    reader = _InlineScripts()
    reader.feed(page.decode("utf-8", "replace").replace("\r\n", "\n"))
    reader.close()
    digests = (hashlib.sha256(script.encode()).digest() for script in reader.scripts)
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in dict.fromkeys(digests)]


class _InlineScripts(HTMLParser):
    """Collects the scripts that stand in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin one."""
        if tag == "script" and not any(name == "src" for name, _ in attrs):
            self._inside = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        """End it."""
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        """Take a piece of it."""
        if self._inside:
            self.scripts[-1] += data
