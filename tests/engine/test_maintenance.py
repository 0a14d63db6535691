"""When maintenance windows are in force, and which alerts they select."""

from datetime import UTC, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.calendar import last_due
from evaluator.engine.maintenance import Recurring, Selector, Window, holds_until

HOUR = 3_600.0
DAY = 24 * HOUR


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def new_york(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()


def recurring(cron: str, for_: float, timezone: str = "UTC") -> Window:
    return Window("w", when=Recurring(cron, timezone, for_))


def test_a_window_holds_from_its_begin_to_before_its_end() -> None:
    window = Window("w", start=100.0, end=200.0)
    assert [holds_until(window, now) for now in (99.9, 100.0, 199.9, 200.0)] == [None, 200.0, 200.0, None]


def test_a_window_that_ends_before_it_begins_never_holds() -> None:
    window = Window("w", start=200.0, end=100.0)
    assert [holds_until(window, now) for now in (50.0, 150.0, 250.0)] == [None] * 3


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-24 01:59:59", None),
        ("2026-11-24 02:00:00", "2026-11-24 04:00"),
        ("2026-11-24 03:59:59", "2026-11-24 04:00"),
        ("2026-11-24 04:00:00", None),
        ("2026-11-25 02:00:00", "2026-11-25 04:00"),
    ],
)
def test_a_recurring_window_holds_after_each_of_its_times(now, until) -> None:
    assert holds_until(recurring("0 2 * * *", 2 * HOUR), utc(now)) == (until and utc(until))


def test_recurrences_that_overlap_are_one_window() -> None:
    three_nights = recurring("0 20 * * 1,2,3", 30 * HOUR)
    for now in ("2026-11-23 20:00", "2026-11-24 21:00", "2026-11-26 01:59"):
        assert holds_until(three_nights, utc(now)) == utc("2026-11-27 02:00")
    assert holds_until(three_nights, utc("2026-11-27 02:00")) is None
    assert holds_until(three_nights, utc("2026-11-23 19:59")) is None


def test_recurrences_that_touch_are_one_window() -> None:
    mornings = recurring("0 6,8,10 * * *", 2 * HOUR)
    assert holds_until(mornings, utc("2026-11-24 07:59:59")) == utc("2026-11-24 12:00")
    assert holds_until(recurring("0 6,8,10 * * *", 2 * HOUR - 1), utc("2026-11-24 06:30")) == utc("2026-11-24 07:59:59")


def test_a_window_that_never_ends_is_in_force_for_long_and_is_told_quickly() -> None:
    always = recurring("* * * * *", 60.0)
    now = utc("2026-11-24 12:00:30")
    until = holds_until(always, now)
    assert until is not None
    assert until >= now + 8 * HOUR
    assert holds_until(always, until) is not None


def test_a_recurring_window_begins_at_local_time_on_both_sides_of_a_change_of_clocks() -> None:
    window = recurring("30 1 * * *", 2 * HOUR, "America/New_York")
    assert holds_until(window, new_york("2026-03-07 01:30")) == new_york("2026-03-07 03:30")
    # An hour that does not exist is no part of its two hours, and one that comes twice is.
    assert holds_until(window, new_york("2026-03-08 01:30")) == new_york("2026-03-08 04:30")
    assert holds_until(window, new_york("2026-11-01 01:30")) == new_york("2026-11-01 02:30")


@given(
    st.sampled_from(["0 2 * * *", "*/20 * * * *", "0 0 * * 0", "0,30 1-3 * * 1-5", "15 2 1 * *"]),
    st.floats(1.0, 2 * DAY),
    st.floats(1.79e9, 1.82e9),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_window_is_in_force_exactly_within_its_length_of_a_due_time(cron, for_, now, timezone) -> None:
    window = recurring(cron, for_, timezone)
    due = last_due(cron, timezone, now)
    assert due is not None
    until = holds_until(window, now)
    assert (until is not None) == (now < due + for_)
    if until is not None:
        assert until > now
        # Just before its end it is in force still, and until the same time.
        assert holds_until(window, until - 0.01) is not None


def test_a_selector_takes_any_of_its_rules_but_the_excepted_ones() -> None:
    selector = Selector(rules=("cpu-*", "disk"), except_=("cpu-test*",))
    assert [selector.names(rule) for rule in ("cpu-high", "disk", "cpu-test-1", "disk-2", "CPU-high")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_selector_wants_all_its_labels() -> None:
    selector = Selector(series=MappingProxyType({"InstanceId": "i-1*", "zone": "a"}))
    assert selector.selects("any", (("InstanceId", "i-12"), ("more", "x"), ("zone", "a")))
    assert not selector.selects("any", (("InstanceId", "i-2"), ("zone", "a")))
    assert not selector.selects("any", (("InstanceId", "i-12"), ("zone", "b")))
    assert not selector.selects("any", (("InstanceId", "i-12"),))
    assert not selector.selects("any", ())


def test_a_selector_takes_no_series_of_a_rule_that_it_does_not_name() -> None:
    assert Selector(rules=("a",)).selects("a", ())
    assert not Selector(rules=("a",)).selects("b", ())
