"""From nothing to ready: what ``up`` does, step by step, each with an error that says what to do."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from app.cli.console import errors, readable
from app.cli.database import migrate_when_reachable, show_away
from app.core.commands import command
from app.core.config import (
    AppSettings,
    ConfigurationError,
    Role,
    given_values,
    load_settings,
)
from app.supervision import control
from app.supervision.control import StackError
from app.supervision.embedded.binaries import find_postgres, find_redis
from app.supervision.environment import environment, programs
from app.supervision.orphans import end_orphans
from app.supervision.state import State, is_free

READY_TIMEOUT = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started: the checked configuration, the folders and the embedded servers."""

    settings: AppSettings
    state: State
    servers: tuple[str, ...]

    @classmethod
    def make(cls, *, embedded: bool = True) -> "Plan":
        """Prepare the state folder and check the configuration.

        Args:
            embedded: run the data servers whose addresses nobody set, and generate secrets that are missing.

        Raises:
            ConfigurationError: with every fault.
            ServerMissingError: a data server is to be embedded and cannot be found.
            StackError: the state folder cannot be used.
        """
        given = given_values()
        state = State.chosen(given)
        servers = state.embedded_servers(given) if embedded else ()
        for name, find in (("postgres", find_postgres), ("redis", find_redis)):
            if name in servers:
                find()
        try:
            state.prepare()
            if control.running_pid(state) is None:
                end_orphans(state)
                if embedded:
                    state.generate(servers)
        except OSError as error:
            raise StackError(
                f"the state folder {state.folder} cannot be used ({error.strerror}): "
                "choose another with STATE_DIR, or make it writable"
            ) from error
        return cls(load_settings(), state, servers)

    @staticmethod
    def shutdown_timeout() -> float:
        """Seconds in which a stack has stopped; the default where the configuration is at fault."""
        try:
            return load_settings().server.shutdown_timeout
        except ConfigurationError:
            return 30.0

    @property
    def url(self) -> str:
        """Where the API answers."""
        host = self.settings.server.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.settings.server.port}"  # noqa: S104 - compared, not bound

    @property
    def serves(self) -> bool:
        """Whether this stack has an API."""
        return self.settings.server.role in {Role.ALL, Role.API}

    def environment(self, *, log_file: bool, only: tuple[str, ...] | None = None) -> dict[str, str]:
        """The environment of supervisord."""
        return environment(self.settings, self.state, self.servers, only=only, log_file=log_file)

    def refuse_taken_port(self) -> None:
        """Say who holds the port.

        Raises:
            StackError: somebody does.
        """
        server = self.settings.server
        if not is_free(server.port, server.host):
            raise StackError(
                f"port {server.port} is taken by {holder(server.port)}: "
                "stop it, or choose another with PORT=..."
            )

    def refuse_where_it_cannot_start(self) -> None:
        """Check what a start needs, and write what ``supervisorctl`` reads.

        Raises:
            StackError: it runs already, or the port is taken.
        """
        if control.running_pid(self.state) is not None:
            raise StackError(
                f"the stack is already up: see {command('status')}, or stop it with {command('down')}"
            )
        if self.serves:
            self.refuse_taken_port()
        self.state.forget_the_last_run()
        control.write_client_configuration(self.state)

    def refuse_another_stack(self) -> None:
        """Hold what runs against what is asked for.

        Raises:
            StackError: other programs run in this state folder, or at another address.
        """
        running = {info["group"] for info in control.process_info(self.state)}
        wanted = set(programs(self.settings, self.servers))
        if running != wanted:
            raise StackError(
                f"{', '.join(sorted(running))} of this state folder run already, without "
                f"{', '.join(sorted(wanted - running)) or 'more'}: stop them with {command('down')} first"
            )
        if self.serves and not control.is_listening(self.settings.server.host, self.settings.server.port):
            raise StackError(
                f"the stack of this state folder runs at another port than {self.settings.server.port}: "
                f"stop it with {command('down')} first, or choose another STATE_DIR for a second one"
            )

    def migrate_from_beside(self) -> None:
        """Have a process beside the stack migrate; an embedded database can only follow supervisord."""
        arguments = [sys.executable, "-m", "app.cli", "migrate", "--quiet", "--beside"]
        environment = self.environment(log_file=False)
        subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL)

    def migrate(self, alive: Callable[[], bool] = lambda: True) -> str:
        """Bring the schema to this version's as soon as the database answers.

        Raises:
            StackError: it did not answer in time, or what it belongs to is not ``alive`` any more.
        """
        timeout = 60.0 if "postgres" in self.servers else 15.0
        return migrate_when_reachable(self.settings, timeout=timeout, alive=alive)

    def migrate_patiently(self, alive: Callable[[], bool]) -> None:
        """The same for a stack that stays: readiness tells until the database comes.

        Raises:
            StackError: the stack ended, or its pools are too large for the database.
        """
        migrate_when_reachable(self.settings, timeout=float("inf"), alive=alive, told=show_away)

    def start_data_servers(self) -> subprocess.Popen[bytes] | None:
        """Start the embedded servers alone; gives their supervisord where it was started here."""
        if not self.servers or control.running_pid(self.state) is not None:
            return None
        control.write_client_configuration(self.state)
        return control.start_in_background(self.state, self.environment(log_file=True, only=self.servers))


def start_and_wait(plan: Plan) -> float:
    """Start the stack if it does not run, and wait until it is ready.

    Gives the seconds that it took.

    Raises:
        StackError: it did not get ready; the message shows the last errors of its log.
    """
    begin = time.monotonic()
    pid = control.running_pid(plan.state)
    if pid is not None:
        plan.refuse_another_stack()
        _wait_ready(plan, pid)
        return round(time.monotonic() - begin, 2)
    plan.refuse_where_it_cannot_start()
    process = control.start_in_background(plan.state, plan.environment(log_file=True))
    try:
        _wait_ready(plan, process.pid)
    except BaseException:
        # What did not get ready is not left behind.
        control.end(process, timeout=plan.settings.server.shutdown_timeout + 10)
        raise
    return round(time.monotonic() - begin, 2)


def _wait_ready(plan: Plan, pid: int) -> None:
    def alive() -> bool:
        return control.is_alive(pid)

    try:
        with errors.status("Starting ...") as progress:
            plan.migrate(alive)
            progress.update("Waiting until every part is ready ...")
            if not control.wait_until(_readiness(plan), alive, timeout=READY_TIMEOUT):
                raise StackError("the stack did not get ready.")
    except StackError as error:
        raise StackError(f"{error}\n{_last_words(plan.state)}") from error


def _readiness(plan: Plan) -> Callable[[], bool]:
    server = plan.settings.server

    def ready() -> bool:
        answers = not plan.serves or control.is_ready(server.host, server.port)
        return answers and control.all_running(plan.state)

    return ready


def _last_words(state: State) -> str:
    errors_file = state.logs / "supervisord.err"
    early = errors_file.read_text("utf-8", "replace").strip() if errors_file.exists() else ""
    lines = (
        state.log_file.read_text("utf-8", "replace").splitlines()[-200:] if state.log_file.exists() else []
    )
    loud = [line for line in lines if _level(line) in {"ERROR", "CRITICAL"}][-5:]
    shown = [early] if early else []
    shown += [readable(line) for line in loud] or [readable(line) for line in lines[-5:]]
    return "\n".join([*shown, f"The whole log: {state.log_file}"])


def _level(line: str) -> str:
    try:
        return str(json.loads(line).get("level", ""))
    except (json.JSONDecodeError, AttributeError):
        return ""


def holder(port: int) -> str:
    """The program that listens on a port, as far as this user may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr.port if connection.laddr else 0
            if connection.status == psutil.CONN_LISTEN and local == port and connection.pid:
                process = psutil.Process(connection.pid)
                called = " ".join(process.cmdline()) or process.name()
                return f"process {connection.pid} ({called[:120]})"
    return "a program of another user"
