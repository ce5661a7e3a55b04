"""One's own account is read over a connection that is taken for who may read it, and for nobody else."""

import asyncio
import uuid
from pathlib import Path

import psycopg

from app.core.config import AppSettings
from tests.accounts import OWNER, bearer
from tests.configuration import make_settings
from tests.servers import plain
from tests.serving import NOBODY, serve

PATH = "/api/v1/users/me"


async def test_who_has_no_credential_takes_no_connection(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}")
    async with serve(settings) as http:
        assert (await http.get(PATH)).status_code == 401


async def test_more_sessions_at_once_than_connections_are_all_answered(
    settings: AppSettings, fresh_database: str
) -> None:
    narrow = settings.model_copy(update={"database": settings.database.model_copy(update={"pool_size": 1})})
    sessions = [uuid.uuid4() for _ in range(4)]
    with psycopg.connect(plain(fresh_database), autocommit=True) as connection:
        for session_id in sessions:
            connection.execute(
                "INSERT INTO sessions (id, user_id, refresh_hash, last_used_at, expires_at) "
                "VALUES (%s, %s, %s, now(), now() + interval '1 day')",
                (session_id, OWNER, "0" * 64),
            )
    async with serve(narrow) as http:
        asked = (http.get(PATH, headers=bearer(settings, OWNER, session_id)) for session_id in sessions)
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * len(sessions)
