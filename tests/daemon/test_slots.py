"""Slots: the same after each restart, spread, each taken once and in order, whatever the timer does."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluator.daemon.slots import Slots, phase_of

INTERVALS = st.sampled_from([1.0, 1.5, 2.0, 5.0, 30.0, 60.0, 3600.0, 86_400.0])
BEGIN = 1_790_000_000.0


@given(st.text(max_size=20), INTERVALS)
def test_a_phase_is_stable_and_within_the_interval(source: str, every: float) -> None:
    phase = phase_of(source, every)
    assert 0 <= phase < every
    assert phase_of(source, every) == phase


def test_phases_are_spread() -> None:
    phases = [phase_of(f"source-{number}", 60.0) for number in range(600)]
    assert len(set(phases)) == 60
    assert max(phases.count(phase) for phase in phases) < 30


@pytest.mark.parametrize("every", [2.0, 30.0, 60.0])
def test_phases_are_whole_seconds_where_the_interval_allows_it(every: float) -> None:
    assert phase_of("prometheus", every).is_integer()


@given(INTERVALS, st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_slots_only_go_forward_each_once_and_what_is_left_out_is_counted(every: float, waits: list[float]) -> None:
    slots = Slots(every, phase_of("x", every))
    now, taken, missed = BEGIN, [], 0
    for wait in waits:
        now += wait * every
        slot = slots.take(now)
        if slot is not None:
            assert slot <= now + 0.5
            assert now - slot < every + 1e-3
            taken.append(slot)
            missed += slots.missed if len(taken) > 1 else 0
    numbers = [round((slot - slots.phase) / every) for slot in taken]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] == len(numbers) - 1 + missed


@given(INTERVALS, st.integers(2, 50), st.floats(-0.24, 0.9))
def test_a_timer_that_is_a_little_off_takes_every_slot(every: float, count: int, off: float) -> None:
    assume(off >= 0 or off * every > -0.5)
    slots = Slots(every, phase_of("x", every))
    first = math.ceil((BEGIN - slots.phase) / every)
    for number in range(first, first + count):
        due = slots.phase + number * every
        assert slots.take(due + off * every) == pytest.approx(due)
        assert slots.missed == 0
        assert slots.take(due + off * every) is None


@given(INTERVALS, st.floats(0, 1e5))
def test_the_next_slot_is_ahead_and_not_further_than_one_interval(every: float, after: float) -> None:
    slots = Slots(every, phase_of("x", every))
    now = BEGIN + after
    assert now < slots.next(now) + 1e-6
    assert slots.next(now) <= now + every + 1e-6
    slot = slots.take(now)
    assert slot is not None
    assert slots.next(now) == pytest.approx(slot + every)


def test_a_clock_that_stood_still_waits_for_the_slot_after_the_last() -> None:
    slots = Slots(60.0, 0.0)
    assert slots.take(6000.0) == 6000.0
    assert slots.take(5000.0) is None
    assert slots.next(5000.0) == 6060.0
