"""When a source is asked: slots on a grid, with a phase that spreads sources over the interval.

This module does arithmetic on times. It never waits.
"""

import hashlib
import math
from dataclasses import dataclass

EARLY = 0.25
"""Part of an interval (at most half a second) by which a timer may be early and still mean the slot to come."""


def phase_of(source: str, every: float) -> float:
    """Return the source's phase in seconds: a stable hash of its name, so that it is the same after each restart.

    Phases are whole seconds where the interval allows it, since some sources (Prometheus' range queries through its
    client) keep no finer times.
    """
    digest = hashlib.sha256(f"{source}/{every}".encode()).digest()
    unit = 1.0 if every >= 2 else 0.001
    return float(int.from_bytes(digest[:8]) % max(1, int(every / unit))) * unit


@dataclass(slots=True)
class Slots:
    """The slots of one (source, interval), as they are taken."""

    every: float
    """Seconds between slots."""
    phase: float
    last: float | None = None
    """The slot that was taken last."""
    missed: int = 0
    """Slots that passed without being taken, before the last one."""

    def take(self, now: float) -> float | None:
        """Return the slot that is due; `None`: it has been taken already. Slots that passed in between are missed."""
        early = min(0.5, self.every * EARLY)
        slot = self.phase + math.floor((now + early - self.phase) / self.every) * self.every
        if self.last is not None:
            ahead = round((slot - self.last) / self.every)
            if ahead <= 0:
                return None
            self.missed = ahead - 1
        self.last = slot
        return slot

    def next(self, now: float) -> float:
        """Return the time of the next slot after now."""
        slot = self.phase + math.floor((now - self.phase) / self.every + 1) * self.every
        return max(slot, self.last + self.every) if self.last is not None else slot
