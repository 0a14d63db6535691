"""What people ask of incidents, as rows: whoever asks writes one, and only the daemon that judges carries it out.

This module knows the row. What it does is decided in `obey`; where one comes from is nobody's business here.
"""

from dataclasses import dataclass
from enum import StrEnum

from evaluator.incidents.silence import Silence


class CommandKind(StrEnum):
    """What is asked for."""

    RESOLVE = "resolve"
    """Close an incident although nothing says that it is over."""
    SILENCE = "silence"
    """Begin a silence."""
    UNSILENCE = "unsilence"
    """End a silence early."""


@dataclass(frozen=True, slots=True)
class Command:
    """Somebody's wish, until it is carried out."""

    id: str
    """A ULID: commands are carried out in the order in which they were written."""
    kind: CommandKind
    incident: str
    """The id of the incident, or of the silence."""
    by: str
    """Who asks: a user's name."""
    at: float
    """Seconds since the epoch."""
    note: str = ""
    """Why, in their words."""
    silence: Silence | None = None
    """Only for `SILENCE`: the silence that begins."""
