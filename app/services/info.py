"""What this installation offers beyond its core."""

from app.core.config import AppSettings


def features(settings: AppSettings) -> dict[str, bool]:
    """Every feature that a setting switches on, and whether it is."""
    return {
        "email": settings.email.smtp_host is not None,
        "livekit": settings.livekit.url is not None,
        "rate_limits": settings.rate_limit.enabled,
        "replicate": settings.storage.replicate_token is not None,
        "s3_storage": settings.storage.s3_bucket is not None,
        "semantic_search": settings.search.embeddings_url is not None,
        "static_files": settings.enable_static_files,
    }
