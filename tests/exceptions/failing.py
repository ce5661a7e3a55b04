"""Routes that fail in every way."""

from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field, field_validator
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from starlette.exceptions import HTTPException

from app.api.deps import SessionDep
from app.exceptions import (
    AppException,
    BadRequestException,
    ForbiddenException,
    InternalServerException,
    NotFoundException,
    ServiceUnavailableException,
)


class Login(BaseModel):
    name: str = Field(min_length=3)
    password: str
    age: int = 0

    @field_validator("password")
    @classmethod
    def _long(cls, value: str) -> str:
        if len(value) < 8:
            raise ValueError(f"{value} is too short")
        return value


class Teapot(AppException):
    status_code = 418
    code = "teapot"


def with_routes(app: FastAPI) -> FastAPI:
    """Routes that fail in every way."""
    failures: dict[str, Exception] = {
        "not-found": NotFoundException("User not found"),
        "bad": BadRequestException("Bad", details={"why": "so"}),
        "forbidden": ForbiddenException(),
        "internal": InternalServerException("the pump broke"),
        "teapot": Teapot("short and stout", headers={"X-Tea": "green"}),
        "away": ServiceUnavailableException("The pump is away.", headers={"Retry-After": "9"}),
        "redis": RedisConnectionError("Error 111 connecting to 10.0.0.7:6379"),
        "crash": RuntimeError("secret detail of the pump"),
        "http": HTTPException(402, "Pay first"),
        "own-404": HTTPException(404, "No such pump"),
    }

    @app.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise failures[how]

    @app.post("/login")
    async def login(body: Login) -> None: ...

    @app.get("/numbers")
    async def numbers(limit: Annotated[int, Field(ge=1)]) -> None: ...

    @app.put("/fail/{how}")
    async def mend(how: str) -> None: ...

    @app.get("/query")
    async def query(session: SessionDep, value: str = "1") -> None:
        await session.execute(text("SELECT CAST(:value AS text)"), {"value": value})

    @app.get("/wrong-query")
    async def wrong_query(session: SessionDep) -> None:
        await session.execute(text("SELECT nothing FROM nowhere"))

    return app
