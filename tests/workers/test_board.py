"""The board that a worker's parent shares with its children."""

import os

import pytest

from app.workers import board as boards
from app.workers.board import Board


def test_a_fork_writes_what_its_parent_reads() -> None:
    board = Board(2)
    if (child := os.fork()) == 0:
        board.live(1)
        board.drain()
        os._exit(0)
    os.waitpid(child, 0)
    assert board.serving() == 1
    assert board.draining


def test_a_child_that_is_idle_does_not_serve() -> None:
    board = Board(1)
    board.live(0)
    board.idle(0)
    assert board.serving() == 0
    assert not board.all_live(within=60)


def test_all_are_live_when_each_has_proved_it_lately() -> None:
    board = Board(2)
    board.live(0)
    assert not board.all_live(within=60)
    board.live(1)
    assert board.all_live(within=60)
    assert not board.all_live(within=0)


def test_children_beyond_the_concurrency_have_a_place() -> None:
    board = Board(1)
    board.live(40)
    assert board.serving() == 1


def test_a_worker_has_one_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "_boards", [])
    shared = boards.share(3)
    assert boards.shared() is shared
