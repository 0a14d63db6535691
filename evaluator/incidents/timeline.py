"""What happened to an incident in one evaluation, as lines of its timeline.

This module words. What joins, leaves and recovers was decided before; for many series there is one line for each kind
of thing, in which lists are shortened.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from evaluator.engine.alerts import State
from evaluator.engine.calendar import time_text
from evaluator.engine.damping import Flapping
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Rule, Severity
from evaluator.engine.samples import Series
from evaluator.engine.wording import held_text
from evaluator.incidents.flapping import flapping_text
from evaluator.incidents.incident import Event, EventKind, Incident
from evaluator.incidents.messages import listed_series, listed_texts, reason_text

_LEFT = {
    Cause.JUDGED: "recovered",
    Cause.GONE: "its source says that it has ended",
    Cause.SEEN: "seen for the first time",
    Cause.EDITED: "no longer asked for since the rule was edited",
    Cause.FORGOTTEN: "missing for so long that it is forgotten",
}


def opened(incident: Incident, reason: str, held: Collection[str], now: float) -> Event:
    """Return how an incident begins; `held` is what kept it from opening until now."""
    text = f"opened as {incident.severity}: {reason}"
    if now - incident.active_at >= 1:
        text += f"; breaching since {time_text(incident.active_at)}, for {held_text(now - incident.active_at)}"
    if held:
        text += f"; held back until now: {'; '.join(listed_texts(sorted(held), len(held)))}"
    return Event(incident.id, now, EventKind.OPENED, text)


def joined(incident: Incident, series: Sequence[Series], now: float) -> list[Event]:
    """Return the line of what joined, if anything did."""
    if not series:
        return []
    return [Event(incident.id, now, EventKind.JOINED, f"joined: {'; '.join(listed_series(series, incident.rule))}")]


def left(incident: Incident, series: Sequence[Series], steps: Iterable[Transition], now: float) -> list[Event]:
    """Return the lines of what left, one for each cause."""
    causes = {step.alert.series: step.cause for step in steps if step.alert.state is State.QUIET}
    events = []
    for cause, word in _LEFT.items():
        found = [each for each in series if causes.get(each, Cause.JUDGED) is cause]
        if found:
            text = f"{word}: {'; '.join(listed_series(found, incident.rule))}"
            events.append(Event(incident.id, now, EventKind.LEFT, text))
    return events


def lowered(incident: Incident, severity: Severity | None, now: float) -> list[Event]:
    """Return the line that says that a worse severity is over, where that is so."""
    if severity is None:
        return []
    text = f"only {severity} is left: {incident.why}; the incident stays {incident.severity}"
    return [Event(incident.id, now, EventKind.LOWERED, text)]


def moved(incident: Incident, rule: Rule, steps: Sequence[Transition], now: float) -> list[Event]:
    """Return the lines of what relapsed and what recovers since this evaluation."""
    relapsed = [step for step in steps if (step.before, step.alert.state) == (State.RECOVERING, State.FIRING)]
    recovering = [step for step in steps if (step.before, step.alert.state) == (State.FIRING, State.RECOVERING)]
    lines: Mapping[EventKind, list[Transition]] = {EventKind.RELAPSED: relapsed, EventKind.RECOVERING: recovering}
    return [
        Event(incident.id, now, kind, f"{kind.value}: {'; '.join(_texts(rule, found))}")
        for kind, found in lines.items()
        if found
    ]


def flapping(incident: Incident, damping: Flapping | None, *, before: bool, now: float) -> list[Event]:
    """Return the line that says that a group opens too often, or no longer does."""
    if before == incident.flapping:
        return []
    text = "it no longer opens so often: from now on it ends as its rule says"
    if incident.flapping and damping is not None:
        text = flapping_text(damping)
    return [Event(incident.id, now, EventKind.FLAPPING, text)]


def muted(before: Incident, incident: Incident, now: float) -> list[Event]:
    """Return the line that says that an incident is muted, or no longer is."""
    if before.muted == incident.muted:
        return []
    if incident.muted:
        text = f"{incident.muted}; it stays open, and is not raised while that lasts"
        return [Event(incident.id, now, EventKind.MUTED, text)]
    return [Event(incident.id, now, EventKind.UNMUTED, f"no longer: {before.muted}")]


def _texts(rule: Rule, steps: Sequence[Transition]) -> list[str]:
    several = len(rule.tiers) > 1
    ordered = sorted(steps, key=lambda step: (step.alert.severity, step.alert.series))
    texts = [
        f"{step.alert.severity} {reason_text(step.alert)}" if several else reason_text(step.alert) for step in ordered
    ]
    return listed_texts(texts, len(texts))
