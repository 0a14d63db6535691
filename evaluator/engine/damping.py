"""What keeps a nervous rule, or a bad hour, from paging again and again.

This module knows the numbers. What they do to incidents is in `incidents.flapping` and `incidents.storms`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flapping:
    """`flapping`: from when on an incident that opens again and again is held open for longer."""

    opens: int = 3
    """How often one group must have opened ..."""
    within: float = 3_600.0
    """... within these seconds (at most a day) ..."""
    hold: float = 900.0
    """... for its `recover.for` to be at least these seconds."""


@dataclass(frozen=True, slots=True)
class Storm:
    """`storm`: from when on what would open joins one incident of its service."""

    opens: int = 30
    """After how many openings of one service ..."""
    within: float = 60.0
    """... within these seconds (at most a day)."""
