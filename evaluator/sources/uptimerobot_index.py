"""Which monitors a query is about, found without holding each query against each monitor.

This module knows names, patterns and ids. It never asks for anything.
"""

from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from evaluator.sources.api_refusals import did_you_mean
from evaluator.sources.names import several
from evaluator.sources.uptimerobot_list import Monitor
from evaluator.sources.uptimerobot_query import UptimeRobotQuery

_WILD = frozenset("*?[")
"""What makes a name a pattern."""


class Index:
    """One list of monitors, by name and by id."""

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        """Sort them into drawers, once for all queries of a poll."""
        self._monitors = monitors
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_id: dict[int, int] = {}
        for place, monitor in enumerate(monitors):
            self._by_name[monitor.name].append(place)
            self._by_id[monitor.id] = place

    def chosen(self, query: UptimeRobotQuery) -> list[Monitor]:
        """Return the monitors that a query is about, in the order of the list."""
        names, patterns = _split(several(query.monitor))
        if not names and query.id is None:
            return list(self._monitors)
        if patterns:
            return [each for each in self._monitors if wanted(query, each.name, each.id)]
        places = {place for name in names for place in self._by_name.get(name, ())}
        places |= {self._by_id[number] for number in several(query.id) if number in self._by_id}
        return [self._monitors[place] for place in sorted(places)]

    def missing(self, query: UptimeRobotQuery) -> list[str]:
        """Return a sentence for each name and number that there is no monitor of."""
        absent = [each for each in several(query.monitor) if each not in self._by_name and not self._fits(each)]
        numbers = set(several(query.id)) - self._by_id.keys()
        return [f"there is no monitor {each}{did_you_mean(each, sorted(self._by_name))}" for each in absent] + [
            f"there is no monitor with the id {each}" for each in sorted(numbers)
        ]

    def _fits(self, pattern: str) -> bool:
        """Return whether a pattern fits any of the names."""
        return bool(_WILD & set(pattern)) and any(fnmatchcase(name, pattern) for name in self._by_name)


def wanted(query: UptimeRobotQuery, name: str, number: int) -> bool:
    """Return whether a query is about this monitor. A name that holds a bracket or a star may be meant literally."""
    names, patterns = _split(several(query.monitor))
    if not names and query.id is None:
        return True
    return name in names or any(fnmatchcase(name, each) for each in patterns) or number in several(query.id)


@lru_cache(maxsize=4096)
def _split(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return all names, and those that are patterns too."""
    return frozenset(names), tuple(each for each in dict.fromkeys(names) if _WILD & set(each))
