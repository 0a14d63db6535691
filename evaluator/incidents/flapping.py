"""When a group opens again and again: from when on its incidents are held open for longer.

This module counts openings. What is held, and that it is said, is decided elsewhere.
"""

from collections.abc import Callable

from evaluator.engine.damping import Flapping
from evaluator.engine.rules import Rule
from evaluator.engine.samples import Series
from evaluator.engine.units import format_duration
from evaluator.incidents.grouping import group_of
from evaluator.incidents.world import World


def hold_of(world: World, rule: Rule, now: float) -> Callable[[Series], float]:
    """Return a function that says for how many seconds clear must last at least for a series."""
    flapping = rule.flapping

    def hold(series: Series) -> float:
        if flapping is None or not flaps(world, rule, group_of(rule, series), now):
            return 0.0
        return flapping.hold

    return hold


def flaps(world: World, rule: Rule, group: Series, now: float, opening: int = 0) -> bool:
    """Return whether a group opens too often; `opening` is 1 for one more that opens just now."""
    flapping = rule.flapping
    if flapping is None:
        return False
    return world.index.opens(rule.name, group, flapping.within, now) + opening >= flapping.opens


def flapping_text(flapping: Flapping) -> str:
    """Return what it means, for people."""
    return (
        f"opened {flapping.opens} times within {format_duration(flapping.within)}:"
        f" from now on it ends only when clear has lasted {format_duration(flapping.hold)}"
    )
