"""A worker that runs a tool for ten minutes; the test kills it."""

import asyncio
import sys
from pathlib import Path

from app.services.media.run import Limits, held_open, run_tool

SCRIPT = 'echo $$ > "$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; exec sleep 600'


def main(folder: Path, source: Path) -> None:
    """Run it."""
    limits = Limits(seconds=600, memory=512 * 2**20, output=1024, file_size=1024, processes=True)
    with held_open(source) as reads:
        asyncio.run(run_tool(Path("/bin/sh"), ["-c", SCRIPT], folder=folder, reads=reads, limits=limits))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
