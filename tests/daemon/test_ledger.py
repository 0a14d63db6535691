"""What is true in memory reaches the store whole, in order, and once: whatever fails or is cancelled in between."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.incidents.changes import Changes, RuleFile
from tests.daemon.inside import FULL, Rooms, a_row, soon


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def text(content: str) -> Changes:
    """Return changes that can be told apart."""
    return Changes(files={"a.toml": RuleFile("a.toml", content, 0.0)})


def texts(rooms: Rooms) -> list[str]:
    """Return the contents of the commits, in order."""
    return [file.text for commit in rooms.store.commits for file in commit.files.values() if file]


def failing(rooms: Rooms) -> tuple[float | None, str]:
    """Return since when the store cannot be written, and why."""
    return rooms.ledger.failing_since, rooms.ledger.error


async def test_what_cannot_be_written_is_kept_and_what_is_newer_wins(rooms: Rooms) -> None:
    rooms.store.failing = FULL
    rooms.ledger.take(text("old"))
    assert await rooms.ledger.flush() is False
    assert failing(rooms) == (rooms.time.at, FULL.message)
    rooms.time.at += 5
    rooms.ledger.take(text("new"))
    assert await rooms.ledger.flush() is False
    assert failing(rooms) == (rooms.time.at - 5, FULL.message), "since the first failure"
    rooms.store.failing = None
    assert await rooms.ledger.flush() is True
    assert texts(rooms) == ["new"]
    assert failing(rooms) == (None, "")
    assert rooms.counted("store_commit_failures_total", reason="disk_full") == 2


async def test_our_own_mistake_loses_nothing(rooms: Rooms) -> None:
    rooms.store.failing = UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
    rooms.ledger.take(text("kept"))
    assert await rooms.ledger.flush() is False
    assert rooms.counted("errors_total", where="commit") == 1
    rooms.store.failing = None
    assert await rooms.ledger.flush() is True
    assert texts(rooms) == ["kept"]


async def test_nothing_to_write_is_no_commit_and_no_proof_that_the_store_is_well(rooms: Rooms) -> None:
    assert await rooms.ledger.flush() is True
    assert not rooms.store.commits
    assert rooms.ledger.committed_at is None


async def test_what_comes_during_a_commit_is_in_the_next(rooms: Rooms) -> None:
    begun, on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        on.wait(10)

    rooms.store.before = wait
    rooms.ledger.take(Changes(deliveries={"a": a_row("a")}))
    first = asyncio.create_task(rooms.ledger.flush())
    await soon(begun.is_set)
    assert rooms.ledger.unwritten() == {"a"}
    rooms.ledger.take(Changes(deliveries={"b": a_row("b")}))
    second = asyncio.create_task(rooms.ledger.flush())
    assert rooms.ledger.unwritten() == {"a", "b"}
    on.set()
    assert [await first, await second] == [True, True]
    assert [set(commit.deliveries) for commit in rooms.store.commits] == [{"a"}, {"b"}]
    assert rooms.ledger.unwritten() == set()


@pytest.mark.parametrize("failing", [None, FULL])
async def test_a_cancelled_caller_leaves_the_commit_to_itself(rooms: Rooms, failing: Exception | None) -> None:
    begun, on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        on.wait(10)

    rooms.store.before, rooms.store.failing = wait, failing
    rooms.ledger.take(text("kept"))
    caller = asyncio.create_task(rooms.ledger.flush())
    await soon(begun.is_set)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    on.set()
    rooms.store.failing = failing
    await soon(lambda: rooms.store.commits or rooms.ledger.failing_since)
    rooms.store.failing = None
    assert await rooms.ledger.flush() is True
    assert texts(rooms) == ["kept"]


async def test_what_failed_is_tried_again_without_being_asked(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.daemon.ledger.RETRY_EVERY", 0.05)
    rooms.store.failing = FULL
    rooms.ledger.take(text("kept"))
    await rooms.ledger.flush()
    trying = asyncio.create_task(rooms.ledger.keep_trying())
    rooms.store.failing = None
    await soon(lambda: texts(rooms) == ["kept"])
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "fails", "not yet"])), max_size=20))
@settings(max_examples=25, deadline=None)
def test_the_store_ends_as_memory_whatever_fails(steps: list[tuple[str, str]]) -> None:
    async def story() -> None:
        rooms = Rooms()
        memory: dict[str, int] = {}
        for number, (row, weather) in enumerate(steps):
            memory[row] = number
            rooms.ledger.take(Changes(deliveries={row: a_row(row, attempts=number)}))
            rooms.store.failing = FULL if weather == "fails" else None
            if weather != "not yet":
                assert await rooms.ledger.flush() is (weather == "ok")
            unwritten = {each for each in memory if _written(rooms, each) != memory[each]}
            assert rooms.ledger.unwritten() >= unwritten
        rooms.store.failing = None
        assert await rooms.ledger.flush() is True
        assert {row: _written(rooms, row) for row in memory} == memory

    asyncio.run(story())


def _written(rooms: Rooms, row: str) -> int | None:
    found = [commit.deliveries[row].attempts for commit in rooms.store.commits if row in commit.deliveries]
    return found[-1] if found else None
