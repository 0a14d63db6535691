"""Where one spelling of a quantity ends and the next begins, and each sentence about what cannot be read."""

import pytest

from evaluator.engine.units import format_duration, format_value, parse_duration, parse_quantity, plain

NO_UNIT = '"{}" needs a unit: add '
FIT = '"{}" does not fit unit = "{}"; write '
RATE = 'a number or a rate like "5/s" or "300/m"'
THROUGHPUT = 'a number or a throughput like "5MB/s"'
SIZE = 'a number of bytes or a size like "500MB" or "2GB"'
TIME = 'a number of seconds or a duration like "1.5s" or "200ms"'
TEN_YEARS = 3650 * 86_400
ORDER = 'has its parts in a wrong order; write the larger first: "1h30m"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ", 'is empty; write a duration like "30s", "10m" or "1h30m"'),
        ("-5m", '"-5m" is negative; a duration is 0 or more'),
        ("10", '"10" has no unit; write "10s" for seconds or "10m" for minutes'),
        ("1h 30m", '"1h 30m" has a space in it; write "1h30m"'),
        ("10 m", '"10 m" has a space in it; write "10m"'),
        ("1h\t", None),
        ("1h-30m", '"1h-30m" is not a duration; write one like "30s", "10m" or "1h30m"'),
        ("1m1m", f'"1m1m" {ORDER}'),
        ("10Min", '"10Min" is not a duration; write "10m"'),
        ("10MS", '"10MS" is not a duration; write "10ms"'),
        ("5µs", '"µs" is not a unit of time; the units are ms, s, m, h, d and w, as in "1h30m"'),
        ("3650d1ms", '"3650d1ms" is longer than ten years'),
        ("1" * 40, f'"{"1" * 40}" has no unit; write "{"1" * 40}s" for seconds or "{"1" * 40}m" for minutes'),
        ("1" * 41, f'"{"1" * 39}…" has no unit; write "{"1" * 39}…s" for seconds or "{"1" * 39}…m" for minutes'),
    ],
)
def test_each_sentence_about_a_duration(text: str, said: str | None) -> None:
    if said is None:
        assert parse_duration(text) == 3600
        return
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "seconds"), [("3650d", TEN_YEARS), ("0.5s", 0.5), (".5m", 30), ("1h1ms", 3600.001), (" 10m ", 600)]
)
def test_durations_up_to_ten_years(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0s"),
        (0.999, "999ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.001, "1.001s"),
        (1.01, "1.01s"),
        (10, "10s"),
        (59.999, "59.999s"),
        (60, "1m"),
        (60.001, "1m"),
        (60.6, "1m1s"),
        (61, "1m1s"),
        (90.09, "1m30s"),
        (3599.6, "1h"),
        (86_399, "23h59m59s"),
        (172_800.4, "2d"),
        (-0.25, "-250ms"),
        (-5400, "-1h30m"),
    ],
)
def test_a_duration_has_milliseconds_up_to_a_minute(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (True, None, "is true or false; write a number"),
        (float("inf"), None, "must be a finite number"),
        ("9" * 308 + "GB", "bytes", "must be a finite number"),
        (1.5, "ratio", '1.5 is 150 % of a ratio; write "1.5%" or 0.015 (or "150%" if that is what you mean)'),
        ("5", "ratio", '5 is 500 % of a ratio; write "5%" or 0.05 (or "500%" if that is what you mean)'),
        (-2, "ratio", '-2 is -200 % of a ratio; write "-2%" or -0.02 (or "-200%" if that is what you mean)'),
        ("x", None, '"x" is not a number; write a number like 90'),
        ("x", "percent", '"x" is not a number; write a number or a share like "90%"'),
        ("x", "ratio", '"x" is not a number; write a share like "5%" or 0.05'),
        (
            "x",
            "seconds",
            '"x" is not a number; write a number of seconds or a duration like "1.5s" or "200ms"',
        ),
        ("x", "bytes", '"x" is not a number; write a number of bytes or a size like "500MB" or "2GB"'),
        ("x", "bytes_per_second", '"x" is not a number; write a number or a throughput like "5MB/s"'),
        ("x", "per_second", '"x" is not a number; write a number or a rate like "5/s" or "300/m"'),
        ("5%", "count", '"5%" does not fit unit = "count"; write a number like 90'),
        ("5s", "percent", '"5s" does not fit unit = "percent"; write a number or a share like "90%"'),
        ("5s", "per_second", FIT.format("5s", "per_second") + RATE),
        ("5MB", "bytes_per_second", FIT.format("5MB", "bytes_per_second") + THROUGHPUT),
        ("5MB/x", "bytes_per_second", FIT.format("5MB/x", "bytes_per_second") + THROUGHPUT),
        ("5 cows/s", "per_second", FIT.format("5 cows/s", "per_second") + RATE),
        ("5 cows", "bytes", FIT.format("5 cows", "bytes") + SIZE),
        (
            "5 cows",
            "seconds",
            FIT.format("5 cows", "seconds") + TIME,
        ),
        ("5Min", "seconds", '"5Min" is not a duration; write "5m"'),
        (
            "5%",
            None,
            NO_UNIT.format("5%")
            + 'unit = "percent" if the query answers 0 to 100, or unit = "ratio" if it answers 0 to 1',
        ),
        ("2GB", None, NO_UNIT.format("2GB") + 'unit = "bytes"'),
        ("2MB/s", None, NO_UNIT.format("2MB/s") + 'unit = "per_second" or unit = "bytes_per_second"'),
        ("5m", None, NO_UNIT.format("5m") + 'unit = "seconds"'),
        ("5 cows", None, '"5 cows" is not a number; write one like 90'),
    ],
)
def test_each_sentence_about_a_quantity(value: float | str, unit: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_quantity(value, unit)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("value", "unit", "number"),
    [
        (1, "ratio", "1.0"),
        (-1, "ratio", "-1.0"),
        (" 5 % ", "percent", "5.0"),
        ("0s", "seconds", "0.0"),
        ("0.5s", "seconds", "0.5"),
        ("+5s", "seconds", "5.0"),
        ("-1m30s", "seconds", "-90.0"),
        ("1h30m", "seconds", "5400.0"),
        ("1e3", "count", "1000.0"),
        ("1B", "bytes", "1.0"),
        ("1 kib", "bytes", "1024.0"),
        ("1PB", "bytes", "1000000000000000.0"),
        ("1 MB / m", "bytes_per_second", str(1e6 / 60)),
        ("7200/h", "per_second", "2.0"),
    ],
)
def test_quantities_at_their_edges(value: float | str, unit: str | None, number: str) -> None:
    assert str(parse_quantity(value, unit)) == number


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "seconds", "0 s"),
        (0.999, "seconds", "999 ms"),
        (1, "seconds", "1 s"),
        (119, "seconds", "119 s"),
        (120, "seconds", "2m"),
        (-120, "seconds", "-2m"),
        (-0.5, "seconds", "-500 ms"),
        (999, "bytes", "999 B"),
        (1e3, "bytes", "1 kB"),
        (1e6, "bytes", "1 MB"),
        (1e9, "bytes", "1 GB"),
        (1e12, "bytes", "1 TB"),
        (1e15, "bytes", "1 PB"),
        (-1e3, "bytes", "-1 kB"),
        (0.123, "ratio", "12.3 %"),
    ],
)
def test_a_value_is_told_in_the_largest_unit_that_it_fills(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (0.0001, "0.0001"),
        (0.00009, "9e-05"),
        (0.00012345, "0.0001234"),
        (9.9996, "10"),
        (12.345, "12.35"),
        (999.96, "1000"),
        (999.94, "999.9"),
        (1000.06, "1000.1"),
        (-1234.5678, "-1234.6"),
        (100, "100"),
        (999_999_999_999_999, "999999999999999"),
        (1e15, "1e+15"),
        (-0.00001, "-1e-05"),
    ],
)
def test_a_plain_number_has_at_least_four_digits_and_no_noise(value: float, text: str) -> None:
    assert plain(value) == text
