"""The plugin that runs inside supervisord, loaded by ``[rpcinterface:holdfast]``.

supervisord makes it anew, with a new logger and without subscriptions, at every start and every reload, and
closes its logger at the end of each: what the plugin holds begins and ends with these two.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from supervisor.events import (
    ProcessLogEvent,
    ProcessStateBackoffEvent,
    ProcessStateEvent,
    ProcessStateExitedEvent,
    ProcessStateFatalEvent,
    ProcessStateStartingEvent,
    ProcessStateStoppedEvent,
    SupervisorRunningEvent,
    SupervisorStoppingEvent,
    subscribe,
)
from supervisor.states import SupervisorStates

from app.supervision import stops
from app.supervision.clock import SecondTick, add_second_tick
from app.supervision.escalation import Escalation
from app.supervision.forking import use_safe_fork
from app.supervision.journal import Journal
from app.supervision.leftovers import end_leftovers
from app.supervision.lines import LineStream
from app.supervision.output import Writer
from app.supervision.preloading import Preloading
from app.supervision.processes import ProcessTable
from app.supervision.stages import by_priority
from app.supervision.starts import ExitStatuses, Starts
from app.supervision.targets import Descriptor, RotatingFile
from app.supervision.watchdog import Watchdog

_FLUSH_SECONDS: Final = 1.0


def make_plugin(supervisord: Any, **given: str) -> "Plugin":
    """Build the plugin from the options of its section; supervisor calls this.

    Args:
        supervisord: the running supervisord.
        given: ``run_dir``, ``log_file`` (empty: standard output), ``critical`` and ``preload`` (programs,
            separated by commas), ``fatal_grace`` and ``watchdog_timeout`` (seconds).
    """
    return Plugin(
        supervisord,
        run_dir=Path(given["run_dir"]),
        log_file=Path(given["log_file"]) if given["log_file"] else None,
        critical=_names(given["critical"]),
        preload=_names(given["preload"]),
        fatal_grace=float(given["fatal_grace"]),
        watchdog_timeout=float(given["watchdog_timeout"]),
    )


def _names(given: str) -> frozenset[str]:
    return frozenset(name.strip() for name in given.split(",") if name.strip())


class Plugin:
    """Wires the parts to supervisord's events. Offers no remote procedures."""

    def __init__(
        self,
        supervisord: Any,
        *,
        run_dir: Path,
        log_file: Path | None,
        critical: frozenset[str],
        preload: frozenset[str],
        fatal_grace: float,
        watchdog_timeout: float,
    ) -> None:
        (run_dir / "heartbeats").mkdir(mode=0o700, exist_ok=True)
        options = supervisord.options
        self._supervisord = supervisord
        self._writer = Writer(RotatingFile(log_file) if log_file else Descriptor())
        self._journal = Journal(self._writer.put, reopen=self._writer.reopen, end=self._end)
        self._streams: dict[tuple[str, str], LineStream] = {}
        use_safe_fork(options)
        self._preloading = Preloading(options, preload, self._journal)
        self._statuses = ExitStatuses(options)
        self._starts = Starts(self._statuses, self._journal)
        self._escalation = Escalation(
            options, self._journal, marker=run_dir / "fatal", critical=critical, grace=fatal_grace
        )
        self._watchdog = Watchdog(watchdog_timeout, self._journal)
        self._table = ProcessTable(run_dir / "processes.json")
        self._subscribe()

    def _subscribe(self) -> None:
        add_second_tick()
        for event, callback in (
            (SupervisorRunningEvent, self._running),
            (SupervisorStoppingEvent, self._stopping),
            (ProcessLogEvent, self._output),
            (ProcessStateEvent, self._changed),
            (ProcessStateStartingEvent, self._starting),
            (ProcessStateBackoffEvent, self._backoff),
            (ProcessStateExitedEvent, self._exited),
            (ProcessStateStoppedEvent, self._ended),
            (ProcessStateFatalEvent, self._fatal),
            (SecondTick, self._tick),
        ):
            subscribe(event, self._guarded(callback))

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """An exception that left a subscriber would end supervisord, and with it the container."""

        def call(event: Any) -> None:
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, supervision goes on
                self._journal.say("ERROR", f"supervision: {type(error).__name__}: {error}")

        return call

    def _running(self, _event: Any) -> None:
        # Only now: what supervisord says before is of no use, but for warnings of its configuration.
        logger = self._supervisord.options.logger
        for handler in logger.handlers:
            handler.close()
        logger.handlers = [self._journal]
        for warning in self._supervisord.options.parse_warnings:
            self._journal.say("WARNING", warning)
        self._journal.say("INFO", "supervision begins")
        stops.release()
        # supervisord itself waits for a second before it looks at its programs for the first time.
        for group in sorted(self._supervisord.process_groups.values()):
            group.transition()

    def _stopping(self, _event: Any) -> None:
        self._supervisord.stop_groups = by_priority(self._supervisord.process_groups.values())

    def _output(self, event: Any) -> None:
        stream = self._stream(event.process.config.name, event.channel)
        self._put(stream.feed(event.pid, event.data))

    def _changed(self, _event: Any) -> None:
        self._table.change()

    def _starting(self, event: Any) -> None:
        self._preloading.starting(event.process)
        self._table.starting(event.process)
        self._starts.starting(event.process)

    def _backoff(self, event: Any) -> None:
        self._ended(event)
        self._starts.backoff(event.process)

    def _exited(self, event: Any) -> None:
        self._ended(event)
        self._starts.exited(event.process)

    def _fatal(self, event: Any) -> None:
        self._escalation.fatal(event.process, self._starts.gave_up(event.process))

    def _ended(self, event: Any) -> None:
        self._flush(event)
        end_leftovers(event.process, self._journal)

    def _flush(self, event: Any) -> None:
        for channel in ("stdout", "stderr"):
            self._put(self._stream(event.process.config.name, channel).flush(event.process.pid))

    def _tick(self, _event: Any) -> None:
        for stream in self._streams.values():
            self._put(stream.settle())
        self._escalation.tick()
        processes = self._processes()
        self._watchdog.look(processes)
        with suppress(OSError):  # the file is a courtesy; a full disk is told by those whom it stops
            self._table.write(processes)

    def _processes(self) -> list[Any]:
        groups = self._supervisord.process_groups.values()
        return [process for group in groups for process in group.processes.values()]

    def _stream(self, name: str, channel: str) -> LineStream:
        return self._streams.setdefault((name, channel), LineStream(name, channel))

    def _put(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._writer.put(line)

    def _end(self) -> None:
        """Write what is left, and leave with the code that tells of a FATAL program."""
        if self._supervisord.options.mood < SupervisorStates.RESTARTING:
            self._journal.say("INFO", "supervision ends", exit_code=self._escalation.exit_code)
        self._writer.close(_FLUSH_SECONDS)
        if self._escalation.exit_code:
            raise SystemExit(self._escalation.exit_code)
