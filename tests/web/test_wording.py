from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from evaluator.web.wording import NEVER, ago, count, ending, moment, rfc3339, shorten, span, wall_clock, zone

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
