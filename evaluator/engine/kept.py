"""The samples that a rule keeps, while one answer is judged: what it had, and what the answer adds.

This module knows which of them are worth their place: one in each bucket, of so many series, for so long. It never
knows what is made of them (that is `trend` and `baseline`), or where they are written.
"""

from evaluator.engine.rows import memory
from evaluator.engine.rules import Rule
from evaluator.engine.samples import Series
from evaluator.engine.trail import Chunk, Trail, Trails, noted, outlived
from evaluator.engine.window import SPARE_STEPS, window_size

MOST_POINTS = 2_000_000
"""A rule keeps about this many samples at most; beyond that it takes no more series."""
FEWEST_SERIES = 10
"""So many series have their place, however many samples of each are kept."""
PRUNED_EVERY = 3_600.0
"""Seconds: so often it is looked for what nobody needs any more."""


class Kept:
    """The trails of one rule, with the samples of one answer."""

    def __init__(self, rule: Rule, trails: Trails, now: float) -> None:
        """Begin with the trails as they are, which are not changed."""
        self.keeps = rule.keeps
        """How samples are kept; `()`: they are not."""
        self.chunks: dict[tuple[float, Series, int], Chunk | None] = {}
        """What changed; `None`: needed no more."""
        self._trails = trails
        self._judged_from = now - _oldest_judged(rule)
        self._changed: dict[tuple[float, Series], dict[int, Chunk]] = {}
        self._series = {series for _, series in trails} if self.keeps else set()
        self.most = max(FEWEST_SERIES, MOST_POINTS // sum(keep.points for keep in self.keeps)) if self.keeps else 0
        """Of so many series samples are kept. The first ones stay."""
        if trails and (not self.keeps or now % PRUNED_EVERY < rule.every):
            self._prune()

    def note(self, series: Series, at: float, value: float) -> None:
        """Keep a sample, if there is place for its series and its bucket is empty."""
        if series not in self._series:
            if len(self._series) >= self.most:
                return
            self._series.add(series)
        for keep in self.keeps:
            # What a source tells of weeks, for the widest of buckets, would fill the others for nothing.
            if at < self._judged_from - keep.span:
                continue
            key = (keep.width, series)
            trail = self.trail(*key)
            found = noted(trail, keep.width, at, value)
            if found is not None:
                number, chunk = found
                self._changed[key] = {**trail, number: chunk}
                self.chunks[(*key, number)] = chunk

    def has_place_for(self, series: Series) -> bool:
        """Return whether samples of this series are kept."""
        return series in self._series

    def trail(self, width: float, series: Series) -> Trail:
        """Return the samples of a series in buckets of this width."""
        key = (width, series)
        return self._changed.get(key) or self._trails.get(key, {})

    def _prune(self) -> None:
        """Drop what is older than anybody looks back, and what was kept in a way that is no longer asked for."""
        by_width = {keep.width: keep for keep in self.keeps}
        for (width, series), trail in self._trails.items():
            keep = by_width.get(width)
            for number in trail if keep is None else outlived(trail, keep, self._judged_from):
                self.chunks[width, series, number] = None


def _oldest_judged(rule: Rule) -> float:
    """Return by how many seconds a sample that is judged may be older than the slot: late, or one of the last N.

    Each is held against what was before it, and not before the slot.
    """
    last = max(window_size(tier) for tier in rule.tiers) + SPARE_STEPS
    return max(memory(rule), last * rule.step + rule.lag)
