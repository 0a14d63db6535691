"""Which alerts make one incident.

This module knows labels. It never opens or closes anything.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from evaluator.engine.alerts import Alert
from evaluator.engine.rules import Rule
from evaluator.engine.samples import Series


def group_of(rule: Rule, series: Series) -> Series:
    """Return the group that a series belongs to: all its labels, those of `group_by` that it has, or none."""
    return part_of(rule.group_by, series)


def part_of(group_by: Sequence[str] | None, series: Series) -> Series:
    """Return what `group_by` makes of a series; see `group_of`."""
    if group_by is None:
        return series
    return tuple((name, value) for name, value in series if name in group_by)


def by_group(rule: Rule, alerts: Iterable[Alert]) -> dict[Series, list[Alert]]:
    """Return the alerts by group, the worst and then the lowest series first."""
    groups: defaultdict[Series, list[Alert]] = defaultdict(list)
    for alert in sorted(alerts, key=lambda alert: (alert.severity, alert.series)):
        groups[group_of(rule, alert.series)].append(alert)
    return dict(groups)


def belongs(series: Series, group: Series) -> bool:
    """Return whether a series has all labels of a group, whatever `group_by` made that group."""
    return set(group) <= set(series)


def belonging(groups: Iterable[Series]) -> Callable[[Series], bool]:
    """Return a function that says whether a series belongs to any of many groups, whatever `group_by` made them."""
    shapes: defaultdict[tuple[str, ...], set[Series]] = defaultdict(set)
    for group in groups:
        shapes[tuple(name for name, _ in group)].add(group)
    return lambda series: any(part_of(names, series) in found for names, found in shapes.items())


def common_labels(alerts: Iterable[Alert], limit: int = 5) -> dict[str, str]:
    """Return the labels of several series for a text: one value as it is, several as a list, of at most `limit`."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for alert in alerts:
        for name, value in alert.series:
            values[name].add(value)
    return {name: _listed(sorted(found), limit) for name, found in values.items()}


def _listed(values: list[str], limit: int) -> str:
    if len(values) <= limit:
        return ", ".join(values)
    return f"{', '.join(values[:limit])} and {len(values) - limit} more"
