"""Local times, on the two odd days of a year too."""

import math
from datetime import UTC, datetime
from time import tzset
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine import calendar
from evaluator.engine.calendar import ActiveHours, last_due, next_due, time_text, zone

NEW_YORK = "America/New_York"


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    """Let each test work out its due times itself."""
    calendar._dues.cache_clear()


def at(text: str, timezone: str = NEW_YORK, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp()


def hours(days: str, start: str, end: str, timezone: str = NEW_YORK) -> ActiveHours:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (start, end))
    return ActiveHours("", frozenset(names.index(day) for day in days.split()), first, last, timezone)


WORK = hours("Mon Tue Wed Thu Fri", "08:00", "20:00")
NIGHTS = hours("Fri Sat", "22:00", "06:00")


@pytest.mark.parametrize(
    ("active", "when", "holds"),
    [
        (WORK, "2026-11-23 07:59:59", False),
        (WORK, "2026-11-23 08:00:00", True),
        (WORK, "2026-11-23 19:59:59", True),
        (WORK, "2026-11-23 20:00:00", False),
        (WORK, "2026-11-21 12:00:00", False),
        (NIGHTS, "2026-11-27 21:59:59", False),
        (NIGHTS, "2026-11-27 22:00:00", True),
        (NIGHTS, "2026-11-28 05:59:59", True),
        (NIGHTS, "2026-11-28 06:00:00", False),
        # Sunday's morning belongs to Saturday's night, Friday's morning to no night at all.
        (NIGHTS, "2026-11-29 05:59:59", True),
        (NIGHTS, "2026-11-27 05:59:59", False),
        (NIGHTS, "2026-11-29 22:30:00", False),
    ],
)
def test_active_hours(active, when, holds) -> None:
    assert active.holds(at(when)) is holds


def test_hours_that_end_when_they_begin_are_a_day_long() -> None:
    saturday = hours("Sat", "06:00", "06:00")
    found = [saturday.holds(at(f"2026-11-{text}")) for text in ("28 05:59", "28 06:00", "29 05:59", "29 06:00")]
    assert found == [False, True, True, False]


def test_a_monday_after_a_sunday_night_is_counted_over_the_end_of_the_week() -> None:
    sunday = hours("Sun", "23:00", "01:00")
    assert sunday.holds(at("2026-11-30 00:59"))
    assert not sunday.holds(at("2026-11-29 00:59"))


@pytest.mark.parametrize(
    ("active", "when", "begins"),
    [
        (WORK, "2026-11-23 12:00", "2026-11-23 12:00"),
        (WORK, "2026-11-23 07:00", "2026-11-23 08:00"),
        (WORK, "2026-11-23 20:00", "2026-11-24 08:00"),
        (WORK, "2026-11-27 20:00", "2026-11-30 08:00"),
        (NIGHTS, "2026-11-28 06:00", "2026-11-28 22:00"),
        (NIGHTS, "2026-11-29 06:00", "2026-12-04 22:00"),
        # Over both changes of the clocks.
        (hours("Mon", "09:00", "10:00"), "2026-03-02 10:00", "2026-03-09 09:00"),
        (hours("Mon", "09:00", "10:00"), "2026-10-26 10:00", "2026-11-02 09:00"),
        # 02:30 does not exist on this day: it begins when the clocks have jumped over it, ...
        (hours("Sun", "02:30", "04:00"), "2026-03-08 01:00", "2026-03-08 03:00"),
        # ... and not at all where they have jumped over its end too.
        (hours("Sun", "02:10", "02:50"), "2026-03-08 01:00", "2026-03-15 02:10"),
    ],
)
def test_when_active_hours_begin_next(active, when, begins) -> None:
    assert active.next_begin(at(when)) == at(begins)


def test_hours_that_a_day_has_twice_begin_twice() -> None:
    early = hours("Sun", "01:15", "01:45")
    assert early.next_begin(at("2026-11-01 00:00")) == at("2026-11-01 01:15")
    assert early.next_begin(at("2026-11-01 01:50")) == at("2026-11-01 01:15", fold=1)
    # Clocks that are put back into the middle of the hours begin them too.
    assert hours("Sun", "00:30", "01:30").next_begin(at("2026-11-01 01:40")) == at("2026-11-01 01:00", fold=1)


@pytest.mark.parametrize(
    ("timezone", "start", "day", "begins"),
    [
        ("Europe/London", "01:30", "2026-03-29", "02:00"),
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "02:30"),
        ("Pacific/Auckland", "02:30", "2026-09-27", "03:00"),
        ("America/Sao_Paulo", "00:30", "2018-11-04", "01:00"),
        ("America/Havana", "00:10", "2026-03-08", "01:00"),
        ("Asia/Beirut", "00:45", "2026-03-29", "01:00"),
        ("America/Caracas", "02:45", "2016-05-01", "03:00"),
        ("Antarctica/Troll", "02:00", "2026-03-29", "03:00"),
    ],
)
def test_clocks_that_jump_into_the_hours_begin_them(timezone, start, day, begins) -> None:
    everyday = hours("Mon Tue Wed Thu Fri Sat Sun", start, "04:00", timezone)
    assert everyday.next_begin(at(f"{day} {begins}", timezone) - 1_800.0) == at(f"{day} {begins}", timezone)


def test_clocks_that_are_put_back_to_yesterday_begin_yesterdays_hours_and_times_again() -> None:
    # In Newfoundland 00:01 of 7 November 2010 became 23:01 of the day before.
    there = "America/St_Johns"
    now = at("2010-11-07 00:00:30", there)
    again = at("2010-11-06 23:30", there, fold=1)
    assert hours("Sat", "23:30", "23:40", there).next_begin(now) == again
    assert hours("Sat", "22:30", "23:20", there).next_begin(now) == at("2010-11-06 23:01", there, fold=1)
    assert next_due("*/30 23 * * *", there, now) == again
    assert last_due("*/30 23 * * *", there, again + 60.0) == again


@pytest.mark.parametrize("timezone", ["America/New_York", "Pacific/Kiritimati"])
def test_the_time_zone_of_this_machine_changes_nothing(timezone, monkeypatch) -> None:
    moment = at("2026-11-23 22:00")
    expected = (last_due("0 2 * * *", NEW_YORK, moment), WORK.next_begin(moment))
    monkeypatch.setenv("TZ", timezone)
    tzset()
    try:
        assert time_text(moment) == "2026-11-24 03:00:00 UTC"
        assert (last_due("0 2 * * *", NEW_YORK, moment), WORK.next_begin(moment)) == expected
    finally:
        monkeypatch.undo()
        tzset()


def test_a_day_that_a_place_never_had_begins_nothing() -> None:
    # Samoa went from Thursday, 29 December 2011, to Saturday.
    friday = hours("Fri", "09:00", "17:00", "Pacific/Apia")
    assert friday.next_begin(at("2011-12-29 12:00", "Pacific/Apia")) == at("2012-01-06 09:00", "Pacific/Apia")


def test_hours_on_no_day_never_begin() -> None:
    assert hours("", "09:00", "17:00").next_begin(at("2026-11-23 12:00")) == math.inf


@given(
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from([NEW_YORK, "UTC", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut"]),
    st.integers(1_772_000_000 // 60, 1_810_000_000 // 60),
)
def test_the_next_begin_is_the_first_minute_that_holds(days, start, end, timezone, minute) -> None:
    active = ActiveHours("", days, start, end, timezone)
    now = minute * 60.0
    begin = active.next_begin(now)
    assert active.holds(begin)
    assert begin >= now
    # A look at each quarter of an hour before it, and at the last second.
    before = [now + 900.0 * number for number in range(int((begin - now) / 900.0) + 1)]
    assert not any(active.holds(moment) for moment in [*before, begin - 1.0] if now <= moment < begin)


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("0 2 * * *", "2026-11-24 02:00:00", "2026-11-24 02:00"),
        ("0 2 * * *", "2026-11-24 01:59:59", "2026-11-23 02:00"),
        ("*/15 9-17 * * 1-5", "2026-11-23 08:59", "2026-11-20 17:45"),
        ("0 0 29 2 *", "2027-06-01 00:00", "2024-02-29 00:00"),
        ("0 12 L * *", "2026-03-01 00:00", "2026-02-28 12:00"),
        ("0 12 1 * 1", "2026-11-03 00:00", "2026-11-02 12:00"),
        ("30 4 1,15 * *", "2026-11-14 00:00", "2026-11-01 04:30"),
        # Clocks jump from 02:00 to 03:00: a time in between is due then, as cron(8) says, ...
        ("30 2 * * *", "2026-03-08 02:59:59", "2026-03-08 03:00"),
        ("30 2 * * *", "2026-03-08 01:59:59", "2026-03-07 02:30"),
        ("30 2 * * *", "2026-03-08 12:00:00", "2026-03-08 03:00"),
        ("15,45 2 * * *", "2026-03-08 12:00:00", "2026-03-08 03:00"),
        # ... but not one that runs as often as the clocks say.
        ("*/30 2 * * *", "2026-03-08 12:00:00", "2026-03-07 02:30"),
        ("10 * * * *", "2026-03-08 03:09:00", "2026-03-08 01:10"),
        # Clocks go back from 02:00 to 01:00: a time in between is due the first time only.
        ("30 1 * * *", "2026-11-01 12:00:00", "2026-11-01 01:30"),
        ("0 3 * * *", "2026-11-01 02:59:59", "2026-10-31 03:00"),
    ],
)
def test_when_a_crontab_line_was_due_last(cron, now, due) -> None:
    assert last_due(cron, NEW_YORK, at(now)) == at(due)


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("0 2 * * *", "2026-11-24 02:00:00", "2026-11-25 02:00"),
        ("0 2 * * *", "2026-11-24 01:59:59", "2026-11-24 02:00"),
        ("0 0 29 2 *", "2026-06-01 00:00", "2028-02-29 00:00"),
        ("30 2 * * *", "2026-03-08 01:00", "2026-03-08 03:00"),
        ("30 2 * * *", "2026-03-08 03:00", "2026-03-09 02:30"),
        ("*/30 2 * * *", "2026-03-08 01:00", "2026-03-09 02:00"),
        ("0 0 * * *", "2026-11-01 00:00", "2026-11-02 00:00"),
    ],
)
def test_when_a_crontab_line_is_due_next(cron, now, due) -> None:
    assert next_due(cron, NEW_YORK, at(now)) == at(due)


def test_while_an_hour_comes_again_its_fixed_times_have_been_due_and_are_not_due_again() -> None:
    again = at("2026-11-01 01:10", fold=1)
    assert last_due("30 1 * * *", NEW_YORK, again) == at("2026-11-01 01:30")
    assert next_due("30 1 * * *", NEW_YORK, again) == at("2026-11-02 01:30")
    assert last_due("30 1 * * *", NEW_YORK, at("2026-11-01 01:10")) == at("2026-10-31 01:30")


def test_while_an_hour_comes_again_a_line_with_a_star_is_due_again() -> None:
    again = at("2026-11-01 01:10", fold=1)
    assert last_due("*/30 * * * *", NEW_YORK, again) == at("2026-11-01 01:00", fold=1)
    assert next_due("*/30 * * * *", NEW_YORK, at("2026-11-01 01:30")) == at("2026-11-01 01:00", fold=1)
    assert next_due("*/30 * * * *", NEW_YORK, again) == at("2026-11-01 01:30", fold=1)


def test_clocks_that_are_put_back_over_midnight_leave_yesterdays_times_to_come() -> None:
    # In Havana 01:00 becomes 00:00; in Sao Paulo of 2018 midnight became 23:00 of the day before.
    again = at("2026-11-01 00:10", "America/Havana", fold=1)
    assert last_due("30 0 * * *", "America/Havana", again) == at("2026-11-01 00:30", "America/Havana")
    first = at("2018-02-17 23:50", "America/Sao_Paulo")
    assert next_due("*/40 23 * * *", "America/Sao_Paulo", first) == at("2018-02-17 23:00", "America/Sao_Paulo", fold=1)
    assert last_due("*/40 23 * * *", "America/Sao_Paulo", at("2018-02-18 00:00", "America/Sao_Paulo")) == at(
        "2018-02-17 23:40", "America/Sao_Paulo", fold=1
    )


def test_a_midnight_that_does_not_exist_is_due_when_the_clocks_have_jumped_over_it() -> None:
    morning = at("2018-11-04 12:00", "America/Sao_Paulo")
    assert last_due("0 0 * * *", "America/Sao_Paulo", morning) == at("2018-11-04 01:00", "America/Sao_Paulo")


def test_a_line_that_fits_no_day_in_decades_is_never_due() -> None:
    # The first of a month that is its fifth Monday too.
    never = "0 0 */31 * 1#5"
    assert last_due(never, "UTC", at("2026-11-24 00:00")) is None
    assert next_due(never, "UTC", at("2026-11-24 00:00")) is None


LINES = [
    "0 2 * * *",
    "30 1,2 * * *",
    "*/20 * * * *",
    "0 */6 * * *",
    "5 0 * * 0",
    "0 0 1 * *",
    "17 3 * 3,11 *",
    "59 23 L * *",
]
ZONES = ["UTC", NEW_YORK, "Europe/London", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]


@given(st.sampled_from(LINES), st.sampled_from(ZONES), st.floats(1.76e9, 1.84e9))
def test_between_the_last_and_the_next_due_time_there_is_none(cron, timezone, now) -> None:
    last, following = last_due(cron, timezone, now), next_due(cron, timezone, now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert next_due(cron, timezone, last) == following
    assert last_due(cron, timezone, following) == following
    assert last_due(cron, timezone, following - 0.001) == last


@given(st.sampled_from(LINES), st.sampled_from(["UTC", "Asia/Kathmandu"]), st.integers(1_760_000_000, 1_840_000_000))
def test_where_clocks_never_change_another_library_finds_the_same(cron, timezone, now) -> None:
    moment = datetime.fromtimestamp(now, zone(timezone))
    assert next_due(cron, timezone, now) == next(CronSim(cron, moment)).timestamp()
    assert last_due(cron, timezone, now - 1) == next(CronSim(cron, moment, reverse=True)).timestamp()


def test_every_minute_is_due_once_whatever_the_clocks_do() -> None:
    for begin in ("2026-03-07 12:00", "2026-10-31 12:00"):
        first = at(begin)
        for minute in range(24 * 60):
            assert next_due("* * * * *", NEW_YORK, first + 60.0 * minute) == first + 60.0 * (minute + 1)


def test_times_are_told_in_utc_and_impossible_ones_as_numbers() -> None:
    moment = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC).timestamp()
    assert time_text(moment) == "2026-11-23 03:04:05 UTC"
    assert time_text(moment, seconds=False) == "2026-11-23 03:04 UTC"
    assert time_text(1.7e12 * 1000) == "1700000000000000.0"
    assert time_text(math.inf) == "inf"
