"""Conditions that look at more than one value: a line that rises, a value unlike earlier ones, a job that did not run.

This module knows what they are made of. How they are judged is in `trend`, `baseline` and `schedule`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """Which way a line goes, by its key in TOML."""

    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class Trend:
    """`rising` or `falling`: how far the fitted line goes from one end of the window to the other."""

    way: Way
    by: float
    """At least this much, above 0: in the rule's unit, or a share (0.5 for `"50%"`) of where the line begins."""
    share: bool
    """Whether `by` is a share."""
    over: float
    """Seconds of the window, which ends at the sample that is judged."""


class Direction(StrEnum):
    """On which side a value is unusual."""

    HIGH = "high"
    LOW = "low"
    BOTH = "both"


class Comparison(StrEnum):
    """Which earlier samples a value is compared with."""

    HOUR_OF_WEEK = "same hour of the week"
    """Those within 30 minutes of the same local time, one, two, ... weeks ago."""
    HOUR_OF_DAY = "same hour of the day"
    """The same, one, two, ... days ago."""
    LAST_DAYS = "last days"
    """All of them, as far as `history` reaches; written `"last 7 days"`."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """`unusual`: how far a value is from the median of comparable earlier samples, in units of their MAD.

    MAD is the median absolute deviation from the median, as it is (not scaled to a standard deviation).
    """

    by: float
    """MADs, above 0."""
    history: float = 28 * 86_400.0
    """Seconds that are looked back."""
    compared_to: Comparison = Comparison.HOUR_OF_WEEK
    direction: Direction = Direction.BOTH
    learn: float = 14 * 86_400.0
    """Seconds since a series was first seen during which it is only watched; not more than `history`."""
    timezone: str = "UTC"
    """IANA name: in which hours and days are told apart."""


@dataclass(frozen=True, slots=True)
class Missed:
    """`missed`: the value is the time (seconds since the epoch) of the last success, and one was due since."""

    cron: str
    """Five fields, as in crontab(5)."""
    timezone: str
    """IANA name: in which they are meant."""
    grace: float = 0.0
    """Seconds after a due time in which the success may still come."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How a rule's samples are kept: the first one of each `width` seconds, for `span` seconds."""

    width: float
    span: float

    @property
    def points(self) -> int:
        """How many samples of a series are kept at most."""
        return int(self.span / self.width) + 1


POINTS_OF_TREND = 60
"""A window of a trend is kept as about this many samples."""
WIDTH_OF_BASELINE = 300.0
"""Seconds: of what `unusual` compares with, one sample in this time is kept."""


def kept_for_trend(trend: Trend, step: float) -> Keep:
    """Return how samples are kept for a trend; `step` is the rule's, in seconds."""
    width = max(step, trend.over / POINTS_OF_TREND)
    return Keep(width, trend.over + width)


def kept_for_unusual(unusual: Unusual, step: float) -> Keep:
    """Return how samples are kept for `unusual`; `step` is the rule's, in seconds."""
    # Half an hour more on the far side, since the same hour is half an hour to either side.
    return Keep(max(step, WIDTH_OF_BASELINE), unusual.history + 1_800.0)
