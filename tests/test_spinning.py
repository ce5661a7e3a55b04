"""The dictionary that coverage is given behaves as the one that it replaces."""

import gc
import sys

import pytest

from tests.spinning import Deferring

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="later Pythons do not need it")


class Key:
    """Something that can die."""


def test_a_dead_key_counts_no_more_and_is_dropped_at_the_next_one() -> None:
    live, dead, late = Key(), Key(), Key()
    values = Deferring({live: 1, dead: 2})
    del dead
    gc.collect()
    assert (len(values), list(values.values())) == (1, [1])
    values[late] = 3
    assert sorted(values.data.values()) == [1, 3]
    assert values[live] == 1


def test_a_key_that_is_deleted_and_dies_is_counted_once() -> None:
    live, deleted, dead = Key(), Key(), Key()
    values = Deferring({live: 1, deleted: 2, dead: 3})
    del values[deleted]
    del deleted, dead
    gc.collect()
    assert len(values) == 1
    values[Key()] = 4
    gc.collect()
    assert len(values) == 1


def test_a_key_may_die_while_others_are_looked_at() -> None:
    keys = [Key() for _ in range(3)]
    values = Deferring({key: number for number, key in enumerate(keys)})
    seen = []
    for key, number in values.items():
        keys.clear()
        gc.collect()
        seen.append((key, number))
    assert [number for _, number in seen] == [0]
    assert list(values) == [key for key, _ in seen]
    assert len(values) == 1
