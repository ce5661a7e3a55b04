"""``supervisorctl`` where nothing may run yet: ``start all`` starts supervisord too, as ``holdfast up`` does.

A development shell has it in the place of supervisor's own, which all else is left to.
"""

import os
import sys
from typing import Final, NoReturn

from app.cli.console import fail
from app.cli.stack import current_state
from app.cli.startup import Plan
from app.core.config import ConfigurationError, exit_on_faults
from app.supervision import control
from app.supervision.control import StackEndingError, StackError
from app.supervision.state import State

NOT_RUNNING: Final = 4
"""What supervisorctl ends with where it finds no supervisord."""


def main() -> NoReturn:
    """Become the one or the other. Exit codes are theirs, and 78 for a faulty configuration."""
    try:
        _choose(sys.argv[1:])
    except ConfigurationError as error:
        raise exit_on_faults(error) from None


def _choose(arguments: list[str]) -> NoReturn:
    state = current_state()
    if arguments and (arguments[0].startswith("-") or arguments[0] in {"help", "version"}):
        _become("supervisor.supervisorctl", *arguments)
    if arguments == ["start", "all"]:
        control.wait_until(lambda: not is_ending(state), lambda: True, timeout=Plan.shutdown_timeout() + 10)
        if control.running_pid(state) is None:
            _become("app.cli", "up")
    elif control.running_pid(state) is None:
        fail("the stack is not running: `supervisorctl start all` starts it", code=NOT_RUNNING)
    _become("supervisor.supervisorctl", "-c", str(state.client_configuration), *arguments)


def is_ending(state: State) -> bool:
    """Whether a supervisord answers that it is shutting down: it starts nothing any more."""
    try:
        control.process_info(state)
    except StackEndingError:
        return True
    except StackError:
        return False
    return False


def _become(module: str, *arguments: str) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
