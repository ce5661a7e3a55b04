"""What ffmpeg says of how far it is."""

from app.services.media.progress import Progress

SAID = b"frame=10\nout_time_us=%s\nprogress=continue\n"


async def heard(seconds: float | None, *chunks: bytes) -> list[float]:
    told: list[float] = []

    async def tell(share: float) -> None:
        told.append(share)

    hear = Progress(seconds, tell)
    for chunk in chunks:
        await hear(chunk)
    return told


async def test_its_time_is_told_as_a_share_of_the_whole() -> None:
    assert await heard(10, SAID % b"2500000", SAID % b"10000000") == [0.25, 1.0]


async def test_a_line_may_come_in_parts() -> None:
    assert await heard(10, b"out_time_", b"us=50000", b"00\nframe") == [0.5]


async def test_of_several_the_last_counts() -> None:
    assert await heard(10, SAID % b"1000000" + SAID % b"2000000") == [0.2]


async def test_what_is_no_time_tells_nothing() -> None:
    assert await heard(10, SAID % b"N/A", SAID % b"-40000") == []
    assert await heard(None, SAID % b"1000000") == []


async def test_a_line_without_end_takes_no_memory() -> None:
    hear = Progress(10, lambda _share: heard(None))
    for _ in range(100):
        await hear(b"x" * 10_000)
    assert len(hear._rest) <= 4096
