"""Finding a series among many that agrees with another one in all labels that both have.

The names of metrics are none of them. This module compares labels. It never knows what comes of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from evaluator.engine.samples import METRIC_NAME, Series

_Names = tuple[str, ...]


@dataclass(slots=True)
class Agreement:
    """Series, each with what it stands for, to be found by those that agree with them.

    Series come in a few shapes (names of labels). For each pair of shapes there is one table by the values of the names
    that they have in common, so ten thousand on either side are no hundred million comparisons.
    """

    _shapes: dict[_Names, list[tuple[Series, str]]] = field(default_factory=dict)
    _tables: dict[tuple[_Names, _Names], dict[Series, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[tuple[Series, str]]) -> "Agreement":
        """Return it for these series; where several agree the first one is found."""
        agreement = cls()
        for series, name in found:
            shape = tuple(label for label, _ in series if label != METRIC_NAME)
            agreement._shapes.setdefault(shape, []).append((series, name))
        return agreement

    def find(self, series: Series) -> str | None:
        """Return what the first series stands for that agrees with this one, or `None`."""
        names = {label for label, _ in series}
        for shape in self._shapes:
            common = tuple(label for label in shape if label in names)
            found = self._table(shape, common).get(_part(series, common))
            if found is not None:
                return found
        return None

    def _table(self, shape: _Names, common: _Names) -> dict[Series, str]:
        table = self._tables.get((shape, common))
        if table is None:
            table = self._tables[shape, common] = {}
            for series, name in self._shapes[shape]:
                table.setdefault(_part(series, common), name)
        return table


def _part(series: Series, names: _Names) -> Series:
    return tuple(pair for pair in series if pair[0] in names)
