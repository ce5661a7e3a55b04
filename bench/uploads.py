"""What a large upload costs: the growth of the API's memory, and the time of ``/health`` beside two of them.

2 GB by one ``PATCH`` of tus and 2 GB by multipart, to a stack in a temporary folder that is removed at the
end. ``BENCH_UPLOAD_BYTES`` chooses another size.
"""

import http.client
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final

import psutil

from tests.stack.harness import Stack, fresh_stack

SIZE: Final = int(os.environ.get("BENCH_UPLOAD_BYTES", "2000000000"))
BLOCK: Final = 256 * 1024
EVERY: Final = 0.2
"""Seconds between two looks at the memory; each costs the machine a little."""
PAUSE: Final = 0.005
"""Seconds between two probes."""
TARGET_MB: Final = 64
HEAD: Final = b"\xff\xd8\xff"
FORM: Final = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="film.jpg"\r\n\r\n'
END: Final = b"\r\n--edge--\r\n"

_MILLION: Final = 1e6


def content(size: int) -> Iterator[bytes]:
    """A file that is taken for a picture, made as it is sent."""
    yield HEAD
    left, block = size - len(HEAD), os.urandom(BLOCK)
    while left:
        yield block[:left]
        left -= min(left, BLOCK)


def form(size: int) -> Iterator[bytes]:
    """The same as a form."""
    yield FORM
    yield from content(size)
    yield END


def send(stack: Stack, method: str, path: str, headers: dict[str, str], body: Iterator[bytes] | bytes) -> str:
    """One request on a connection of its own; gives the ``Location`` of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=300)
    authorization = {"Authorization": stack.client.headers["authorization"]}
    try:
        connection.request(method, path, body, headers | authorization)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status not in {201, 204}:
            raise RuntimeError(f"{method} {path}: {answer.status} {told.decode()}")
        return answer.getheader("Location", "")
    finally:
        connection.close()


def by_tus(stack: Stack, size: int) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    url = send(stack, "POST", "/api/v1/uploads", tus | {"Upload-Length": str(size)}, b"")
    piece = {"Content-Type": "application/offset+octet-stream", "Content-Length": str(size)}
    send(stack, "PATCH", url, tus | piece | {"Upload-Offset": "0"}, content(size))


def by_form(stack: Stack, size: int) -> None:
    length = len(FORM) + size + len(END)
    headers = {"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": str(length)}
    send(stack, "POST", "/api/v1/media", headers, form(size))


@dataclass
class Memory:
    """Bytes of each API process, unshared and its share of the rest (PSS), and resident (RSS)."""

    processes: list[psutil.Process]

    def now(self) -> tuple[list[int], list[int]]:
        facts = [process.memory_full_info() for process in self.processes]
        return [fact.pss for fact in facts], [fact.rss for fact in facts]

    def growth(self, over: Event, before: tuple[list[int], list[int]]) -> tuple[float, float]:
        """The most that any process has grown until it is over, in MB: PSS, RSS."""
        most = [0, 0]
        while True:
            for kind, (sizes, old) in enumerate(zip(self.now(), before, strict=True)):
                most[kind] = max(most[kind], *(a - b for a, b in zip(sizes, old, strict=True)))
            if over.wait(EVERY):
                return most[0] / _MILLION, most[1] / _MILLION


def upload(stack: Stack, memory: Memory, kind: str) -> None:
    """One upload with the memory watched, and its line."""
    before, over = memory.now(), Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(memory.growth, over, before)
        start = time.monotonic()
        try:
            KINDS[kind](stack, SIZE)
        finally:
            seconds = time.monotonic() - start
            over.set()
        pss, rss = watching.result()
    print(
        f"{kind:9} {SIZE / 1e9:.1f} GB in {seconds:5.1f} s ({SIZE / _MILLION / seconds:4.0f} MB/s)   "
        f"API process grew by {pss:5.1f} MB PSS, {rss:5.1f} MB RSS (target: under {TARGET_MB})"
    )


def probe(stack: Stack, until: Event, seconds: float) -> list[float]:
    """Milliseconds of each ``/health`` on one connection, until it is over or the time is up."""
    times, end = [], time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
    while not until.is_set() and time.monotonic() < end:
        start = time.monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()
        times.append((time.monotonic() - start) * 1000)
        time.sleep(PAUSE)
    connection.close()
    return times


def health(stack: Stack) -> None:
    """``/health`` alone and beside two uploads, on a connection to each process if chance wants so."""
    alone = probe(stack, Event(), 5.0)
    over = Event()
    with ThreadPoolExecutor(3) as pool:
        beside = pool.submit(probe, stack, over, 300.0)
        sending = [pool.submit(send_one, stack, SIZE // 2) for send_one in KINDS.values()]
        try:
            for each in sending:
                each.result()
        finally:
            over.set()
        busy = beside.result()
    alone += probe(stack, Event(), 5.0)
    for name, times in (("alone", alone), ("beside", busy)):
        print(f"/health {name:7} p50 {percentile(times, 50):6.1f} ms   p99 {percentile(times, 99):6.1f} ms")
    ratios = [percentile(busy, share) / percentile(alone, share) for share in (50, 99)]
    print(f"ratio beside two uploads to alone: p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f}; {len(busy)} probes")


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


KINDS: Final = {"tus": by_tus, "multipart": by_form}


def main() -> None:
    """Start a stack, upload, measure; everything is removed."""
    with fresh_stack(MAX_UPLOAD_SIZE=str(2 * SIZE), MEDIA_QUOTA="0") as stack:
        stack.start()
        # It would try to read what is no picture, beside what is measured.
        stack.supervisorctl("stop", "worker")
        memory = Memory([psutil.Process(stack.pid(name)) for name in ("api-0", "api-1")])
        for _ in range(8):
            for warm in KINDS.values():
                warm(stack, 4 * BLOCK)
        for kind in KINDS:
            upload(stack, memory, kind)
        health(stack)


if __name__ == "__main__":
    main()
