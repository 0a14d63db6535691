"""What is no mistake in a window and still worth a word: it is over, it selects nothing, it overlaps with another one.

This module knows windows beside each other, and the names of rules. How a warning is ignored is in `lint`.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache

from evaluator.config.fields import did_you_mean
from evaluator.config.lint_rule import Whole
from evaluator.config.positions import Path
from evaluator.engine.calendar import last_due, next_due, zone
from evaluator.engine.maintenance import Recurring, Selector, Window
from evaluator.engine.units import format_duration

LONG_OVER = 7 * 86_400.0
"""Seconds after which a window that is over is only in the way."""
_LOOKED_AHEAD = 366 * 86_400.0
_MOST_TIMES = 400
_SOME_DAY = 1_704_067_200.0
"""From when on recurring windows are compared where nobody says what time it is: the first day of 2024."""
_WILD = frozenset("*?[")

IDS = frozenset({"window-over", "window-without-rules", "windows-overlap"})
"""Every id of this module."""

Times = tuple[float, float]
"""From when to when, in seconds since the epoch."""


def warnings_of(window: Window, whole: Whole) -> Iterator[tuple[str, Path, str, str]]:
    """Yield what is worth a word about a window: id, place, message, hint."""
    path: Path = ("window", window.name)
    if _is_over(window, whole.now):
        ago = format_duration((whole.now or 0.0) - window.end)
        message = f'window "{window.name}" has been over for {ago}'
        yield "window-over", (*path, "until"), message, "delete it, or write the dates of the next one"
        return
    if whole.complete:
        yield from (("window-without-rules", *found) for found in _without_rules(window, whole, path))
    yield from (("windows-overlap", *found) for found in _overlaps(window, whole, path))


def _is_over(window: Window, now: float | None) -> bool:
    """Return whether a window has long been over."""
    return window.when is None and now is not None and window.end + LONG_OVER <= now


def _without_rules(window: Window, whole: Whole, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield each pattern that matches no rule, or that nothing is left."""
    selector = window.selector
    empty = False
    for key, patterns in (("rules", selector.rules), ("except", selector.except_)):
        for index, pattern in enumerate(patterns):
            if pattern != "*" and not any(fnmatchcase(name, pattern) for name in whole.names):
                empty = True
                meant = did_you_mean(pattern, whole.names)
                hint = f'did you mean "{meant}"?' if meant else "`*` stands for any letters; case counts"
                yield (*path, key, index), f'no rule of window "{window.name}" is meant by "{pattern[:100]}"', hint
    if not empty and whole.names and not _selected(selector.rules, selector.except_, whole.names):
        message = f'window "{window.name}" selects no rule: `except` takes out all that `rules` names'
        yield (*path, "except"), message, "name other rules"


def _overlaps(window: Window, whole: Whole, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield each earlier window that is in force at the same time for the same rules."""
    start = _SOME_DAY if whole.now is None else whole.now
    for other in whole.rules.windows.values():
        if other.name == window.name:
            return
        if _is_over(other, whole.now) or not _share(window.selector, other.selector, whole.names):
            continue
        said = _said(*_on_one_clock(window, other), start, whole.timezone)
        if said:
            message = f'window "{window.name}" overlaps with "{other.name}" ({other.file}:{other.line}): they join'
            yield path, message, f"what both of them name is muted {said}"


def _on_one_clock(one: Window, other: Window) -> tuple[Window, Window, str]:
    """Return two windows that recur in one place as if clocks never changed there, and the name of that place.

    What touches on one day of the year only, because clocks change on it, is no overlap that anybody wants to hear of.
    """
    if one.when is None or other.when is None or one.when.timezone != other.when.timezone:
        return one, other, ""
    ours, theirs = (replace(when, timezone="UTC") for when in (one.when, other.when))
    return replace(one, when=ours), replace(other, when=theirs), one.when.timezone


def _said(one: Window, other: Window, place: str, start: float, timezone: str) -> str:
    """Return from when to when two windows overlap, the first time, for people; empty: they do not."""
    both = _both(one, other, start)
    if both is None:
        return ""
    if place:
        first, last = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} {place}" for at in both)
    else:
        first, last = (f"{datetime.fromtimestamp(at, zone(timezone)):%Y-%m-%d %H:%M %Z}" for at in both)
    again = ", and so again" if one.when is not None and other.when is not None else ""
    return f"from {first} to {last}{again}"


def _share(one: Selector, other: Selector, names: frozenset[str]) -> bool:
    """Return whether two selectors select the same series of some rule, as far as can be told."""
    for label in one.series.keys() & other.series.keys():
        ours, theirs = one.series[label], other.series[label]
        if not _WILD.intersection(ours) and not fnmatchcase(ours, theirs):
            return False
        if not _WILD.intersection(theirs) and not fnmatchcase(theirs, ours):
            return False
    return not _selected(one.rules, one.except_, names).isdisjoint(_selected(other.rules, other.except_, names))


@lru_cache(maxsize=1024)
def _selected(rules: tuple[str, ...], excepted: tuple[str, ...], names: frozenset[str]) -> frozenset[str]:
    """Return the rules that a selector names, worked out once: each window is held beside all others."""
    selector = Selector(rules, excepted)
    return frozenset(name for name in names if selector.names(name))


def _both(one: Window, other: Window, now: float) -> Times | None:
    """Return from when to when two windows that overlap are in force, the first time; `None`: they do not overlap."""
    ours, theirs = _times(one, other, now), _times(other, one, now)
    at = 0
    for start, end in ours:
        while at < len(theirs) and theirs[at][1] <= start:
            at += 1
        if at < len(theirs) and theirs[at][0] < end:
            return min(start, theirs[at][0]), max(end, theirs[at][1])
    return None


def _times(window: Window, other: Window, now: float) -> tuple[Times, ...]:
    """Return when a window is in force: if it recurs, around the other one if that does not, else from now on."""
    if window.when is None:
        return ((window.start, window.end),)
    if other.when is not None:
        return _recurrences(window.when, now)
    due = last_due(window.when.cron, window.when.timezone, other.end - 1)
    return () if due is None else ((due, due + window.when.for_),)


@lru_cache(maxsize=256)
def _recurrences(when: Recurring, now: float) -> tuple[Times, ...]:
    """Return when a recurring window is in force, for a year or some hundred times."""
    found: list[Times] = []
    due = next_due(when.cron, when.timezone, now)
    while due is not None and due < now + _LOOKED_AHEAD and len(found) < _MOST_TIMES:
        found.append((due, due + when.for_))
        due = next_due(when.cron, when.timezone, due)
    return tuple(found)
