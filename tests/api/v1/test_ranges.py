"""What a Range field asks for, case by case (RFC 9110, section 14)."""

import pytest

from app.api.v1.ranges import MOST_SPANS, UnsatisfiableRangeError, spans

SIZE = 100


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=0-0", [(0, 1)]),
        ("Bytes=90-", [(90, 100)]),
        ("bytes=90-1000", [(90, 100)]),
        ("bytes=90-99999999999999999999", [(90, 100)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes= 0-1 ,\t,3-4,", [(0, 2), (3, 5)]),
        ("bytes=50-59,0-9", [(50, 60), (0, 10)]),
        ("bytes=0-1,200-300", [(0, 2)]),
        ("bytes=200-300,-0,-1", [(99, 100)]),
        ("bytes=50-59,0-9,5-20", [(0, 21), (50, 60)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=" + ",".join(["0-"] * MOST_SPANS), [(0, 100)]),
    ],
)
def test_what_is_there_is_sent_once(field: str, asked: list[tuple[int, int]]) -> None:
    assert spans(field, SIZE) == asked


@pytest.mark.parametrize(
    "field",
    [
        *("", "bytes", "bytes=", "bytes=,", "pages=1-2", "bytes =0-1", "bytes=-", "bytes=1", "bytes=a-b"),
        *(
            "bytes=9-0",
            "bytes=200-100",
            "bytes=--5",
            "bytes=+1-2",
            "bytes=1_0-20",
            "bytes=\u0661-\u0662",
            "bytes=0x1-2",
        ),
        *("bytes=0-1,x", "bytes=0-1,9-5", "bytes=0 - 1", "bytes=0-1-2", "bytes=" + "9" * 5000 + "-"),
        "bytes=" + ",".join(f"{number}-{number}" for number in range(0, 4 * MOST_SPANS, 3)),
    ],
)
def test_what_is_malformed_or_far_too_much_is_ignored(field: str) -> None:
    assert spans(field, SIZE) == []


@pytest.mark.parametrize("field", ["bytes=100-", "bytes=-0", "bytes=100-200,-0"])
def test_what_lies_behind_the_end_is_refused(field: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        spans(field, SIZE)
