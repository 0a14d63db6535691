"""Durations, quantities with a unit, and how both are written for people.

This module knows numbers and their spelling. It never knows rules, settings, or where a text came from: whoever asks
turns a `ValueError` into a problem at a place. All durations are seconds, all sizes are bytes.
"""

import math
import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from types import MappingProxyType

from evaluator.engine.calendar import time_text

TIME = "time"
"""The unit of rules with `missed`, whose values are seconds since the epoch; nobody writes it."""

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "percent": 'share of a hundred: 93 means 93 %; limits may be written 90 or "90%"',
        "ratio": 'share of one: 0.05 means 5 %; limits may be written 0.05 or "5%"',
        "seconds": 'a duration: limits may be written 1.5, "1.5s", "200ms" or "2h"',
        "bytes": 'a size: limits may be written 2000000000, "2GB" (10^9) or "2GiB" (2^30)',
        "bytes_per_second": 'a throughput: limits may be written 5000000 or "5MB/s"',
        "per_second": 'a rate: limits may be written 5, "5/s" or "300/m"',
        "count": "a number of things: 1000",
    }
)
"""What `unit` of a rule may be, with one sentence for people. A rule without a unit has bare numbers."""

_DURATIONS: Mapping[str, float] = MappingProxyType(
    {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
)
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("week", "weeks", "wk", "wks"), "w"),
        **dict.fromkeys(("day", "days"), "d"),
        **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
        **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
        **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
        **dict.fromkeys(("millisecond", "milliseconds", "msec", "millis"), "ms"),
    }
)
_LONGEST = 3650 * 86400.0
_SIZES: Mapping[str, float] = MappingProxyType(
    {
        "B": 1.0,
        **{f"{prefix}B": 1000.0**power for power, prefix in enumerate("KMGTP", 1)},
        **{f"{prefix}IB": 1024.0**power for power, prefix in enumerate("KMGTP", 1)},
    }
)
_RATES: Mapping[str, float] = MappingProxyType({"s": 1.0, "m": 60.0, "h": 3600.0})
_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})\s*([A-Za-zµμ]+)")
_QUANTITY = re.compile(rf"([+-]?{_NUMBER}(?:[eE][+-]?[0-9]+)?)\s*(.*)", re.DOTALL)


def parse_duration(text: str) -> float:
    """Return the seconds that a duration like `10m`, `1h30m` or `250ms` says; `ValueError` says what to write."""
    written = text.strip()
    if not written:
        raise ValueError('is empty; write a duration like "30s", "10m" or "1h30m"')
    if written.startswith("-"):
        raise ValueError(f'"{_short(written)}" is negative; a duration is 0 or more')
    if re.fullmatch(_NUMBER, written):
        if float(written) == 0:
            return 0.0
        number = _short(written)
        raise ValueError(f'"{number}" has no unit; write "{number}s" for seconds or "{number}m" for minutes')
    total, position, last = 0.0, 0, math.inf
    while position < len(written):
        part = _PART.match(written, position)
        if part is None:
            raise ValueError(f'"{_short(written)}" is not a duration; write one like "30s", "10m" or "1h30m"')
        scale = _duration_scale(part[1], part[2])
        if scale >= last:
            raise ValueError(f'"{_short(written)}" has its parts in a wrong order; write the larger first: "1h30m"')
        total, last, position = total + float(part[1]) * scale, scale, part.end()
        if len(part[0].split()) > 1 or written[position : position + 1].isspace():
            raise ValueError(f'"{_short(written)}" has a space in it; write "{_short("".join(written.split()))}"')
    if total > _LONGEST:
        raise ValueError(f'"{_short(written)}" is longer than ten years')
    return total


def _duration_scale(number: str, unit: str) -> float:
    """Return the seconds of one unit; `ValueError` names the right spelling."""
    if unit in _DURATIONS:
        return _DURATIONS[unit]
    meant = _WORDS.get(unit.lower()) or (unit.lower() if unit.lower() in _DURATIONS else None)
    number = _short(number)
    if meant:
        raise ValueError(f'"{number}{_short(unit)}" is not a duration; write "{number}{meant}"')
    raise ValueError(f'"{_short(unit)}" is not a unit of time; the units are ms, s, m, h, d and w, as in "1h30m"')


def format_duration(seconds: float) -> str:
    """Return a duration as it is written in TOML: `10m`, `1h30m`, `45s`, `250ms`; rounded to milliseconds."""
    if not math.isfinite(seconds):
        return _odd(seconds)
    left = round(abs(seconds) * 1000)
    if not left:
        return "0s"
    if left > 60_000:
        # Beyond a minute the milliseconds are noise.
        left = round(left / 1000) * 1000
    parts = []
    for unit, scale in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, left = divmod(left, scale)
        if count:
            parts.append(f"{count}{unit}")
    if left >= 1000:
        parts.append(f"{left / 1000:g}s")
    elif left:
        parts.append(f"{left}ms")
    return ("-" if seconds < 0 else "") + "".join(parts)


def parse_quantity(value: float | str, unit: str | None) -> float:
    """Return a limit in the rule's unit; `ValueError` says what to write where value and unit do not fit.

    Numbers are taken as they are, texts carry their own unit: `"5%"` is 5 for `percent` and 0.05 for `ratio`.
    """
    if isinstance(value, bool):
        raise ValueError("is true or false; write a number")  # noqa: TRY004 - callers turn one kind into a problem.
    if isinstance(value, str):
        return _from_text(value.strip(), unit)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    if unit == "ratio" and abs(number) > 1:
        share = plain(number)
        raise ValueError(
            f'{share} is {plain(number * 100)} % of a ratio; write "{share}%" or {plain(number / 100)}'
            f' (or "{plain(number * 100)}%" if that is what you mean)'
        )
    return number


def _from_text(text: str, unit: str | None) -> float:
    """Return the value of a written quantity in `unit`."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f'"{_short(text)}" is not a number; write {_example(unit)}')
    number, suffix = float(match[1]), match[2].strip()
    if not suffix:
        return parse_quantity(number, unit)
    result = _scaled(number, suffix, unit, text)
    if result is None:
        raise ValueError(_mismatch(text, suffix, unit))
    if not math.isfinite(result):
        raise ValueError("must be a finite number")
    return result


def _scaled(number: float, suffix: str, unit: str | None, text: str) -> float | None:
    """Return the number in `unit`, or `None` where the written suffix does not fit."""
    if unit in ("percent", "ratio") and suffix == "%":
        return number if unit == "percent" else number / 100
    if unit == "seconds":
        if number < 0:
            return -parse_duration(text.removeprefix("-"))
        return parse_duration(text.removeprefix("+")) if _looks_like_time(suffix) else None
    if unit == "bytes":
        scale = _SIZES.get(suffix.upper())
        return None if scale is None else number * scale
    if unit in ("bytes_per_second", "per_second"):
        amount, _, per = suffix.partition("/")
        sizes = _SIZES if unit == "bytes_per_second" else {"": 1.0}
        scale, rate = sizes.get(amount.strip().upper()), _RATES.get(per.strip())
        return None if scale is None or rate is None else number * scale / rate
    return None


def _looks_like_time(suffix: str) -> bool:
    """Return whether a suffix begins like a unit of time, rightly spelled or not."""
    name = "".join(takewhile(str.isalpha, suffix)).lower()
    return name in _DURATIONS or name in _WORDS


def _mismatch(text: str, suffix: str, unit: str | None) -> str:
    """Return the sentence for a quantity whose suffix does not fit the unit."""
    shown = _short(text)
    if unit is not None:
        return f'"{shown}" does not fit unit = "{unit}"; write {_example(unit)}'
    if suffix == "%":
        return (
            f'"{shown}" needs a unit: add unit = "percent" if the query answers 0 to 100,'
            ' or unit = "ratio" if it answers 0 to 1'
        )
    if suffix.upper() in _SIZES:
        return f'"{shown}" needs a unit: add unit = "bytes"'
    if "/" in suffix:
        return f'"{shown}" needs a unit: add unit = "per_second" or unit = "bytes_per_second"'
    if _looks_like_time(suffix):
        return f'"{shown}" needs a unit: add unit = "seconds"'
    return f'"{shown}" is not a number; write one like 90'


def _example(unit: str | None) -> str:
    """Return what a limit in this unit looks like."""
    examples: Mapping[str | None, str] = {
        "percent": 'a number or a share like "90%"',
        "ratio": 'a share like "5%" or 0.05',
        "seconds": 'a number of seconds or a duration like "1.5s" or "200ms"',
        "bytes": 'a number of bytes or a size like "500MB" or "2GB"',
        "bytes_per_second": 'a number or a throughput like "5MB/s"',
        "per_second": 'a number or a rate like "5/s" or "300/m"',
    }
    return examples.get(unit, "a number like 90")


def format_value(value: float, unit: str | None) -> str:
    """Return a value for people: `93.1 %`, `1.5 s`, `2 GB`; a ratio of 0.05 is `5 %`."""
    if not math.isfinite(value):
        return _odd(value)
    writers: Mapping[str | None, Callable[[float], str]] = {
        "percent": lambda number: f"{plain(number)} %",
        "ratio": lambda number: f"{plain(number * 100)} %",
        "seconds": _seconds,
        "bytes": _size,
        "bytes_per_second": lambda number: f"{_size(number)}/s",
        "per_second": lambda number: f"{plain(number)}/s",
        TIME: lambda number: time_text(number) if number > 0 else "never",
    }
    return writers.get(unit, plain)(value)


def plain(value: float) -> str:
    """Return a number without noise: at least four digits, no trailing zeros, an exponent only for extremes."""
    if not math.isfinite(value):
        return _odd(value)
    if 1000 <= abs(value) < 1e15:
        return f"{value:.1f}".removesuffix(".0")
    text = f"{value:.4g}"
    return "0" if text == "-0" else text


def _odd(value: float) -> str:
    """Return what is not a finite number, as Prometheus writes it."""
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value == math.inf else "-Inf"


def _seconds(value: float) -> str:
    """Return a duration as a measured value."""
    if abs(value) >= 120:
        return format_duration(round(value))
    if 0 < abs(value) < 1:
        return f"{plain(value * 1000)} ms"
    return f"{plain(value)} s"


def _size(value: float) -> str:
    """Return a size with a decimal prefix."""
    for prefix, scale in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= scale:
            return f"{plain(value / scale)} {prefix}"
    return f"{plain(value)} B"


def _short(text: str, most: int = 40) -> str:
    """Return a text that fits in a message."""
    return text if len(text) <= most else text[: most - 1] + "…"
