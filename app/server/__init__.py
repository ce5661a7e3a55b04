"""One API process: Hypercorn under supervisord, its drain and its end."""

from app.server.serving import Listening, serve

__all__ = ["Listening", "serve"]
