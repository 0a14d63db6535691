"""How often a vendor's API may be asked: our own budget, and what it told us to wait.

This module knows instants, headers and numbers. It never sends anything, and never reads a clock: instants of the
loop's clock and the vendor's own time are arguments.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite

LONGEST_WAIT = 3600.0
"""Seconds that a vendor's word to come back later is believed: a mistake there must not blind us for a day."""
FIRST_WAIT = 30.0
"""Seconds to wait after a 429 that does not say how long; doubled with each further one."""
LONGEST_GUESS = 600.0
"""Seconds that the doubling ends at."""
_AN_EPOCH = 1e8
"""A reset above this is an instant since the epoch, below it a number of seconds from now."""


class Budget:
    """At most `most` requests in any `seconds`: a sliding window, as vendors count."""

    def __init__(self, most: int, seconds: float) -> None:
        """Begin unused."""
        self.most = most
        self.seconds = seconds
        self._taken: deque[float] = deque()

    def delay(self, at: float) -> float:
        """Return the seconds from `at` until a request may be made; 0: now."""
        return 0.0 if self.left(at) else self._taken[0] + self.seconds - at

    def left(self, at: float) -> int:
        """Return how many requests may be made at once."""
        while self._taken and self._taken[0] <= at - self.seconds:
            self._taken.popleft()
        return self.most - len(self._taken)

    def take(self, at: float) -> None:
        """Note a request."""
        self._taken.append(at)


class Gates:
    """The lanes (endpoints with a limit of their own) that we were told to keep out of, and until when."""

    def __init__(self) -> None:
        """Begin with all open."""
        self._until: dict[str, float] = {}
        self._refusals: dict[str, int] = {}

    def left(self, lane: str, at: float) -> float:
        """Return the seconds that the lane stays closed; 0: it is open."""
        return max(self._until.get(lane, 0.0) - at, 0.0)

    def refused(self, lane: str, at: float, told: float | None) -> float:
        """Close a lane after a 429, for as long as told or else for a guess that doubles; return the seconds."""
        count = self._refusals[lane] = self._refusals.get(lane, 0) + 1
        guess = min(FIRST_WAIT * 2.0 ** min(count - 1, 10), LONGEST_GUESS)
        wait = guess if told is None else told
        self._until[lane] = at + wait
        return wait

    def answered(self, lane: str) -> None:
        """Note an answer: the next refusal is the first again."""
        self._refusals.pop(lane, None)

    def pause(self, lane: str, at: float, seconds: float) -> None:
        """Close a lane whose limit is used up, before it refuses us."""
        self._until[lane] = max(self._until.get(lane, 0.0), at + seconds)


def told_to_wait(headers: Mapping[str, str], now: float, resets: Sequence[str]) -> float | None:
    """Return how many seconds an answer tells us to wait; `None`: it does not say.

    `headers` by lower-case name; `resets` are the vendor's own headers that say when its window ends. Instants are
    compared with the answer's own `Date`, since our clock may differ, and with `now` where it has none.
    """
    theirs = instant(headers.get("date", "")) or now
    after = headers.get("retry-after", "")
    wait = _number(after)
    if wait is None:
        at = instant(after)
        wait = None if at is None else at - theirs
    if wait is None:
        found = (_number(headers.get(name, "")) for name in resets)
        reset = next((each for each in found if each is not None), None)
        if reset is not None:
            wait = reset - theirs if reset > _AN_EPOCH else reset
    return None if wait is None else min(max(wait, 1.0), LONGEST_WAIT)


def used_up(headers: Mapping[str, str], remaining: str) -> bool:
    """Return whether an answer says that no further request is left in its window."""
    left = _number(headers.get(remaining, ""))
    return left is not None and left <= 0


def instant(text: str) -> float | None:
    """Return the seconds since the epoch of an HTTP date; `None` where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float | None:
    """Return a finite number that is not negative; `None` for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
