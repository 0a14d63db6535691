"""Which monitors there were, so that one that was deleted or renamed is known to have ended.

This module knows numbers, names and instants. It never talks to a server.
"""

from collections.abc import Iterable

from evaluator.engine.samples import Series, series_of
from evaluator.sources.uptimerobot_list import Monitor

REMEMBERED = 86400.0
"""Seconds for which an end is told: every rule's next poll hears of it, however seldom it is asked."""
TWICE = 2
"""Whole lists without a monitor until it counts as deleted: one could be a mistake of theirs."""


def labels_of(name: str, number: int) -> dict[str, str]:
    """Return the labels of a monitor's series."""
    return {"monitor": name, "id": str(number)}


class Seen:
    """The monitors of whole lists."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._names: dict[int, str] = {}
        self._missing: dict[int, int] = {}
        self._ended: dict[Series, tuple[str, int, float]] = {}

    def look(self, monitors: Iterable[Monitor], now: float) -> None:
        """Compare a whole list with those before. An empty one ends nothing: a whole account is not deleted at once."""
        there = {each.id: each.name for each in monitors}
        if not there:
            return
        for number, name in list(self._names.items()):
            if number in there:
                self._missing.pop(number, None)
                if there[number] != name:
                    self._end(name, number, now)
            else:
                self._missing[number] = self._missing.get(number, 0) + 1
                if self._missing[number] >= TWICE:
                    self._end(name, number, now)
                    del self._names[number], self._missing[number]
        self._names.update(there)
        for number, name in there.items():
            self._ended.pop(series_of(labels_of(name, number)), None)
        self._ended = {series: end for series, end in self._ended.items() if now - end[2] < REMEMBERED}

    def ended(self) -> list[tuple[Series, str, int]]:
        """Return the series that have ended, with the names and numbers that they had."""
        return [(series, name, number) for series, (name, number, _) in self._ended.items()]

    def awaited(self, name: str) -> bool:
        """Return whether a monitor of this name was there in the last lists but one."""
        return any(self._names[number] == name for number in self._missing)

    def _end(self, name: str, number: int, now: float) -> None:
        self._ended[series_of(labels_of(name, number))] = (name, number, now)
