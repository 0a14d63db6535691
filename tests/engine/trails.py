"""Kept samples for the tests of what looks at them."""

from collections.abc import Iterable

from evaluator.engine.trail import Chunk, Trail, noted


def trail_of(samples: Iterable[tuple[float, float]], width: float) -> Trail:
    """Return the trail of samples given as (time, value), kept one after the other."""
    trail: dict[int, Chunk] = {}
    for at, value in samples:
        change = noted(trail, width, at, value)
        if change is not None:
            trail[change[0]] = change[1]
    return trail
