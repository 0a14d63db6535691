"""What holds an alert back from opening, joining or raising: silences, windows, hours, inhibition, a human's resolve.

This module gives the reasons, one clause each. It closes nothing, and never knows what would have been opened.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from evaluator.engine.alerts import Alert
from evaluator.engine.calendar import time_text
from evaluator.engine.maintenance import Selector, holds_until
from evaluator.engine.rules import Mode, Rule, RuleSet
from evaluator.engine.samples import Series
from evaluator.engine.units import format_duration
from evaluator.engine.wording import held_text
from evaluator.incidents.grouping import group_of
from evaluator.incidents.inhibition import AFTERWARDS, Inhibitor
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import World

HUMAN_RESPITE = 1_800.0
"""Seconds for which a human's resolve is respected although the breach goes on."""


class MuteKind(StrEnum):
    """What kind of thing holds an alert back."""

    SHADOW = "shadow"
    SILENCE = "silence"
    WINDOW = "window"
    INACTIVE = "inactive"
    INHIBITED = "inhibited"
    WAITING = "waiting"
    """For an inhibitor's next look."""
    RESPITE = "respite"
    """A human resolved its incident a moment ago."""


@dataclass(frozen=True, slots=True)
class Mute:
    """One thing that holds an alert back."""

    kind: MuteKind
    name: str
    """Which one: the silence's id, the name of the window or of the rule that inhibits, who resolved the incident."""
    until: float | None
    """When it ends at the latest, seconds since the epoch; `None`: nobody knows."""
    text: str
    """One clause for people: `silenced by ann until 2026-11-24 03:00 UTC: disk swap`."""


Mutes = tuple[Mute, ...]


class Muting:
    """What mutes the alerts of one rule at one time: found once, and then asked of each alert."""

    def __init__(self, world: World, rules: RuleSet, rule: Rule, now: float) -> None:
        """Find what may mute anything of the rule."""
        self._world = world
        self._rule = rule
        self._now = now
        found = [*_shadow(rule), *_silences(world, rule, now), *_windows(rules, rule, now), *_hours(rule, now)]
        self._all = tuple(mute for selector, mute in found if selector is None)
        self._some = [(selector, mute) for selector, mute in found if selector is not None]
        self._inhibitors = [Inhibitor.of(world, name, rules.get(name), now) for name in rule.inhibited_by]

    def of(self, about: Alert | Series) -> Mutes:
        """Return what mutes an alert, or whatever alert of a series (which then waits for no inhibitor)."""
        if not self._some and not self._inhibitors:
            return self._all
        series = about.series if isinstance(about, Alert) else about
        labels = dict(series)
        some = (mute for selector, mute in self._some if selector.picks(labels))
        held = (self._inhibited(inhibitor, about, series) for inhibitor in self._inhibitors)
        return (*self._all, *some, *(mute for mute in held if mute is not None))

    def respite(self, group: Series) -> Mutes:
        """Return that a human resolved the incident of a group a moment ago, or nothing."""
        hand = self._world.index.by_hand(self._rule.name, group)
        if hand is None or not 0 <= self._now - hand.at < HUMAN_RESPITE:
            return ()
        who, ago = hand.by or "hand", held_text(self._now - hand.at)
        text = f"resolved by {who} {ago} ago, opens again after {format_duration(HUMAN_RESPITE)}"
        return (Mute(MuteKind.RESPITE, hand.by, hand.at + HUMAN_RESPITE, text),)

    def _inhibited(self, inhibitor: Inhibitor, about: Alert | Series, series: Series) -> Mute | None:
        name = inhibitor.name
        incident = inhibitor.alive.find(series)
        if incident is not None:
            return Mute(MuteKind.INHIBITED, name, None, f"inhibited by {name} (incident {incident})")
        incident = inhibitor.over.find(series)
        if incident is not None:
            until = (self._world.incidents[incident].closed_at or 0.0) + AFTERWARDS
            text = f"inhibited by {name} (incident {incident}, which has ended) until {_until_text(until)}"
            return Mute(MuteKind.INHIBITED, name, until, text)
        waits = inhibitor.waits_until(about, self._now) if isinstance(about, Alert) else None
        if waits is None:
            return None
        return Mute(MuteKind.WAITING, name, waits, f"waits for the next look of {name}")


def mutes_of(world: World, rules: RuleSet, rule: Rule, about: Alert | Series, now: float) -> Mutes:
    """Return what keeps an alert from opening, joining or raising, or would keep any alert of a series.

    For many alerts of one rule `Muting` does the same with less work.
    """
    muting = Muting(world, rules, rule, now)
    series = about.series if isinstance(about, Alert) else about
    group = group_of(rule, series)
    has_one = any(incident.group == group for incident in world.open_incidents(rule.name))
    return (*muting.of(about), *(() if has_one else muting.respite(group)))


def texts_of(mutes: Iterable[Mute]) -> str:
    """Return several mutes in one clause."""
    return ", and ".join(mute.text for mute in mutes)


_Found = Iterator[tuple[Selector | None, Mute]]
"""A mute, and which series of the rule it is about; `None`: all of them."""


def _shadow(rule: Rule) -> _Found:
    if rule.mode is not Mode.PAGE:
        yield None, Mute(MuteKind.SHADOW, rule.name, None, f'mode = "{rule.mode.value}"')


def _silences(world: World, rule: Rule, now: float) -> _Found:
    for silence in world.silences.values():
        if silence.holds(now) and silence.selector.names(rule.name):
            mute = Mute(MuteKind.SILENCE, silence.id, silence.ends_at, _silence_text(silence))
            yield _narrow(silence.selector), mute


def _windows(rules: RuleSet, rule: Rule, now: float) -> _Found:
    for window in rules.windows.values():
        until = holds_until(window, now) if window.selector.names(rule.name) else None
        if until is not None:
            text = f"window {window.name} until {_until_text(until)}" + (f": {window.reason}" if window.reason else "")
            yield _narrow(window.selector), Mute(MuteKind.WINDOW, window.name, until, text)


def _hours(rule: Rule, now: float) -> _Found:
    if not rule.active or any(hours.holds(now) for hours in rule.active):
        return
    until = min(hours.next_begin(now) for hours in rule.active)
    text = f"not active ({', '.join(hours.text for hours in rule.active)})"
    if isfinite(until):
        yield None, Mute(MuteKind.INACTIVE, rule.name, until, f"{text} until {_until_text(until)}")
    else:
        yield None, Mute(MuteKind.INACTIVE, rule.name, None, text)


def _narrow(selector: Selector) -> Selector | None:
    return selector if selector.series else None


def _silence_text(silence: Silence) -> str:
    until = f"until {_until_text(silence.ends_at)}"
    if silence.ends_with_alert:
        until = f"until its alert is over, at most {until}"
    return f"silenced by {silence.by} {until}" + (f": {silence.reason}" if silence.reason else "")


def _until_text(at: float) -> str:
    return time_text(at, seconds=at % 60 != 0)
