"""Silences, kept samples and transitions: what comes back, in which order, and when it is forgotten."""

import math
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.engine.trail import CHUNK
from evaluator.incidents.changes import Changes, ChunkKey
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import PRUNE_LIMIT, Store
from tests.store.rows import DAY, NOW, SERIES, a_chunk, a_silence, an_alert, changes

KEY = ChunkKey("cpu-high", 300.0, SERIES, 7)


def turned(at: float, rule: str = "cpu-high", series: Series = SERIES, **fields: object) -> Transition:
    """Return a transition of this slot."""
    return Transition(State.PENDING, an_alert(rule, series, judged=at, reason=f"at {at}", **fields), Cause.JUDGED)


def count(store: Store, table: str) -> int:
    return store._backend.read(
        lambda connection: int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()), 5
    )


def test_a_start_gets_silences_that_are_not_over_and_those_of_the_last_day(store: Store) -> None:
    kept = (
        a_silence("01J1"),
        a_silence("01J2", starts_at=NOW + DAY, ends_at=NOW + 2 * DAY),
        a_silence("01J3", ends_at=NOW - DAY + 1),
        a_silence("01J4", ended_at=NOW - DAY + 1, ended_because="ann ended it"),
    )
    old = (a_silence("01J5", ends_at=NOW - DAY - 1), a_silence("01J6", ended_at=NOW - DAY - 1))
    store.commit(changes(silences=(*kept, *old)))
    assert store.load(NOW).silences == list(kept)


def test_people_see_the_newest_silences_first(store: Store) -> None:
    mine = [
        a_silence(f"01J{number}", ended_at=NOW - 1 if number == 3 else None, ends_at=NOW + number)
        for number in range(6)
    ]
    store.commit(changes(silences=tuple(mine)))
    assert [silence.id for silence in store.silences(3)] == ["01J5", "01J4", "01J3"]
    assert [silence.id for silence in store.silences(9, "01J4")] == ["01J3", "01J2", "01J1", "01J0"]
    assert [silence.id for silence in store.silences(9, not_over_at=NOW)] == ["01J5", "01J4", "01J2", "01J1"]


def test_silences_are_forgotten_long_after_their_end_a_bounded_part_at_a_time(store: Store) -> None:
    over = tuple(a_silence(f"01J{number:05d}", ends_at=NOW - 9 * DAY) for number in range(PRUNE_LIMIT + 1))
    ended = a_silence("01K1", ended_at=NOW - 9 * DAY, ends_at=NOW + 9 * DAY)
    left = (a_silence("01K2", ends_at=NOW - DAY), a_silence("01K3"))
    store.commit(changes(silences=(*over, ended, *left)))
    assert [store.prune_silences(NOW - 7 * DAY) for _ in range(3)] == [PRUNE_LIMIT, 2, 0]
    assert store.silences(9) == left[::-1]


def test_kept_samples_come_back_bit_by_bit(store: Store) -> None:
    chunk = (math.nan, -0.0, 1e-300, math.inf, math.nan, *(0.1 * number for number in range(CHUNK - 6)), math.nan)
    store.commit(
        Changes(chunks={KEY: chunk, KEY._replace(series=()): a_chunk(), KEY._replace(width=0.5): a_chunk(1.0)})
    )
    kept = store.load(NOW).chunks
    assert [repr(value) for value in kept[KEY]] == [repr(value) for value in chunk]
    assert len(kept[KEY._replace(series=())]) == CHUNK
    assert kept[KEY._replace(width=0.5)][0] == 1.0


def test_a_chunk_is_written_in_the_place_of_the_older_one_and_deleted(store: Store) -> None:
    # Whole numbers and fractions of them are one key.
    store.commit(Changes(chunks={KEY: a_chunk(1.0)}))
    store.commit(Changes(chunks={KEY._replace(width=300): a_chunk(1.0, 2.0)}))
    assert store.load(NOW).chunks[KEY][:2] == (1.0, 2.0)
    assert count(store, "observations") == 1
    store.commit(Changes(chunks={KEY: None, KEY._replace(number=99): None}))
    assert store.load(NOW).chunks == {}


@pytest.mark.parametrize("size", [7, 8 * (CHUNK + 1)])
def test_samples_that_cannot_be_read_are_said_to_be_so(store: Store, size: int) -> None:
    store.commit(Changes(chunks={KEY: a_chunk(1.0)}))

    def damaged(connection: Connection) -> None:
        connection.execute(text('UPDATE observations SET "values" = :bytes'), {"bytes": bytes(size)})

    store._backend.write(damaged, 5)
    with pytest.raises(StoreUnavailable, match="a row that this version cannot read"):
        store.load(NOW)


def test_transitions_are_told_newest_first(store: Store) -> None:
    other: Series = (("host", "web-2"),)
    store.commit(changes(transitions=(turned(NOW), turned(NOW + 2), turned(NOW + 1, series=other))))
    # Of one slot: what was written last comes first.
    store.commit(changes(transitions=(turned(NOW + 2, state=State.RECOVERING), turned(NOW, "other"))))
    times = [(row.at, row.after) for row in store.transitions("cpu-high")]
    firing, recovering = State.FIRING, State.RECOVERING
    assert times == [(NOW + 2, recovering), (NOW + 2, firing), (NOW + 1, firing), (NOW, firing)]
    assert [row.at for row in store.transitions("cpu-high", other)] == [NOW + 1]
    assert [row.at for row in store.transitions("cpu-high", ())] == []
    assert [row.at for row in store.transitions("cpu-high", before=NOW + 2)] == [NOW + 1, NOW]
    assert [row.at for row in store.transitions("cpu-high", limit=1)] == [NOW + 2]
    assert store.transitions("nobody") == ()


def test_the_same_transition_twice_is_one(store: Store) -> None:
    store.commit(changes(transitions=(turned(NOW), turned(NOW))))
    store.commit(changes(transitions=(turned(NOW),)))
    (row,) = store.transitions("cpu-high")
    assert (row.severity, row.before, row.after, row.value) == (Severity.P1, State.PENDING, State.FIRING, 93.5)
    assert (row.cause, row.reason) == (Cause.JUDGED, f"at {NOW}")


def test_a_rule_of_any_name_can_be_asked_why(store: Store) -> None:
    # Random letters: repeated ones are compressed, and would fit an index entry after all.
    name = "".join(f"{number * 7919:x}" for number in range(2000))
    store.commit(changes(transitions=(turned(NOW, name),)))
    assert [row.rule for row in store.transitions(name)] == [name]


def test_transitions_that_differ_in_their_verdict_or_value_only_are_both_kept(store: Store) -> None:
    clear, between = turned(NOW, verdict=Verdict.CLEAR, value=None), turned(NOW, verdict=Verdict.BETWEEN, value=None)
    valued = turned(NOW, verdict=Verdict.BETWEEN, value=1.0)
    for _ in range(2):
        store.commit(Changes(transitions=[clear, between, valued]))
    found = {(row.verdict, row.value) for row in store.transitions("cpu-high")}
    assert found == {(Verdict.CLEAR, None), (Verdict.BETWEEN, None), (Verdict.BETWEEN, 1.0)}
    assert count(store, "transitions") == len(found)


def test_transitions_are_forgotten_the_oldest_first_a_bounded_part_at_a_time(store: Store) -> None:
    old = tuple(turned(NOW - 40 * DAY + number) for number in range(PRUNE_LIMIT + 1))
    store.commit(changes(transitions=(*old, turned(NOW))))
    assert store.prune_transitions(NOW - 30 * DAY) == PRUNE_LIMIT
    assert [row.at for row in store.transitions("cpu-high")] == [NOW, old[-1].alert.judged]
    assert [store.prune_transitions(NOW - 30 * DAY) for _ in range(2)] == [1, 0]
    assert count(store, "transitions") == 1


def test_a_silence_is_written_anew_when_it_ends(store: Store) -> None:
    store.commit(changes(silences=(a_silence(),)))
    ended = replace(a_silence(), matched=True, ended_at=NOW + 5, ended_because="what it was about is over")
    store.commit(changes(silences=(ended,)))
    assert store.load(NOW).silences == [ended]
    store.commit(Changes(silences={ended.id: None}))
    assert store.load(NOW).silences == []
