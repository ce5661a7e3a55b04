"""How long the stack takes to start, to come back after a death, and to stop, against its first start."""

import time
from collections.abc import Callable

import psutil

from tests.servers import wait_for
from tests.stack.harness import Stack, fresh_stack, patient

PROCESSES = ("api-0", "api-1", "worker", "beat", "redis", "postgres")


def timed(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def serving_after_kill(stack: Stack, name: str) -> float:
    """Seconds from ``kill -9`` until the process is another one and a database read answers 200."""
    before = stack.kill(name)

    def serves() -> bool:
        return stack.pid(name) != before and stack.client.get("/api/v1/jobs").status_code == 200

    return timed(lambda: wait_for(patient(serves), timeout=60))


def memory(stack: Stack) -> float:
    """MB (PSS) of all programs but the data servers."""
    servers = {stack.pid("postgres"), stack.pid("redis")}
    total = 0
    for process in stack.members():
        if process.pid in servers or process.ppid() in servers:
            continue
        total += process.memory_full_info().pss
    return total / 1e6


def main() -> None:
    with fresh_stack(APP_ENV="development") as stack:
        first = timed(stack.start)
        print(f"first start to ready            {first:6.2f} s   (makes the database)")
        timed(stack.end)
        second = timed(stack.start)
        print(f"second start to ready           {second:6.2f} s   {second / first:5.2f} of the first")
        wait_for(lambda: stack.client.get("/health").json()["status"] == "healthy", timeout=60)
        print(f"memory without data servers     {memory(stack):6.0f} MB PSS")
        for name in PROCESSES:
            seconds = serving_after_kill(stack, name)
            print(f"kill -9 {name:<9} to serving    {seconds:6.2f} s   {seconds / first:5.2f} of a start")
            stack.wait_ready()
        stack.supervisorctl("stop", "postgres")
        stack.supervisorctl("start", "postgres")
        back = timed(lambda: wait_for(patient(lambda: stack.client.get("/api/v1/jobs").status_code == 200)))
        print(f"PostgreSQL's return to serving  {back:6.2f} s")
        left = [psutil.Process(process.pid) for process in stack.members()]
        code = -1

        def end() -> None:
            nonlocal code
            code = stack.end()

        seconds = timed(end)
        alive = sum(process.is_running() for process in left)
        print(f"SIGTERM to the end              {seconds:6.2f} s   exit code {code}, {alive} processes left")
