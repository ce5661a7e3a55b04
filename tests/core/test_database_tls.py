"""TLS to the database, by setting (T10): a real PostgreSQL behind a certificate of a test's own authority."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.config import AppSettings, ConfigurationError
from app.core.database import address, create_engine, ping
from app.core.revisions import head_revision
from app.core.schema import migrate
from app.workers.blocking import Line
from tests.configuration import make_settings

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL's protocol, 55.2.11: a client that wants TLS begins with this."""


def certificate(folder: Path, name: str, host: str) -> Path:
    """A certificate that is its own authority, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


class Terminator:
    """Speaks TLS with clients and plainly with the PostgreSQL behind it; refuses whoever speaks plainly."""

    def __init__(self, target: str, file: Path) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self.encrypted = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._context)
                self.encrypted += 1
                onward, back = await asyncio.open_connection(*self._target)
                await asyncio.gather(self._copy(reader, back), self._copy(onward, writer))
        writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return certificate(tmp_path, "server", "127.0.0.1")


@pytest.fixture
async def behind_tls(settings: AppSettings, authority: Path) -> AsyncIterator[tuple[Terminator, str]]:
    """The way to this test's database that is encrypted, and its address."""
    url = settings.database.url.get_secret_value()
    terminator = Terminator(url, authority)
    server = await asyncio.start_server(terminator, "127.0.0.1", 0)
    account = urlsplit(url).netloc.rpartition("@")[0]
    port = server.sockets[0].getsockname()[1]
    yield terminator, urlsplit(url)._replace(netloc=f"{account}@127.0.0.1:{port}").geturl()
    server.close()


def settings_for(folder: Path, url: str, **values: str) -> AppSettings:
    return make_settings(folder / "state", url, "redis://127.0.0.1:1", **values)


async def test_t10_every_kind_of_connection_is_encrypted_and_its_server_verified(
    behind_tls: tuple[Terminator, str], authority: Path, tmp_path: Path
) -> None:
    terminator, url = behind_tls
    verified = {"DATABASE_SSL_MODE": "verify-full", "DATABASE_SSL_ROOT_CERT": str(authority)}
    chosen = settings_for(tmp_path, url, **verified)
    engine = create_engine(chosen.database)
    await ping(engine)
    await engine.dispose()
    line = Line(chosen.database, name="test")
    assert await asyncio.to_thread(line.rows, text("SELECT 1")) == [(1,)]
    line.close()
    assert await asyncio.to_thread(migrate, chosen) == head_revision()
    assert terminator.encrypted == 3


async def test_t10_a_server_of_another_authority_is_not_talked_to(
    behind_tls: tuple[Terminator, str], tmp_path: Path
) -> None:
    other = certificate(tmp_path, "other", "127.0.0.1")
    values = {"DATABASE_SSL_MODE": "verify-ca", "DATABASE_SSL_ROOT_CERT": str(other)}
    engine = create_engine(settings_for(tmp_path, behind_tls[1], **values).database)
    with pytest.raises(OperationalError, match="certificate verify failed"):
        await ping(engine)
    await engine.dispose()


async def test_t10_a_server_without_tls_is_not_talked_to(settings: AppSettings, tmp_path: Path) -> None:
    plain = settings.database.url.get_secret_value()
    engine = create_engine(settings_for(tmp_path, plain, DATABASE_SSL_MODE="require").database)
    with pytest.raises(OperationalError, match="does not support SSL"):
        await ping(engine)
    await engine.dispose()


def test_t10_the_settings_win_over_the_query_of_the_address(tmp_path: Path, authority: Path) -> None:
    url = "postgresql://u@h/db?sslmode=disable&application_name=x"
    values = {"DATABASE_SSL_MODE": "verify-full", "DATABASE_SSL_ROOT_CERT": str(authority)}
    assert dict(address(settings_for(tmp_path, url, **values).database).query) == {
        "sslmode": "verify-full",
        "sslrootcert": str(authority),
        "application_name": "x",
        "client_encoding": "UTF8",
    }
    assert address(settings_for(tmp_path, url).database).query["sslmode"] == "disable"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"DATABASE_SSL_MODE": "verify-full"}, "is missing while DATABASE_SSL_MODE is verify-full"),
        ({"DATABASE_SSL_ROOT_CERT": "/nonexistent"}, "cannot be read"),
    ],
)
def test_t10_what_cannot_be_verified_is_a_fault(tmp_path: Path, values: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        settings_for(tmp_path, "postgresql://u@h/db", **values)


def test_t10_the_address_may_name_the_authority(tmp_path: Path, authority: Path) -> None:
    url = f"postgresql://u@h/db?sslrootcert={authority}"
    chosen = settings_for(tmp_path, url, DATABASE_SSL_MODE="verify-full")
    assert address(chosen.database).query["sslrootcert"] == str(authority)
