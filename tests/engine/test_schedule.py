"""Successes that were due and have not come."""

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.look import Look
from evaluator.engine.schedule import look
from evaluator.engine.shapes import Missed

NEW_YORK = "America/New_York"


def at(text: str, timezone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold).timestamp()


NIGHTLY = Missed("0 2 * * *", "UTC", grace=1_200.0)
LONG_AGO = at("2026-01-01")


@pytest.mark.parametrize(
    ("success", "now", "holds"),
    [
        # Of yesterday: it is missed when 20 minutes of grace have passed, and not before.
        ("2026-11-23 02:00:04", "2026-11-24 01:59:59", False),
        ("2026-11-23 02:00:04", "2026-11-24 02:00:00", False),
        ("2026-11-23 02:00:04", "2026-11-24 02:19:59", False),
        ("2026-11-23 02:00:04", "2026-11-24 02:20:00", True),
        # What came at its time or later is no miss, and what came a second too early is one.
        ("2026-11-24 02:00:00", "2026-11-24 12:00:00", False),
        ("2026-11-24 09:00:00", "2026-11-24 12:00:00", False),
        ("2026-11-24 01:59:59", "2026-11-24 12:00:00", True),
        # Within the grace of today it is yesterday's that counts.
        ("2026-11-22 02:00:00", "2026-11-24 02:10:00", True),
        # Clocks differ: a success that is still to come is one.
        ("2026-11-25 02:00:00", "2026-11-24 12:00:00", False),
    ],
)
def test_a_nightly_job(success, now, holds) -> None:
    assert look(NIGHTLY, at(success), at(now), LONG_AGO).holds is holds


@pytest.mark.parametrize("never", [None, 0.0])
def test_what_never_succeeded_is_missed_once_it_was_due(never) -> None:
    assert look(NIGHTLY, never, at("2026-11-24 02:20"), at("2026-11-24 01:00")) == Look(
        holds=True, said="never a success; one was due at 2026-11-24 02:00:00 UTC, 20m of grace are over"
    )


@pytest.mark.parametrize("success", [None, 0.0])
def test_what_was_due_before_the_rule_was_first_seen_is_not_missed(success) -> None:
    noon = at("2026-11-24 12:00")
    assert look(NIGHTLY, success, noon + 60.0, noon) == Look(
        holds=False, said="none has been due since the rule was first seen at 2026-11-24 12:00:00 UTC"
    )
    assert look(NIGHTLY, success, at("2026-11-25 02:19:59"), noon).holds is False
    assert look(NIGHTLY, success, at("2026-11-25 02:20"), noon).holds is True
    # A rule that was first seen at the very time has it before it.
    assert look(NIGHTLY, success, at("2026-11-24 02:20"), at("2026-11-24 02:00")).holds is True
    assert look(NIGHTLY, success, at("2026-11-24 02:20"), at("2026-11-24 02:00") + 0.001).holds is False


def test_it_says_when_the_last_success_was_and_what_was_due() -> None:
    late = at("2026-11-24 02:20")
    assert look(NIGHTLY, at("2026-11-23 02:00:04"), late, LONG_AGO).said == (
        "no success since 2026-11-23 02:00:04 UTC; one was due at 2026-11-24 02:00:00 UTC, 20m of grace are over"
    )
    assert look(Missed("0 2 * * *", "UTC"), at("2026-11-23 02:00:04"), late, LONG_AGO).said == (
        "no success since 2026-11-23 02:00:04 UTC; one was due at 2026-11-24 02:00:00 UTC"
    )
    assert look(NIGHTLY, at("2026-11-24 02:03:00"), late, LONG_AGO).said == (
        "the last success was at 2026-11-24 02:03:00 UTC; one was due at 2026-11-24 02:00:00 UTC"
    )


def test_a_time_that_is_no_number_says_nothing() -> None:
    assert look(NIGHTLY, math.nan, at("2026-11-24 12:00"), LONG_AGO) == Look(
        None, "the time of the last success is not known"
    )


def test_a_line_that_is_never_due_is_never_missed() -> None:
    never = Missed("0 0 */31 * 1#5", "UTC")
    assert look(never, 0.0, at("2026-11-24 12:00"), LONG_AGO) == Look(
        holds=False, said="0 0 */31 * 1#5 (UTC) has never been due"
    )


@pytest.mark.parametrize(
    ("cron", "success", "now", "holds"),
    [
        # 02:30 does not exist on 8 March: it is due at 03:00, as cron runs it then.
        ("30 2 * * *", "2026-03-07 02:30", "2026-03-08 01:59:59", False),
        ("30 2 * * *", "2026-03-07 02:30", "2026-03-08 03:00:00", True),
        ("30 2 * * *", "2026-03-08 03:00:01", "2026-03-08 12:00:00", False),
        # 01:30 comes twice on 1 November, and is due the first time.
        ("30 1 * * *", "2026-10-31 01:30", "2026-11-01 01:29:59", False),
        ("30 1 * * *", "2026-10-31 01:30", "2026-11-01 01:30:00", True),
        ("30 1 * * *", "2026-11-01 01:31", "2026-11-01 12:00:00", False),
        # A day has 23 hours and then 25: what runs daily at nine is not missed by either.
        ("0 9 * * *", "2026-03-07 09:00", "2026-03-08 08:59:59", False),
        ("0 9 * * *", "2026-03-07 09:00", "2026-03-08 09:00:00", True),
        ("0 9 * * *", "2026-10-31 09:00", "2026-11-01 08:59:59", False),
        ("0 9 * * *", "2026-10-31 09:00", "2026-11-01 09:00:00", True),
    ],
)
def test_on_the_days_on_which_clocks_change(cron, success, now, holds) -> None:
    job = Missed(cron, NEW_YORK)
    assert look(job, at(success, NEW_YORK), at(now, NEW_YORK), LONG_AGO).holds is holds


def test_in_an_hour_that_comes_again_nothing_is_missed_again() -> None:
    job = Missed("30 1 * * *", NEW_YORK)
    again = at("2026-11-01 01:10", NEW_YORK, fold=1)
    assert look(job, at("2026-11-01 01:30:05", NEW_YORK), again, LONG_AGO).holds is False
    assert look(job, at("2026-10-31 01:30:05", NEW_YORK), again, LONG_AGO).holds is True


TIMES = st.floats(1.77e9, 1.80e9)
JOBS = st.builds(
    Missed,
    st.sampled_from(["0 2 * * *", "*/20 * * * *", "0 9 * * 1-5", "30 1,2 * * 0"]),
    st.sampled_from(["UTC", NEW_YORK, "Australia/Lord_Howe"]),
    st.floats(0, 1e5),
)


@given(JOBS, TIMES, TIMES, st.floats(0, 1e6))
def test_a_later_success_is_missed_no_more(job, success, now, later) -> None:
    assert look(job, success, now, 0.0).holds or not look(job, success + later, now, 0.0).holds


@given(JOBS, TIMES, TIMES, st.floats(0, 1e6))
def test_what_is_missed_stays_missed_until_it_succeeds(job, success, now, later) -> None:
    assert look(job, success, now + later, 0.0).holds or not look(job, success, now, 0.0).holds


@given(JOBS, TIMES, TIMES, st.floats(0, 1e6))
def test_more_grace_misses_no_more(job, success, now, more) -> None:
    patient = Missed(job.cron, job.timezone, job.grace + more)
    assert look(job, success, now, 0.0).holds or not look(patient, success, now, 0.0).holds


@given(JOBS, TIMES)
def test_a_success_of_now_is_never_missed_and_none_is_sooner_or_later(job, now) -> None:
    assert look(job, now, now, 0.0).holds is False
    assert look(job, None, now, 0.0).holds is True
