"""Kept samples reach the store in time, whole, and never after they were dropped; what is dropped goes at once."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from evaluator.daemon.shelf import BUCKETS, LONGEST, MOST, Chunks, Shelf
from evaluator.engine.trail import CHUNK, Chunk
from evaluator.incidents.changes import Changes, ChunkKey, RuleFile
from tests.daemon.inside import FULL, Rooms


def key(name: str = "a", width: float = 60.0, number: int = 0) -> ChunkKey:
    return ChunkKey("cpu", width, (("host", name),), number)


def chunk(value: float) -> Chunk:
    return (value,) * CHUNK


def test_the_first_samples_are_written_at_once_and_then_the_latest_once_a_minute() -> None:
    shelf = Shelf()
    written = []
    for second in range(0, 181, 5):
        shelf.put({key(): chunk(second)})
        written += [(second, found) for found in shelf.take(float(second)).values()]
    assert written == [(second, chunk(second)) for second in (0, 60, 120, 180)]


def test_where_buckets_are_short_samples_wait_for_a_few_of_them_only() -> None:
    shelf = Shelf()
    times = []
    for second in range(60):
        shelf.put({key(width=1.0): chunk(second), key(width=300.0): chunk(second)})
        times += [(second, found.width) for found in shelf.take(float(second))]
    assert [second for second, width in times if width == 1.0] == list(range(0, 60, BUCKETS))
    assert [second for second, width in times if width == 300.0] == [0]
    assert LONGEST == 60.0


def test_what_is_dropped_is_written_at_once_also_where_something_new_took_its_place() -> None:
    shelf = Shelf()
    shelf.put({key(): chunk(1.0)})
    assert shelf.take(0.0) == {key(): chunk(1.0)}
    shelf.put({key(): chunk(2.0)})
    assert shelf.take(1.0) == {}
    shelf.put({key(): None})
    assert shelf.take(2.0) == {key(): None}
    shelf.put({key(): None})
    shelf.put({key(): chunk(3.0)})
    assert shelf.take(3.0) == {key(): chunk(3.0)}


def test_many_leave_in_parts_and_what_comes_in_the_meantime_has_its_own_turn() -> None:
    shelf = Shelf()
    shelf.put({key(str(name)): chunk(1.0) for name in range(2 * MOST + 1)})
    sizes = []
    for second in range(4):
        sizes.append(len(shelf.take(float(second))))
        shelf.put({key(str(name)): chunk(2.0) for name in range(10)})
    assert sizes == [MOST, MOST, 1, 0]
    assert len(shelf) == 10
    assert set(shelf.take(LONGEST).values()) == {chunk(2.0)}


def test_what_could_not_be_written_comes_back_under_what_is_newer() -> None:
    shelf = Shelf()
    names = ("same", "newer", "dropped", "gone")
    shelf.put({key(name): chunk(1.0) for name in names})
    shelf.put({key("gone"): None})
    batch = shelf.take(0.0)
    shelf.put({key("newer"): chunk(2.0), key("dropped"): None})
    shelf.put_back(batch)
    found: Chunks = {}
    while len(shelf):
        found |= shelf.take(0.0, everything=True)
    expected = {"same": chunk(1.0), "newer": chunk(2.0), "dropped": None, "gone": None}
    assert found == {key(name): value for name, value in expected.items()}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.one_of(st.none(), st.floats(0, 9))),
        st.tuples(st.just("write"), st.integers(0, 40), st.booleans()),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_comes_and_fails_the_store_ends_as_memory_and_never_keeps_what_was_dropped(steps: list) -> None:  # type: ignore[type-arg]
    shelf, now = Shelf(), 0.0
    memory: dict[ChunkKey, Chunk] = {}
    store: dict[ChunkKey, Chunk] = {}
    dropped_since: set[ChunkKey] = set()

    def write(batch: Chunks) -> None:
        for each, value in batch.items():
            store.pop(each, None)
            if value is not None:
                store[each] = value

    for what, number, value in steps:
        if what == "put":
            new = None if value is None else chunk(value)
            shelf.put({key(str(number)): new})
            memory.pop(key(str(number)), None)
            if new is None:
                dropped_since.add(key(str(number)))
            else:
                memory[key(str(number))] = new
            continue
        now += number
        batch = shelf.take(now)
        if value:
            write(batch)
            assert not {each for each in dropped_since if each in store and each not in memory}
        else:
            shelf.put_back(batch)
    while len(shelf):
        write(shelf.take(now, everything=True))
    assert store == memory


async def test_alerts_and_files_do_not_wait_with_the_samples() -> None:
    rooms = Rooms()
    rooms.ledger.take(Changes(chunks={key(): chunk(1.0)}))
    assert await rooms.ledger.flush()
    rooms.ledger.take(Changes(chunks={key(): chunk(2.0)}, files={"a": RuleFile("a", "text", 0.0)}))
    assert await rooms.ledger.flush()
    rooms.ledger.take(Changes(chunks={key(): chunk(3.0)}))
    assert await rooms.ledger.flush()
    assert [(len(commit.files), commit.chunks) for commit in rooms.store.commits] == [
        (0, {key(): chunk(1.0)}),
        (1, {}),
    ]
    assert rooms.ledger.world.trails["cpu"][60.0, (("host", "a"),)] == {0: chunk(3.0)}
    assert await rooms.ledger.flush_all()
    assert rooms.store.commits[-1].chunks == {key(): chunk(3.0)}


async def test_samples_outlive_a_store_that_fails_and_an_end_that_cannot_write_does_not_wait_for_ever() -> None:
    rooms = Rooms()
    rooms.store.failing = FULL
    rooms.ledger.take(Changes(chunks={key(): chunk(1.0), key("gone"): None}))
    assert not await rooms.ledger.flush()
    async with asyncio.timeout(10):
        assert not await rooms.ledger.flush_all()
    rooms.store.failing = None
    assert await rooms.ledger.flush()
    assert rooms.store.commits[-1].chunks == {key(): chunk(1.0), key("gone"): None}
