"""What keeps the daemon quiet on purpose, for people: silences, maintenance windows, rules that still learn.

This module decides what is shown of them, and in which order. It never decides what they hold back.
"""

from collections.abc import Iterable
from typing import Any

from evaluator.engine.calendar import next_due
from evaluator.engine.maintenance import Window, holds_until
from evaluator.web.silences import coverage_json, selector_text, silence_json
from evaluator.web.view import Snapshot, WindowStatus
from evaluator.web.wording import rfc3339, shorten

Json = dict[str, Any]

SHOWN = 20
TEXT_SHOWN = 300


def silences_json(snapshot: Snapshot) -> list[Json]:
    """Return the silences in force, the one that ends first on top."""
    names = [status.rule.name for status in snapshot.rules]
    holding = [silence for silence in snapshot.silences if silence.holds(snapshot.now)]
    holding.sort(key=lambda silence: (silence.ends_at, silence.id))
    return [
        {
            **silence_json(silence, snapshot.now),
            **coverage_json(silence, snapshot.alerts, names),
            "reason": shorten(silence.reason, TEXT_SHOWN),
            "seconds_left": round(silence.ends_at - snapshot.now, 3),
        }
        for silence in holding[:SHOWN]
    ]


def windows_json(snapshot: Snapshot) -> list[Json]:
    """Return the maintenance windows in force, and those to come."""
    return [
        {
            "name": status.window.name,
            "selects": selector_text(status.window.selector),
            "reason": shorten(status.window.reason, TEXT_SHOWN),
            "until": None if status.until is None else rfc3339(status.until),
            "begins": None if status.begins is None else rfc3339(status.begins),
            "window_at": f"{status.window.file}:{status.window.line}" if status.window.file else "",
        }
        for status in snapshot.windows[:SHOWN]
    ]


def learning_json(snapshot: Snapshot) -> list[Json]:
    """Return the rules that still learn what is usual."""
    return [
        {"rule": status.rule.name, "text": shorten(status.learned, TEXT_SHOWN)}
        for status in snapshot.rules
        if status.learned
    ][:SHOWN]


def windows_at(windows: Iterable[Window], now: float) -> tuple[WindowStatus, ...]:
    """Return the windows that are in force or will be: first those in force, by their end, then the next to begin."""
    holding, coming = [], []
    for window in windows:
        until = holds_until(window, now)
        if until is not None:
            holding.append(WindowStatus(window, until=until))
        elif (begins := _begins(window, now)) is not None:
            coming.append(WindowStatus(window, begins=begins))
    holding.sort(key=lambda status: (status.until or 0.0, status.window.name))
    coming.sort(key=lambda status: (status.begins or 0.0, status.window.name))
    return (*holding, *coming)


def _begins(window: Window, now: float) -> float | None:
    if window.when is None:
        return window.start if window.start > now else None
    return next_due(window.when.cron, window.when.timezone, now)
