"""``python -m app.workers worker`` and ``... beat``: Celery's programs as supervisord runs them.

Celery's own command line does the same, and loads a shell with completion and colours for it.
"""

import argparse
import socket
import sys

from app.celery_app import celery_app


def main(arguments: list[str] | None = None) -> int:
    """Run the worker or beat until a signal ends it, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.workers", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    worker = programs.add_parser("worker", help="run jobs")
    worker.add_argument("--name", default="worker", help="the node's name on its host")
    beat = programs.add_parser("beat", help="trigger the schedules")
    beat.add_argument("--schedule", required=True, help="a file for beat's notes of last runs")
    given = parser.parse_args(arguments)
    return _work(given.name) if given.program == "worker" else _beat(given.schedule)


def _work(name: str) -> int:
    node = f"{name}@{socket.gethostname()}"
    # Workers need not know of each other, for rows say who has what.
    worker = celery_app.Worker(hostname=node, quiet=True, without_gossip=True, without_mingle=True)
    worker.start()
    return int(worker.exitcode or 0)


def _beat(schedule: str) -> int:
    celery_app.Beat(schedule=schedule, quiet=True).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
