"""What was read from one statement: its slips, and what it means.

This module knows offsets and sentences. It never knows how a statement is read.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Slip:
    """One slip: offsets in the statement's text, what is wrong, what to write."""

    start: int
    end: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A statement as it was meant."""

    slips: tuple[Slip, ...]
    meant: str | None
    """The statement as correct TOML on one line; `None` where nobody can know."""


def values_of(text: str) -> dict[str, Any]:
    """Return what TOML understands; `ValueError` where it does not, `RecursionError` where it goes too deep.

    A key of a thousand parts, `a.a.a ... = 1`, is no effort for the parser, and a thousand tables for all who read on.
    """
    values = tomllib.loads(text)
    level: list[Any] = [values]
    for _ in range(_DEEPEST):
        level = [value for each in level for value in _inside(each) if isinstance(value, dict | list)]
        if not level:
            return values
    raise RecursionError


def understood(text: str) -> bool:
    """Return whether a statement is correct TOML by itself."""
    try:
        values_of(text)
    except (ValueError, RecursionError):
        return False
    return True


def too_deep(text: str) -> bool:
    """Return whether a statement is nested deeper than anybody means it."""
    try:
        values_of(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
