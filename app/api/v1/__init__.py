"""Version 1 of the API: one file a noun, joined here."""

from fastapi import APIRouter

from app.api.v1 import admin, api_keys, auth, health, info, jobs, media, ping, registration, sessions, users

PREFIX = "/api/v1"

# A flat list, not a router of routers: FastAPI matches every level of those anew.
routers: tuple[APIRouter, ...] = (
    ping.router,
    info.router,
    health.router,
    auth.router,
    registration.router,
    users.router,
    sessions.router,
    api_keys.router,
    admin.router,
    media.router,
    jobs.router,
)
