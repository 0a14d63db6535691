from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from evaluator.web.moments import moment_of

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=NEW_YORK).timestamp()


def local(*when: int) -> float:
    return datetime(*when, tzinfo=NEW_YORK).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", NOW),
        ("2h ago", NOW - 7200),
        ("1h 30m ago", NOW - 5400),
        ("03:00", local(2026, 11, 24, 3)),
        ("3:00", local(2026, 11, 24, 3)),
        ("12:30", NOW),
        ("12:30:01", local(2026, 11, 23, 12, 30, 1)),
        ("yesterday 03:00", local(2026, 11, 23, 3)),
        ("Yesterday, 03:00", local(2026, 11, 23, 3)),
        ("today 14:00", local(2026, 11, 24, 14)),
        ("2026-11-20 02:00", local(2026, 11, 20, 2)),
        ("2026-11-20", local(2026, 11, 20)),
        ("2026-11-20 02:00 UTC", datetime(2026, 11, 20, 2, tzinfo=UTC).timestamp()),
        ("2026-11-20T02:00:00Z", datetime(2026, 11, 20, 2, tzinfo=UTC).timestamp()),
        ("2026-11-20T02:00:00+01:00", datetime(2026, 11, 20, 1, tzinfo=UTC).timestamp()),
    ],
)
def test_times_that_were(text: str, at: float) -> None:
    assert moment_of(text, NOW, NEW_YORK, ahead=False) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("14:00", local(2026, 11, 24, 14)),
        ("03:00", local(2026, 11, 25, 3)),
        ("12:30", local(2026, 11, 25, 12, 30)),
        ("tomorrow 03:00", local(2026, 11, 25, 3)),
        ("in 2h", NOW + 7200),
    ],
)
def test_times_that_will_be(text: str, at: float) -> None:
    assert moment_of(text, NOW, NEW_YORK, ahead=True) == at


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    after = local(2026, 11, 1, 12)  # The clocks went back at two.
    assert after - moment_of("yesterday 12:00", after, NEW_YORK, ahead=False) == 25 * 3600
    assert moment_of("01:30", after, NEW_YORK, ahead=False) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:00", "03:60", "3", "ago", "x ago", "in -2h", "yesterday", "monday 03:00", "2026-13-01", "9" * 5000,
     "9999999999999999w ago", "in 99999999999999999999w", "\u0660\u0663:\u0660\u0660", "03:00\x00"],
)  # fmt: skip
def test_what_is_no_time_is_one_sentence_that_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a time; write "03:00"') as caught:
        moment_of(text, NOW, NEW_YORK, ahead=False)
    assert len(str(caught.value)) < 200
