"""The kinds of values that keys have: durations, quantities, `3 of 5`, and so on, each with its complaint.

This module knows how one value is checked and described to an editor. It never knows which keys there are.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema

from evaluator.engine.rules import Datapoints, NoData, NoDataPolicy
from evaluator.engine.shapes import Comparison
from evaluator.engine.units import UNITS, parse_duration

EARLIEST, LATEST = 1.0, 86400.0
"""Bounds of `every`, in seconds: 1s to 1d."""
_MOST_POINTS = 1000
_DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|[smhdw]))+$"


class Keys(BaseModel):
    """A table whose unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or an empty string."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else ""


def _duration(value: object) -> float:
    """Return the seconds of a duration."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        raise ValueError(f'{value} has no unit; write "{value}s" for seconds or "{value}m" for minutes')
    raise ValueError('must be a duration; write one like "30s" or "10m"')


def _lasting(value: object) -> float:
    """Return the seconds of a duration that cannot be 0."""
    seconds = _duration(value)
    if not seconds:
        raise ValueError('must be longer than 0; write one like "15m"')
    return seconds


def _span(value: object) -> float:
    """Return the seconds of a time in which things are counted."""
    seconds = _lasting(value)
    if seconds > LATEST:
        raise ValueError('must be at most 1d; write one like "1h"')
    return seconds


def _deviations(value: object) -> float:
    """Return `"4 mad"` as 4."""
    match = re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(mad|MAD)\s*", value) if isinstance(value, str) else None
    if match is None:
        shown = value if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LATEST else 4
        raise ValueError(f'must say how many median absolute deviations; write "{shown:g} mad"')
    if not float(match[1]):
        raise ValueError('must be more than 0; write "4 mad"')
    return float(match[1])


def _compared(value: object) -> tuple[Comparison, float | None]:
    """Return with what a value is compared, and the seconds of `last N days`."""
    if isinstance(value, str):
        words = " ".join(value.lower().split())
        days = re.fullmatch(r"last ([0-9]{1,4}) days?", words)
        if days is not None and int(days[1]):
            return Comparison.LAST_DAYS, int(days[1]) * 86_400.0
        for kind in (Comparison.HOUR_OF_WEEK, Comparison.HOUR_OF_DAY):
            if words == kind.value:
                return kind, None
    raise ValueError('must say with what; write "same hour of the week", "same hour of the day" or "last 7 days"')


def _interval(value: object) -> float:
    """Return the seconds of an interval between evaluations."""
    seconds = _duration(value)
    if not EARLIEST <= seconds <= LATEST:
        raise ValueError("must be between 1s and 1d")
    return seconds


def _quantity(value: object) -> float | str:
    """Return a number, or a text that is checked against the unit later."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('must be a number, or a text with a unit like "5%"')  # noqa: TRY004 - pydantic collects it.
    return value


def _pair(value: object) -> tuple[float | str, float | str]:
    """Return the two ends of `outside`."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two values; write outside = [10, 20]")
    return _quantity(value[0]), _quantity(value[1])


def _datapoints(value: object) -> Datapoints:
    """Return `"3 of 5"` as a value."""
    match = re.fullmatch(r"\s*([0-9]{1,6})\s+of\s+([0-9]{1,6})\s*", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must say how many of the last samples; write "3 of 5"')
    m, n = int(match[1]), int(match[2])
    if not n or m > n:
        raise ValueError(f'"{m} of {n}" cannot be; the second number must be the larger one')
    if n > _MOST_POINTS:
        raise ValueError(f"{n} samples are too many; at most {_MOST_POINTS}")
    return Datapoints(m, n)


def _breaches(value: object) -> Datapoints:
    """Return how many samples are a breach: at least one of them."""
    points = _datapoints(value)
    if not points.m:
        raise ValueError(f'"{points}" is always so; write "1 of {points.n}", or more')
    return points


def _no_data(value: object) -> NoData:
    """Return what a missing series means."""
    if value == "hold":
        return NoData()
    if value == "breach":
        return NoData(NoDataPolicy.BREACH)
    if isinstance(value, dict) and set(value) == {"resolve_after"}:
        seconds = _duration(value["resolve_after"])
        if not seconds:
            raise ValueError("resolve_after must be longer than 0")
        return NoData(NoDataPolicy.RESOLVE, seconds)
    raise ValueError('must be one of three; write "hold", "breach" or { resolve_after = "1h" }')


def _unit(value: object) -> str:
    """Return a unit that is known."""
    if isinstance(value, str) and value in UNITS:
        return value
    shown = value if isinstance(value, str) else str(value)
    meant = {"%": "percent", "s": "seconds", "b": "bytes"}.get(shown.lower()) or did_you_mean(shown, UNITS)
    hint = f'did you mean "{meant}"?' if meant else f"the units are {', '.join(UNITS)}"
    raise ValueError(f'"{shown[:40]}" is not a unit; {hint}')


def _query(value: object) -> str | dict[str, object]:
    """Return a query as it is written; the source's own model checks it."""
    if isinstance(value, str | dict):
        return value
    raise ValueError("must be a text or a table; see the page of the source in docs/sources")


def _link(value: object) -> str:
    """Return an address that can be clicked."""
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/]\S*", value):
        return value
    raise ValueError('must be an address; write one like "https://runbooks.example.com/cpu-high"')


def _severity(value: object) -> str:
    """Return a severity that is known."""
    if isinstance(value, str) and value in {"P0", "P1", "P2", "P3"}:
        return value
    words = {"critical": "P0", "emergency": "P0", "error": "P1", "high": "P1", "warning": "P2", "medium": "P2"}
    words |= {"info": "P3", "low": "P3", "p0": "P0", "p1": "P1", "p2": "P2", "p3": "P3"}
    meant = words.get(value.lower()) if isinstance(value, str) else None
    shown = f'"{value[:40]}"' if isinstance(value, str) else str(value)
    hint = f'did you mean "{meant}"?' if meant else 'write "P0" (the worst), "P1", "P2" or "P3"'
    raise ValueError(f"{shown} is not a severity; {hint}")


_DURATION_SCHEMA = {"type": "string", "pattern": _DURATION_PATTERN, "examples": ["30s", "10m", "1h30m"]}
_QUANTITY_SCHEMA = {"type": ["number", "string"], "examples": [90, "5%", "1.5s", "2GB"]}
_POINTS_SCHEMA = {"type": "string", "pattern": r"^\s*[0-9]+\s+of\s+[0-9]+\s*$", "examples": ["3 of 5"]}

Duration = Annotated[float, PlainValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, written as `10m`."""
Interval = Annotated[float, PlainValidator(_interval), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds from 1s to 1d, written as `30s`."""
Lasting = Annotated[float, PlainValidator(_lasting), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, more than 0."""
Span = Annotated[float, PlainValidator(_span), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, more than 0 and at most a day."""
Deviations = Annotated[
    float,
    PlainValidator(_deviations),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(mad|MAD)\s*$", "examples": ["4 mad"]}),
]
"""How many MADs, written as `4 mad`."""
Compared = Annotated[
    tuple[Comparison, float | None],
    PlainValidator(_compared),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [Comparison.HOUR_OF_WEEK.value, Comparison.HOUR_OF_DAY.value]},
                {"type": "string", "pattern": "^last [0-9]+ days?$", "examples": ["last 7 days"]},
            ]
        }
    ),
]
"""`compared_to`, with the seconds of `last N days`."""
Quantity = Annotated[float | str, PlainValidator(_quantity), WithJsonSchema(_QUANTITY_SCHEMA)]
"""A limit, not yet in the rule's unit."""
Ends = Annotated[
    tuple[float | str, float | str],
    PlainValidator(_pair),
    WithJsonSchema({"type": "array", "items": _QUANTITY_SCHEMA, "minItems": 2, "maxItems": 2}),
]
"""The two ends of `outside`."""
Points = Annotated[Datapoints, PlainValidator(_datapoints), WithJsonSchema(_POINTS_SCHEMA)]
"""`"M of N"`."""
Breaches = Annotated[Datapoints, PlainValidator(_breaches), WithJsonSchema(_POINTS_SCHEMA)]
"""`"M of N"` where M is not 0."""
Missing = Annotated[
    NoData,
    PlainValidator(_no_data),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["hold", "breach"]},
                {
                    "type": "object",
                    "properties": {"resolve_after": _DURATION_SCHEMA},
                    "required": ["resolve_after"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""`no_data`."""
Unit = Annotated[str, PlainValidator(_unit), WithJsonSchema({"enum": list(UNITS)})]
"""One of `engine.units.UNITS`."""
Link = Annotated[str, PlainValidator(_link), WithJsonSchema({"type": "string", "format": "uri"})]
"""An http(s) address."""
SeverityName = Annotated[str, PlainValidator(_severity), WithJsonSchema({"enum": ["P0", "P1", "P2", "P3"]})]
"""`P0` to `P3`."""
QueryTable = Annotated[str | dict[str, object], PlainValidator(_query), WithJsonSchema({"type": ["string", "object"]})]
"""A query before its source's own model has seen it."""
ModeName = Literal["page", "shadow", "off"]
"""`mode` of a rule."""
