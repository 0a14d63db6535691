from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from evaluator.web.wording import (
    NEVER,
    ago,
    count,
    ending,
    local,
    localised,
    moment,
    rfc3339,
    shorten,
    span,
    wall_clock,
    zone,
)

NOON = 1792497600.0
"""2026-10-20 12:00:00 UTC."""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 m"),
        (200, "3 m 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7500, "2 h 5 m"),
        (86400, "1 d"),
        (90061, "1 d 1 h"),
        (31536000, "365 d"),
    ],
)
def test_a_span_has_its_two_largest_parts(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_an_age() -> None:
    assert (ago(-3), ago(0.4), ago(5.9), ago(200)) == ("just now", "just now", "5 s ago", "3 m 20 s ago")


def test_a_time_is_as_long_as_it_must_be_to_be_understood() -> None:
    new_york = ZoneInfo("America/New_York")
    assert wall_clock(NOON - 60, NOON, new_york) == "07:59"
    assert wall_clock(NOON - 86400, NOON, new_york) == "19 Oct, 08:00"
    assert wall_clock(NOON - 366 * 86400, NOON, UTC) == "19 Oct 2025, 12:00"


def test_a_time_that_no_calendar_has_is_still_shown() -> None:
    assert wall_clock(1e18, NOON, UTC) == "?"
    assert rfc3339(1e18) == NEVER
    assert rfc3339(float("nan")) == NEVER


def test_times_of_the_api_can_be_read_back() -> None:
    assert rfc3339(NOON) == "2026-10-20T12:00:00Z"
    assert rfc3339(NOON + 0.25) == "2026-10-20T12:00:00.25Z"
    assert moment(rfc3339(NOON + 0.25)) == NOON + 0.25
    assert moment(NEVER) < 0


EVENING = 1792462500.0
"""2026-10-20 02:15:00 UTC, still the 19th in New York."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("until 2026-10-20 03:00 UTC: new disk", "until 2026-10-19 23:00 EDT: new disk"),
        ("since 2026-10-20 02:14:30 UTC: no answer", "since 2026-10-19 22:14:30 EDT: no answer"),
        ("due at 2026-12-24 02:00:00 UTC, 20m over", "due at 2026-12-23 21:00:00 EST, 20m over"),
        ("firing since 02:05:00 UTC, fires at 02:15:00 UTC", "firing since 22:05:00 EDT, fires at 22:15:00 EDT"),
        ("fires at 05:05:00 UTC if that lasts", "fires at 2026-10-20 01:05:00 EDT if that lasts"),
        ("2026-02-30 02:00 UTC, 25:00:00 UTC", "2026-02-30 02:00 UTC, 25:00:00 UTC"),
        ("0001-01-01 00:00 UTC", "0001-01-01 00:00 UTC"),
        ("412026-10-20 03:00 UTC, 03:00 UTC, UTC", "412026-10-20 03:00 UTC, 03:00 UTC, UTC"),
        ("96.2 % is above 90 %", "96.2 % is above 90 %"),
    ],
)
def test_times_inside_of_sentences_are_told_as_the_clocks_of_a_place_show_them(text: str, shown: str) -> None:
    assert local(text, ZoneInfo("America/New_York"), EVENING) == shown
    assert local(text, UTC, EVENING) == text


def test_a_time_without_a_day_stays_as_it_is_where_nobody_says_which_day_it_is() -> None:
    assert local("firing since 02:05:00 UTC", ZoneInfo("America/New_York")) == "firing since 02:05:00 UTC"


def test_all_texts_of_an_answer_are_told_in_local_time_and_nothing_else_is_touched() -> None:
    answer = {"why": "since 2026-10-20 02:14:30 UTC", "at": "2026-10-20T02:15:00Z", "list": [{"n": 1, "none": None}]}
    assert localised(answer, ZoneInfo("Asia/Kolkata")) == {**answer, "why": "since 2026-10-20 07:44:30 IST"}


def test_an_unknown_timezone_is_utc() -> None:
    assert zone("Mars/Olympus") is UTC
    assert zone("../etc/passwd") is UTC
    assert zone("") is UTC
    assert zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")


def test_long_texts_are_cut_and_numbers_have_their_noun() -> None:
    assert shorten("x" * 300, 10) == "x" * 9 + "…"
    assert shorten("short", 10) == "short"
    assert (count(1, "rule"), count(1200, "rule"), count(2, "delivery", "deliveries")) == (
        "1 rule",
        "1,200 rules",
        "2 deliveries",
    )


def test_what_a_person_has_ended_has_ended_by_hand() -> None:
    assert [ending(reason) for reason in ("resolved_by_human", "recovered", None)] == ["by hand", "recovered", ""]
