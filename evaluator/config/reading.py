"""What was read from one statement: its slips, and what it means.

This module knows offsets and sentences. It never knows how a statement is read.
"""

import tomllib
from dataclasses import dataclass


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


def understood(text: str) -> bool:
    """Return whether a statement is correct TOML by itself."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
