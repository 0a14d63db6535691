"""What `evaluator doctor` hears of a source: what was tried, how it went, and how to mend it.

This module knows words for a person. It never knows a system.
"""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a thing that was tried stands."""

    FINE = "fine"
    """It works."""
    WARNING = "warning"
    """Rules are judged, but something is poorer, slower or dearer than it could be."""
    WRONG = "wrong"
    """Rules that need it cannot be judged."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """One thing that was tried. Its texts hold no secret and no line break."""

    grade: Grade
    subject: str
    """What was tried, as a noun: `connection`, `permission cloudwatch:GetMetricData`, `rule queue-long`."""
    found: str
    """How it went, as a sentence with what was seen: `answers in 3 ms, server 15.18`."""
    mend: str = ""
    """What to do, with the statement to run or the setting to change; empty where nothing needs to be done."""
