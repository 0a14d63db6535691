"""Finding the few rows of an answer that matter: those beyond a limit, and those of series that are known already.

With 100,000 quiet series this is a scan over columns. A `Series` key is made only for the rows that are found.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from evaluator.engine.alerts import Alert
from evaluator.engine.conditions import rows_beyond, worst_row
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.samples import Samples, Series, series_of

Reading = tuple[float, float | None]
"""A value and its own timestamp, if it has one."""

_SOME = 100
"""Rows of an answer that are looked at to see which label tells its series apart."""

_STRIDE = 7919
"""A prime: answers are laid out regularly (20 disks of each host), and every 20th row would show one disk only."""

AHEAD = 86_400.0
"""Seconds by which a source's clock may be ahead. What is dated later than that (or NaN) is a mistake: taken for the
newest sample, it would keep all that come after it from being judged."""


def readings_that_matter(rule: Rule, samples: Samples, known: Collection[Series]) -> dict[Series, list[Reading]]:
    """Return the readings of every series that is beyond a limit or known, oldest first, by series.

    A known series without a row is not in the result.
    """
    rows = {row for tier in rule.tiers for row in _rows_to_judge(tier, samples)}
    wanted = {series_of(samples.labels[row]) for row in rows} if samples.at is not None else set()
    if len(rows) < len(samples):
        # A series of dated samples may have several rows, and all of them are judged, so each one counts as known.
        rows.update(rows_of(samples, {*known, *wanted}))
    found: defaultdict[Series, list[Reading]] = defaultdict(list)
    at = samples.at
    if at is None:
        for row in sorted(rows):
            found[series_of(samples.labels[row])].append((samples.values[row], None))
        return {series: [_one(rule, readings)] for series, readings in found.items()}
    for row in sorted(rows, key=lambda row: (at[row], row)):
        found[series_of(samples.labels[row])].append((samples.values[row], at[row]))
    return dict(found)


def rows_of(samples: Samples, wanted: Collection[Series]) -> list[int]:
    """Return the positions of the rows whose series is one of the wanted ones.

    The candidates are narrowed down label by label, which compares strings; only what is left over is put in order and
    compared as a whole. The label that lets the fewest rows through goes first: with one alert among 100,000 series the
    others (`job`, `__name__`) would be compared 100,000 times each, and exclude nothing.
    """
    if not wanted:
        return []
    labels, values = samples.labels, _values_by_label(wanted)
    some = [labels[number * _STRIDE % len(labels)] for number in range(min(_SOME, len(labels)))]
    candidates: Iterable[int] = range(len(samples))
    for name in sorted(values, key=lambda name: sum(row.get(name) in values[name] for row in some)):
        allowed = values[name]
        candidates = [row for row in candidates if labels[row].get(name) in allowed]
    return [row for row in candidates if series_of(labels[row]) in wanted]


def newest_of(samples: Samples) -> dict[Series, float | None]:
    """Return every series of an answer, with the timestamp of its newest sample where samples carry one.

    This is no scan: only rules that must miss a series pay for it.
    """
    if samples.at is None:
        return dict.fromkeys(map(series_of, samples.labels))
    return dict(sorted(zip(map(series_of, samples.labels), samples.at, strict=True)))


def memory(rule: Rule) -> float:
    """Return for how many seconds it is known which dated samples were judged; older ones are judged no more."""
    return max(3600.0, 10 * rule.step) + rule.lag


def is_newer(reading: Reading, alert: Alert) -> bool:
    """Return whether a sample has not been judged yet."""
    return alert.sample_at is None or reading[1] is None or reading[1] > alert.sample_at


def recent(samples: Samples, oldest: float, now: float) -> Samples:
    """Return an answer without the samples whose own timestamps are older than `oldest`, or are no times of now."""
    if not samples.at:
        return samples
    rows = [row for row, at in enumerate(samples.at) if oldest <= at <= now + AHEAD]
    if len(rows) == len(samples):
        return samples
    return replace(
        samples,
        labels=[samples.labels[row] for row in rows],
        values=[samples.values[row] for row in rows],
        at=[samples.at[row] for row in rows],
    )


def _values_by_label(wanted: Collection[Series]) -> Mapping[str, set[str | None]]:
    """Return, for each label that any wanted series has, the values that it may have; `None`: may be without it."""
    names = {name for series in wanted for name, _ in series}
    values: dict[str, set[str | None]] = {name: set() for name in names}
    for series in wanted:
        labels = dict(series)
        for name in names:
            values[name].add(labels.get(name))
    return values


def _one(rule: Rule, readings: list[Reading]) -> Reading:
    """Return the reading of a series. A source that answers with a series twice is wrong: the worse one counts."""
    if len(readings) == 1:
        return readings[0]
    return readings[worst_row(rule.tiers[0], [value for value, _ in readings]) or 0]


def _rows_to_judge(tier: Tier, samples: Samples) -> Iterable[int]:
    """Return the rows that are beyond the limit; all of them where the value alone does not say what is wrong."""
    if tier.looks_back or tier.limit is None:
        return range(0 if tier.absent else len(samples))
    return rows_beyond(tier.limit, samples.values)
