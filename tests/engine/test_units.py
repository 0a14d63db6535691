"""How durations and quantities are read and written."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.units import TIME, UNITS, format_duration, format_value, parse_duration, parse_quantity, plain


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("1.5h", 5400), ("2w", 1209600), ("0", 0), ("1d12h", 129600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("10", 'has no unit; write "10s" for seconds or "10m" for minutes'),
        ("10 m", 'has a space in it; write "10m"'),
        ("10min", 'write "10m"'),
        ("10M", 'write "10m"'),
        ("30m1h", "write the larger first"),
        ("5m5m", "write the larger first"),
        ("-5m", "is negative"),
        ("5x", "is not a unit of time"),
        ("m5", "is not a duration"),
        ("9" * 400 + "d", "longer than ten years"),
    ],
)
def test_what_is_no_duration_is_told_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert said in str(caught.value)


@given(st.integers(min_value=0, max_value=3650 * 86400 - 1))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "1m30s"), (90.4, "1m30s"), (-5, "-5s")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "number"),
    [
        ("5%", "percent", 5),
        ("5%", "ratio", 0.05),
        (0.05, "ratio", 0.05),
        ("1.5s", "seconds", 1.5),
        ("2h", "seconds", 7200),
        ("-5s", "seconds", -5),
        ("2GB", "bytes", 2e9),
        ("2 GiB", "bytes", 2**31),
        ("5MB/s", "bytes_per_second", 5e6),
        ("300/m", "per_second", 5),
        ("90", None, 90),
        (90, "count", 90),
    ],
)
def test_quantities(value: float | str, unit: str | None, number: float) -> None:
    assert parse_quantity(value, unit) == pytest.approx(number)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (5, "ratio", '5 is 500 % of a ratio; write "5%" or 0.05'),
        ("5%", None, "needs a unit"),
        ("2GB", None, 'add unit = "bytes"'),
        ("2GB", "percent", 'does not fit unit = "percent"'),
        ("ten", "count", "is not a number"),
        (math.inf, None, "finite"),
        (10**400, None, "finite"),
        ("1e999", None, "finite"),
        (True, None, "true or false"),
    ],
)
def test_what_does_not_fit_is_told_what_to_write(value: float | str, unit: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_quantity(value, unit)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (93.1, "percent", "93.1 %"),
        (0.05, "ratio", "5 %"),
        (1.5, "seconds", "1.5 s"),
        (0.25, "seconds", "250 ms"),
        (7200, "seconds", "2h"),
        (2e9, "bytes", "2 GB"),
        (5e6, "bytes_per_second", "5 MB/s"),
        (3, "per_second", "3/s"),
        (1234.56, None, "1234.6"),
        (1_000_000, "count", "1000000"),
        (-0.0, None, "0"),
        (math.nan, "percent", "NaN"),
        (math.inf, "bytes", "+Inf"),
        (-math.inf, None, "-Inf"),
    ],
)
def test_values_for_people(value: float, unit: str | None, text: str) -> None:
    assert format_value(value, unit) == text


@given(st.floats(), st.sampled_from([*UNITS, None]))
def test_every_value_can_be_written(value: float, unit: str | None) -> None:
    assert format_value(value, unit)


@given(st.one_of(st.floats(), st.text(), st.integers()), st.sampled_from([*UNITS, None]))
def test_a_quantity_is_a_finite_number_or_a_sentence(value: float | str, unit: str | None) -> None:
    try:
        assert math.isfinite(parse_quantity(value, unit))
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right.


@pytest.mark.parametrize(
    ("text", "unit", "said"),
    [
        ("5%", None, 'add unit = "percent" if the query answers 0 to 100, or unit = "ratio" if it answers 0 to 1'),
        ("2GB", None, 'add unit = "bytes"'),
        ("2MB/s", None, 'add unit = "per_second" or unit = "bytes_per_second"'),
        ("5m", None, 'add unit = "seconds"'),
        ("5 apples", None, "is not a number; write one like 90"),
    ],
)
def test_a_quantity_with_a_unit_that_the_rule_does_not_say(text: str, unit: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_quantity(text, unit)


def test_what_is_no_finite_number() -> None:
    with pytest.raises(ValueError, match="must be a finite number"):
        parse_quantity("9" * 308 + "GB", "bytes")
    for value in (math.inf, -math.inf):
        assert format_duration(value) == format_value(value, None) == plain(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_795_681_455.0, "2026-11-26 08:24:15 UTC"),
        (0.0, "never"),
        (1.0, "1970-01-01 00:00:01 UTC"),
        (math.nan, "NaN"),
        (1e300, "1e+300"),
    ],
)
def test_the_value_of_a_rule_on_missed_runs_is_a_time(value, text) -> None:
    assert format_value(value, TIME) == text
