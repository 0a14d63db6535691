"""The samples that a rule keeps of its series: the first one of each bucket of time, for as long as it needs them.

A trail is the samples of one series in buckets of one width, cut into chunks of `CHUNK` buckets, since a chunk is what
the store writes at once. Single samples and not means are kept: what is judged is a single sample too, and means vary
less than it. This module knows buckets. It never knows what is made of the samples, or where they are kept.
"""

import math
from collections.abc import Iterator, Mapping

from evaluator.engine.samples import Series
from evaluator.engine.shapes import Keep

CHUNK = 256
"""Buckets of a chunk."""

Chunk = tuple[float, ...]
"""One value for each of `CHUNK` buckets; NaN where there is none."""

Trail = Mapping[int, Chunk]
"""The chunks of one series by number: number n begins with bucket n * `CHUNK` since the epoch."""

Trails = Mapping[tuple[float, Series], Trail]
"""All trails of one rule, by width in seconds and series."""

EMPTY: Chunk = (math.nan,) * CHUNK


def noted(trail: Trail, width: float, at: float, value: float) -> tuple[int, Chunk] | None:
    """Return the chunk that changes when a sample is kept, with its number; `None`: its bucket has one already.

    NaN and infinities are not kept: nothing is compared with them, and no line goes through them.
    """
    number, place = divmod(int(at // width), CHUNK)
    chunk = trail.get(number, EMPTY)
    if not math.isfinite(value) or chunk[place] == chunk[place]:
        return None
    return number, (*chunk[:place], value, *chunk[place + 1 :])


def points(trail: Trail, width: float, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield the kept samples of the buckets that begin from `start` to before `end`, oldest first, as (time, value).

    The time is that at which the bucket begins.
    """
    first, last = _first_bucket(width, start), _first_bucket(width, end)
    for number in range(first // CHUNK, (last - 1) // CHUNK + 1):
        chunk = trail.get(number)
        if chunk is not None:
            base = number * CHUNK
            for place in range(max(first - base, 0), min(last - base, CHUNK)):
                if chunk[place] == chunk[place]:
                    yield (base + place) * width, chunk[place]


def values(trail: Trail, width: float, start: float, end: float) -> list[float]:
    """Return the values of `points`, without their times: many at once, where only these count."""
    first, last = _first_bucket(width, start), _first_bucket(width, end)
    found: list[float] = []
    for number in range(first // CHUNK, (last - 1) // CHUNK + 1):
        chunk = trail.get(number)
        if chunk is not None:
            base = number * CHUNK
            part = chunk[max(first - base, 0) : last - base]
            found += [value for value in part if value == value]  # noqa: PLR0124 - NaN.
    return found


def _first_bucket(width: float, start: float) -> int:
    """Return the number of the first bucket that begins at a time or later."""
    number = math.ceil(start / width)
    # The quotient is rounded: that of a time at which a bucket begins may be a little more than its number.
    return number - 1 if (number - 1) * width >= start else number


def first_kept(trail: Trail, width: float, start: float) -> float | None:
    """Return the time of the oldest kept sample of the buckets that begin from `start` on, or `None`."""
    first = _first_bucket(width, start)
    for number in sorted(trail):
        base = number * CHUNK
        for place in range(max(first - base, 0), CHUNK):
            if trail[number][place] == trail[number][place]:  # NaN is not.
                return (base + place) * width
    return None


def outlived(trail: Trail, keep: Keep, now: float) -> list[int]:
    """Return the numbers of the chunks of which nothing is needed any more."""
    oldest = (now - keep.span) / keep.width
    return [number for number in trail if (number + 1) * CHUNK <= oldest]
