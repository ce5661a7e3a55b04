"""Version 1 of the API: one file a noun, joined here."""

from fastapi import APIRouter

from app.api.v1 import (
    admin,
    api_keys,
    auth,
    health,
    info,
    jobs,
    links,
    media,
    ping,
    registration,
    sessions,
    uploads,
    users,
)

# What is asked most comes first: FastAPI looks at one route after the other.
routers: tuple[APIRouter, ...] = (
    ping.router,
    users.router,
    jobs.router,
    media.router,
    uploads.router,
    links.router,
    info.router,
    health.router,
    auth.router,
    sessions.router,
    api_keys.router,
    registration.router,
    admin.router,
)
