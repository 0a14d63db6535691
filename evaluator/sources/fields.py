"""Field types that settings and queries of several sources share: durations, sizes, strict models.

This module knows how such a field is written in TOML, and that some options are for some measures. It never
knows a source, and never does I/O.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from evaluator.engine.units import format_duration, parse_duration, parse_quantity

_MOST_NAMED = 10


def _seconds(value: object) -> float:
    """Return the seconds of a duration such as `"1h30m"`; raise `ValueError` for anything else, 0 included."""
    if not isinstance(value, str):
        msg = 'is not a duration; write it in quotes with a unit, like "30s", "10m" or "1h30m"'
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError, and lets TypeError through.
    seconds = parse_duration(value)
    if seconds <= 0:
        msg = "must be longer than 0"
        raise ValueError(msg)
    return seconds


def _bytes(value: object) -> int:
    """Return the bytes of a size such as `"64MB"`; raise `ValueError` for anything else, 0 included."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        msg = 'is not a size; write a number of bytes, or a size in quotes like "64MB"'
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError, and lets TypeError through.
    size = int(parse_quantity(value, "bytes"))
    if size <= 0:
        msg = "must be larger than 0"
        raise ValueError(msg)
    return size


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["10s", "1m", "1h30m"]}),
]
"""A duration longer than 0, written `"10s"`, kept in seconds, and dumped as it is written."""

Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["64MB"]}, {"type": "integer", "minimum": 1}]}),
]
"""A size larger than 0, written `"64MB"` or as a number of bytes."""

Text = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""


class Strict(BaseModel):
    """A frozen model that forbids unknown keys, and whose errors do not quote what was entered: it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class MisfitError(ValueError):
    """A query that its model takes, and that settings have no answer to: it names what they do not declare."""

    def __init__(self, message: str, *at: str | int) -> None:
        """Say what is wrong (a hint may follow after `; `), and where in the query: a key, a place in its list."""
        super().__init__(message)
        self.at = at


def refuse_unknown(key: str, said: str | Collection[str], known: Collection[str], what: str) -> None:
    """Raise `MisfitError` for the first name under a key of the query that is none of those that are known."""
    names = [said] if isinstance(said, str) else list(said)
    for index, name in enumerate(names):
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, 1)
        some = ", ".join(sorted(known)[:_MOST_NAMED]) + (", …" if len(known) > _MOST_NAMED else "")
        hint = f'did you mean "{close[0]}"?' if close else f"declared are {some}"
        raise MisfitError(f'there is no {what} "{name}"; {hint}', key, *([] if isinstance(said, str) else [index]))


Options = Mapping[str, tuple[Collection[str], str]]
"""For each option of a query: the measures that it is for, and how to call them."""


def refuse_idle_options(query: BaseModel, measure: str, options: Options) -> None:
    """Raise `ValueError` for an option that differs from its default and would do nothing for this measure."""
    fields = type(query).model_fields
    for option, (measures, words) in options.items():
        if measure not in measures and getattr(query, option) != fields[option].get_default(call_default_factory=True):
            message = f"`{option}` is for {words}, not for `{measure}`"
            raise ValueError(message)
