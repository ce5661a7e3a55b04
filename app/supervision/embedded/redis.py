"""``python -m app.supervision.embedded.redis``: become Redis, with nothing on disk, for it may be lost."""

import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from app.core.config.sources import GENERATED
from app.supervision.embedded.binaries import ServerMissingError, find_redis


def configuration(address: str, folder: Path) -> str:
    """The server's configuration file, which holds the password and so stays out of the process list.

    Args:
        address: a ``redis://`` address on loopback.
        folder: the server's working folder.
    """
    parts = urlsplit(address)
    lines = {
        "bind": parts.hostname or "127.0.0.1",
        "port": str(parts.port or 6379),
        "requirepass": f'"{unquote(parts.password or "")}"',
        "dir": f'"{folder}"',
        "save": '""',
        "appendonly": "no",
        "daemonize": "no",
        "logfile": '""',
        "loglevel": "notice",
        "always-show-logo": "no",
        "tcp-keepalive": "30",
        # A queue of doorbells and heartbeats is small; what grows beyond this is a fault, not data.
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def main() -> NoReturn:
    """Run the server at the address that the launcher chose."""
    state_dir, run_dir = Path(os.environ["STATE_DIR"]), Path(os.environ["RUN_DIR"])
    address = (state_dir / GENERATED / "REDIS_URL").read_text().strip()
    try:
        program = find_redis()
    except ServerMissingError as error:
        sys.stderr.write(f"redis: {error}\n")
        raise SystemExit(1) from None
    file = run_dir / "redis.conf"
    file.touch(mode=0o600)
    file.write_text(configuration(address, run_dir))
    os.execv(program, [program, str(file)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
