"""What every request passes: pure ASGI classes, in one ordered list."""

from starlette.middleware import Middleware

from app.core.config import AppSettings, Environment, secret_text
from app.core.drain import Drain
from app.middleware.access_log import AccessLog
from app.middleware.body import BodyDeadline, BodyLimit
from app.middleware.compression import Compression
from app.middleware.cors import Cors
from app.middleware.draining import Draining
from app.middleware.errors import Errors
from app.middleware.hosts import TrustedHosts
from app.middleware.proxies import TrustedProxies
from app.middleware.rate_limits import RateLimits
from app.middleware.request_id import RequestId
from app.middleware.security_headers import SecurityHeaders
from app.middleware.unread_body import UnreadBody
from app.services.metrics import RequestMetrics

UPLOADS = (("POST", "/api/v1/media"), ("POST", "/api/v1/uploads"), ("PATCH", "/api/v1/uploads/"))
"""Requests whose body is a file, or a piece of one; with a slash at the end, whatever is named behind it."""
MULTIPART_OVERHEAD = 64 * 1024
"""Bytes of boundaries, part headers and small fields around an uploaded file."""

EXPOSED = (
    *("X-Request-ID", "Location", "ETag", "Retry-After", "Idempotency-Replayed"),
    *("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
    *("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires", "Holdfast-Media-Id"),
    *("Accept-Ranges", "Content-Disposition", "Content-Range"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"),
)
"""What pages of other origins may read of an answer, besides what they always may."""


def middleware(settings: AppSettings, drain: Drain, metrics: RequestMetrics) -> list[Middleware]:
    """The layers, outermost first. What no setting asks for is left out, for each layer costs."""
    server = settings.server
    production = settings.app_env is Environment.PRODUCTION
    upload_size = settings.media.max_upload_size + MULTIPART_OVERHEAD
    limits = dict.fromkeys(UPLOADS, upload_size)
    rate_limits = Middleware(RateLimits, limits=settings.rate_limit, assets=settings.enable_static_files)
    hosts = Middleware(
        TrustedHosts, hosts=server.trusted_hosts, metrics=bool(secret_text(server.metrics_token))
    )
    return [
        # First, so that all below log and answer under the id, errors and preflights too.
        Middleware(RequestId),
        # Sees the final status and the whole time.
        Middleware(AccessLog, metrics=metrics),
        # Changes the scope only, before anybody asks it for client or scheme.
        *([Middleware(TrustedProxies, networks=server.trusted_proxies)] if server.trusted_proxies else []),
        # Outside all that may answer early.
        Middleware(UnreadBody),
        # The next three only add headers: outside the errors, so that errors carry them.
        Middleware(Draining, drain=drain),
        Middleware(SecurityHeaders, production=production),
        Middleware(
            Cors,
            allow_origins=server.cors_origins,
            allow_credentials=server.cors_allow_credentials,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        ),
        # Outside the errors, which can be long too; below the access log, which counts what is sent.
        Middleware(Compression),
        # Everything below may raise.
        Middleware(Errors),
        # Nothing is read for a name that is not ours.
        *([] if "*" in server.trusted_hosts else [hosts]),
        # Before anything is read or asked of a database; inside the errors, for it raises, and inside CORS,
        # so that pages can read what it says. Behind the proxies, which say whose address it is.
        *([rate_limits] if settings.rate_limit.enabled else []),
        # Nearest to the application, for they follow the body as it is read: how much, then how slowly.
        Middleware(BodyLimit, limit=server.max_body_size, limits=limits),
        Middleware(BodyDeadline, idle=server.body_timeout, minimum_rate=server.body_minimum_rate),
    ]
