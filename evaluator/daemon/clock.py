"""The only place that reads a clock.

The daemon's time never goes back while it runs. It follows the wall clock, also when that jumps forward (a machine that
slept really missed that time); when the wall clock is set back, the daemon's time goes on at the pace of the monotonic
clock until the wall clock has caught up. So slots go on one interval after the last, and nothing that waits for a time
waits for an hour.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

TOLERANCE = 2.0
"""Seconds by which wall and monotonic clock may differ before it counts as a jump."""


class Jump(StrEnum):
    """The direction in which the wall clock jumped."""

    FORWARD = "forward"
    BACK = "back"


class Clock:
    """The daemon's time, in seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start at the wall clock's time."""
        self._wall = wall
        self._monotonic = monotonic
        self._at = wall()
        self._tick = monotonic()
        self._behind = 0.0
        self._offset = self._at - self._tick

    def now(self) -> float:
        """Return the daemon's time; never less than it was before."""
        tick, wall = self._monotonic(), self._wall()
        expected = self._at + max(0.0, tick - self._tick)
        if wall >= expected - TOLERANCE:
            self._at, self._behind = max(wall, self._at), 0.0
        else:
            self._at, self._behind = expected, expected - wall
        self._tick = tick
        return self._at

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring how long something takes."""
        return self._monotonic()

    def wall(self) -> datetime:
        """Return what the wall clock shows, whatever the daemon's time is: what other schedulers count on."""
        return datetime.fromtimestamp(self._wall(), UTC)

    @property
    def behind(self) -> float:
        """Seconds by which the wall clock is behind the daemon's time, since it was set back."""
        return self._behind

    def jump(self) -> Jump | None:
        """Return whether, and where to, the wall clock has jumped since this was asked last."""
        offset = self._wall() - self._monotonic()
        moved, self._offset = offset - self._offset, offset
        if abs(moved) <= TOLERANCE:
            return None
        return Jump.FORWARD if moved > 0 else Jump.BACK
