"""Who may do what, derived from the OpenAPI document alone: no route is named here, and none is forgotten.

An operation of the document says which scopes it takes. Roles say which scopes they have. A thing is its
owner's, and another's is 404, unless the operation takes a scope that only administrators have.
"""

import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func

from app.api import health, metrics, v1
from app.api.documentation import document
from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import digest
from app.main import create_app
from app.models.api_key import ApiKey
from app.models.base import Base
from app.models.data_export import DataExport
from app.models.job import Job, JobState
from app.models.media_file import MediaFile
from app.models.session import Session
from app.models.upload import Upload
from app.models.user import User, UserRole
from app.schemas.links import Linkable
from app.services.auth.gate import KEY_LENGTH, KEY_PREFIX
from app.services.auth.scopes import ROLE_SCOPES, Scope, key_scopes
from app.services.media.links import PARAMETER
from app.services.media.resumable.part import Part, part_path
from app.services.workspace import Workspace
from tests.accounts import ADMIN, OTHER, OWNER, ROLES, SERVICE, bearer
from tests.configuration import make_settings
from tests.serving import serve

PUBLIC = {
    *(
        "GET /health",
        "GET /health/live",
        "GET /health/ready",
        "GET /api/v1/health",
        "GET /api/v1/health/ready",
    ),
    *("GET /api/v1/ping", "GET /api/v1/info", "OPTIONS /api/v1/uploads"),
    *("POST /api/v1/auth/token", "POST /api/v1/auth/login", "POST /api/v1/auth/refresh"),
    *(
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/verify-email",
        "POST /api/v1/auth/verify-email/resend",
    ),
    *("POST /api/v1/auth/password/forgot", "POST /api/v1/auth/password/reset"),
}
"""All that is answered without a credential."""


def whole_document() -> dict[str, Any]:
    """The application's document, made when tests are collected: without settings or a log."""
    app = FastAPI()
    for router in (*v1.routers, health.router, metrics.router):
        app.router.routes.extend(router.routes)
    document.install(app)
    return app.openapi()


DOCUMENT = whole_document()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        """Of the path."""
        return [given["name"] for given in self.facts.get("parameters", []) if given["in"] == "path"]

    @property
    def headers(self) -> dict[str, str]:
        """Those that it needs, and the type of a body that is no JSON."""
        given = [given for given in self.facts.get("parameters", []) if given["in"] == "header"]
        needed = {each["name"]: str(smallest(each["schema"])) for each in given if each["required"]}
        contents = [*self.facts.get("requestBody", {}).get("content", {}), "application/json"]
        return needed | ({} if "application/json" in contents[:-1] else {"Content-Type": contents[0]})

    @property
    def is_secured(self) -> bool:
        """Whether it takes a credential."""
        return bool(self.facts.get("security"))

    @property
    def scopes(self) -> set[str]:
        """That it takes."""
        return {scope for way in self.facts["security"] for scopes in way.values() for scope in scopes}

    @property
    def is_administrative(self) -> bool:
        """Whether it takes a scope that nobody has for his own things."""
        return not self.scopes <= ROLE_SCOPES[UserRole.USER]

    @property
    def body(self) -> Any:
        """The smallest body that it accepts."""
        contents = self.facts.get("requestBody", {}).get("content", {})
        return smallest(contents["application/json"]["schema"]) if "application/json" in contents else None


def operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method, facts in methods.items():
            yield Operation(method.upper(), path, facts)


def smallest(schema: dict[str, Any]) -> Any:
    """A value of a schema, with nothing that is not required."""
    value: Any
    match schema:
        case {"$ref": place}:
            value = smallest(DOCUMENT["components"]["schemas"][place.rpartition("/")[2]])
        case {"default": given} | {"const": given} | {"enum": [given, *_]}:
            value = given
        case {"anyOf": [first, *_]}:
            value = smallest(first)
        case {"type": "object"}:
            properties = schema.get("properties", {})
            value = {name: smallest(properties[name]) for name in schema.get("required", [])}
        case {"type": "array"}:
            value = [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
        case {"type": "string", "format": "email"}:
            value = "somebody@example.com"
        case {"type": "string"}:
            value = "x" * schema.get("minLength", 0)
        case {"type": "integer"}:
            value = schema.get("minimum", 0)
        case _:
            raise AssertionError(f"no example of {schema}")
    return value


Things = Callable[[Sessions, Workspace], Awaitable[uuid.UUID]]


def making(row: Callable[[], Any]) -> Things:
    """A factory of a thing of OWNER that is a row alone."""

    async def make(sessions: Sessions, _workspace: Workspace) -> uuid.UUID:
        return await added(sessions, row())

    return make


async def added(sessions: Sessions, row: Any) -> uuid.UUID:
    async with transaction(sessions) as session:
        session.add(row)
    thing: uuid.UUID = row.id
    return thing


async def owner_itself(_sessions: Sessions, _workspace: Workspace) -> uuid.UUID:
    return OWNER


async def media_with_renditions(sessions: Sessions, workspace: Workspace) -> uuid.UUID:
    key = await stored(workspace)
    made = dict.fromkeys(("thumbnail_key", "poster_key", "preview_key", "waveform_key"), key)
    facts = {"sha256": key, "mime_type": "image/jpeg", "kind": "image", "preview_type": "image/jpeg", **made}
    return await added(sessions, MediaFile(owner_id=OWNER, name="a.jpg", size=3, **facts))


async def finished_export(sessions: Sessions, workspace: Workspace) -> uuid.UUID:
    facts = {"object_key": await stored(workspace), "size": 3, "expires_at": soon()}
    return await added(sessions, DataExport(user_id=OWNER, **facts))


async def begun_upload(sessions: Sessions, workspace: Workspace) -> uuid.UUID:
    upload = await added(sessions, Upload(owner_id=OWNER, length=3, expires_at=soon()))
    Part.create(part_path(workspace, upload)).close()
    return upload


async def stored(workspace: Workspace) -> str:
    async with workspace.receive(limit=100, expected=3) as incoming:
        await incoming.write(b"abc")
        return (await incoming.keep()).key


def soon() -> Any:
    return func.now() + func.make_interval(0, 0, 0, 1)


def ended_job() -> Job:
    facts = {"kind": "test.effect", "queue": "default", "args": {}, "state": JobState.CANCELLED}
    return Job(owner_id=OWNER, finished_at=func.now(), **facts)


FACTORIES: dict[str, Things] = {
    # Ended: the stream of events of any other would not end by itself.
    "job_id": making(ended_job),
    "media_id": media_with_renditions,
    "session_id": making(
        lambda: Session(user_id=OWNER, refresh_hash="0" * 64, last_used_at=func.now(), expires_at=soon())
    ),
    "key_id": making(lambda: api_key(OWNER, set())[0]),
    "export_id": finished_export,
    "upload_id": begun_upload,
    "user_id": owner_itself,
}
"""What the id of a path stands for, by the parameter's name."""


def api_key(user_id: uuid.UUID, scopes: set[Scope] | frozenset[Scope]) -> tuple[ApiKey, str]:
    """A row, and the key itself."""
    text = (KEY_PREFIX + secrets.token_urlsafe(32))[:KEY_LENGTH]
    named = sorted(str(scope) for scope in scopes)
    return ApiKey(user_id=user_id, name="k", prefix=text[:8], key_hash=digest(text), scopes=named), text


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks: with which credential, for whom, with which scopes."""

    name: str
    headers: dict[str, str]
    user_id: uuid.UUID | None = None
    scopes: frozenset[Scope] = frozenset()

    def expected(self, operation: Operation) -> set[int]:
        """The statuses that the document and the rule of ownership give this actor at OWNER's thing."""
        if self.user_id is None:
            return {401}
        if not operation.scopes <= self.scopes:
            return {403}
        if self.user_id != OWNER and not operation.is_administrative:
            return {404}
        declared = {int(status) for status in operation.facts["responses"]}
        # Allowed: it is done, or is not possible in the state that the thing is in.
        return {status for status in declared if status < 300 or status == 409}


async def actors(settings: AppSettings, sessions: Sessions, operation: Operation) -> list[Actor]:
    """All of them; those who may change things come last."""
    service, service_key = api_key(SERVICE, key_scopes(UserRole.SERVICE))
    lacking = frozenset(scope for scope in key_scopes(UserRole.USER) if scope not in operation.scopes)
    weak, weak_key = api_key(OWNER, lacking)
    async with transaction(sessions) as session:
        session.add_all([service, weak])
    people = [
        Actor(name, bearer(settings, user_id), user_id, ROLE_SCOPES[UserRole(ROLES[user_id])])
        for name, user_id in (("other user", OTHER), ("owner", OWNER), ("admin", ADMIN))
    ]
    return [
        Actor("nobody", {}),
        Actor("owner's key without the scope", {"X-API-Key": weak_key}, OWNER, lacking),
        Actor("service", {"X-API-Key": service_key}, SERVICE, key_scopes(UserRole.SERVICE)),
        *people,
    ]


def test_the_document_is_that_of_the_application(settings: AppSettings) -> None:
    assert create_app(settings).openapi()["paths"] == DOCUMENT["paths"]


ON_THINGS = [operation for operation in operations() if operation.parameters]


@pytest.mark.parametrize("operation", ON_THINGS, ids=str)
async def test_everybody_gets_what_the_document_says(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, operation: Operation
) -> None:
    found = {}
    workspace = Workspace.from_settings(settings)
    asking = await actors(settings, sessions, operation)
    for actor in asking:
        things = {name: str(await FACTORIES[name](sessions, workspace)) for name in operation.parameters}
        path = operation.path.format(**things)
        headers = operation.headers | actor.headers
        answer = await anonymous.request(operation.method, path, json=operation.body, headers=headers)
        found[actor.name] = answer.status_code
    assert {actor.name: found[actor.name] in actor.expected(operation) for actor in asking} == dict.fromkeys(
        found, True
    ), found


def test_every_operation_without_a_credential_is_known() -> None:
    assert {str(operation) for operation in operations() if not operation.is_secured} == PUBLIC


def guarded(settings: AppSettings) -> AppSettings:
    """The same, with a token for the metrics, which without one are answered on this machine."""
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    return make_settings(settings.state_dir, database, redis, METRICS_TOKEN="scrape-me")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer {KEY_PREFIX}{'x' * (KEY_LENGTH - len(KEY_PREFIX))}"},
        {"X-API-Key": KEY_PREFIX + "x" * (KEY_LENGTH - len(KEY_PREFIX))},
        {"Cookie": "holdfast_access=x"},
    ],
    ids=["none", "token", "key as token", "key", "cookie"],
)
async def test_every_other_operation_answers_401_without_a_valid_one(
    settings: AppSettings, headers: dict[str, str]
) -> None:
    found = {}
    async with serve(guarded(settings), headers=headers) as http:
        for operation in operations():
            if operation.is_secured:
                path = operation.path.format(**dict.fromkeys(operation.parameters, uuid.uuid4()))
                answer = await http.request(operation.method, path, json=operation.body)
                found[str(operation)] = answer.status_code
    assert found == dict.fromkeys(found, 401)
    assert len(found) > 20


async def test_a_link_opens_one_operation_and_no_other(
    client: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    """Each of the renditions, tried at every operation of the document, on its own file and on another."""
    media_id, other_id = [
        str(await FACTORIES["media_id"](sessions, Workspace.from_settings(settings))) for _ in range(2)
    ]
    opened = set()
    async with serve(guarded(settings)) as http:
        for rendition in Linkable:
            path = f"/api/v1/media/{media_id}/links"
            made = await client.post(path, json={"rendition": rendition})
            query = {PARAMETER: made.json()["url"].partition("=")[2]}
            for operation in operations():
                for tried in (media_id, other_id) if operation.is_secured else ():
                    place = operation.path.format(**dict.fromkeys(operation.parameters, tried))
                    answer = await http.request(operation.method, place, params=query, json=operation.body)
                    if answer.status_code != 401:
                        opened.add((rendition, tried, str(operation)))
    assert opened == {
        (rendition, media_id, f"GET /api/v1/media/{{media_id}}/{rendition}") for rendition in Linkable
    }


def test_every_rendition_has_a_route_that_takes_links_and_every_such_route_a_rendition() -> None:
    linked = [
        operation
        for operation in operations()
        if operation.is_secured and any("link" in way for way in operation.facts["security"])
    ]
    assert {str(operation) for operation in linked} == {
        f"GET /api/v1/media/{{media_id}}/{rendition}" for rendition in Linkable
    }


async def test_things_are_really_there_for_their_owner(settings: AppSettings, sessions: Sessions) -> None:
    """A factory that made nothing would let every 404 pass."""
    models: dict[str, type[Base]] = {
        "job_id": Job,
        "media_id": MediaFile,
        "session_id": Session,
        "key_id": ApiKey,
    }
    models |= {"export_id": DataExport, "upload_id": Upload, "user_id": User}
    assert models.keys() == FACTORIES.keys()
    for name, model in models.items():
        thing = await FACTORIES[name](sessions, Workspace.from_settings(settings))
        async with transaction(sessions) as session:
            assert await session.get(model, thing) is not None
