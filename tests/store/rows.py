"""Rows for the tests: plain ones, and any that the types allow."""

import math
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series, series_of
from evaluator.engine.trail import CHUNK
from evaluator.incidents.changes import Changes, ChunkKey, Judged, Remembered, RuleFile, SeriesKey
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState, Message
from evaluator.incidents.incident import Caught, CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.incidents.silence import Silence

NOW = 1_800_000_000.0
DAY = 86_400.0
SERIES: Series = (("device", "sda"), ("host", "web-1"))
KEY = "R0123456789ABCDEF0123456789ABCDE"


def an_alert(rule: str = "cpu-high", series: Series = SERIES, **changes: object) -> Alert:
    values: dict[str, Any] = {
        "rule": rule, "severity": Severity.P1, "series": series, "state": State.FIRING, "since": NOW, "active_at": NOW,
        "clock": NOW, "seen": NOW, "judged": NOW, "verdict": Verdict.BREACH, "known": NOW, "value": 93.5,
    }  # fmt: skip
    return Alert(**{**values, **changes})


def an_incident(id: str = "01J00000000000000000000001", **changes: object) -> Incident:  # noqa: A002 - the field's name.
    values: dict[str, Any] = {
        "id": id, "rule": "cpu-high", "group": SERIES, "service": "infrastructure", "severity": Severity.P1,
        "state": IncidentState.OPEN, "opened_at": NOW, "active_at": NOW - 600, "updated_at": NOW,
        "title": "CPU is high", "why": "93.5 % is above 90 %", "members": (SERIES,),
    }  # fmt: skip
    return Incident(**{**values, **changes})


def ended(id: str = "01J00000000000000000000001", at: float = NOW, **changes: object) -> Incident:  # noqa: A002 - as above.
    closed = {"state": IncidentState.RESOLVED, "closed_at": at, "close_reason": CloseReason.RECOVERED}
    return an_incident(id, **{**closed, **changes})


def an_event(incident: str = "01J00000000000000000000001", text: str = "opened", at: float = NOW) -> Event:
    return Event(incident, at, EventKind.OPENED, text)


def a_silence(id: str = "01J0000000000000000000000S", **changes: object) -> Silence:  # noqa: A002 - the field's name.
    values: dict[str, Any] = {
        "id": id, "selector": Selector(("cpu-*",), ("cpu-low",), MappingProxyType({"host": "web-*"})), "by": "ann",
        "reason": "disk swap", "starts_at": NOW, "ends_at": NOW + 3600,
    }  # fmt: skip
    return Silence(**{**values, **changes})


def a_chunk(*values: float) -> tuple[float, ...]:
    """Return a chunk that begins with these values."""
    return (*values, *(math.nan,) * (CHUNK - len(values)))


def a_message(**changes: object) -> Message:
    values: dict[str, Any] = {
        "incident": "01J00000000000000000000001", "rule": "cpu-high", "service": "infrastructure",
        "severity": Severity.P1, "title": "CPU is high", "why": "93.5 % is above 90 %", "source": "host=web-1",
        "opened_at": NOW, "at": NOW,
    }  # fmt: skip
    return Message(**{**values, **changes})


def a_delivery(
    id: str = "01J0000000000000000000000A",  # noqa: A002 - the field's name.
    incident: str = "01J00000000000000000000001",
    **changes: object,
) -> Delivery:
    values: dict[str, Any] = {
        "id": id, "seq": 1, "incident": incident, "notifier": "pagerduty", "service": "infrastructure",
        "severity": Severity.P1, "action": Action.TRIGGER, "dedup_key": f"evaluator/x/{incident}/P1",
        "message": a_message(incident=incident), "created_at": NOW, "due_at": NOW, "routing_key": KEY,
    }  # fmt: skip
    return Delivery(**{**values, **changes})


def done(id: str, incident: str, action: Action, **changes: object) -> Delivery:  # noqa: A002 - the field's name.
    state = {"state": DeliveryState.DONE, "accepted": 1, "accepted_at": NOW, "told": True}
    return a_delivery(id, incident, action=action, **{**state, **changes})


def changes(
    *,
    alerts: tuple[Alert, ...] = (),
    incidents: tuple[Incident, ...] = (),
    events: tuple[Event, ...] = (),
    deliveries: tuple[Delivery, ...] = (),
    series: tuple[Remembered, ...] = (),
    judged: tuple[Judged, ...] = (),
    files: tuple[RuleFile, ...] = (),
    silences: tuple[Silence, ...] = (),
    transitions: tuple[Transition, ...] = (),
) -> Changes:
    return Changes(
        alerts={alert.key: alert for alert in alerts},
        incidents={incident.id: incident for incident in incidents},
        events=list(events),
        deliveries={delivery.id: delivery for delivery in deliveries},
        series={SeriesKey(kept.rule, kept.series): kept for kept in series},
        judged={kept.rule: kept for kept in judged},
        files={file.path: file for file in files},
        silences={silence.id: silence for silence in silences},
        transitions=list(transitions),
    )


# Any character at all: NUL, the mark of the escape, lone surrogates, and pairs of them that must not become one.
any_text = st.text(st.one_of(st.characters(), st.sampled_from("\x00\x1a\ud83d\ude00\udcff0f\\\"'")), max_size=12)
_numbers = st.floats(allow_nan=True, allow_infinity=True)
# Times are compared by the database, so they are finite.
_times = st.floats(min_value=0, max_value=4e9)
_series = st.dictionaries(any_text, any_text, max_size=3).map(series_of)
_severities = st.sampled_from(Severity)
_ids = st.integers(0, 7).map(lambda number: f"01J{number:023d}")
_maybe = {
    "value": st.none() | _numbers, "sample_at": st.none() | _times,
    "unmet_since": st.none() | _times, "unmet_seen": st.none() | _times,
}  # fmt: skip

_alerts = st.builds(
    Alert,
    rule=any_text, severity=_severities, series=_series, state=st.sampled_from(State), since=_times, active_at=_times,
    clock=_times, seen=_times, judged=_times, verdict=st.sampled_from(Verdict), known=_times, absent=_numbers,
    window=st.lists(st.tuples(_times, _numbers), max_size=3).map(tuple), edited=st.booleans(), reason=any_text,
    **_maybe,
)  # fmt: skip
_text_fields = {
    field.name: any_text
    for field in fields(Incident)
    if field.name
    in {"rule", "service", "title", "why", "limit", "runbook", "dashboard", "description", "rule_at", "muted"}
}


def _incidents(now: float) -> st.SearchStrategy[Incident]:
    closed = st.tuples(st.floats(now - DAY / 2, now), st.sampled_from(CloseReason))
    return st.builds(
        lambda state, closed, **rest: Incident(
            state=state,
            closed_at=closed[0] if state is IncidentState.RESOLVED else None,
            close_reason=closed[1] if state is IncidentState.RESOLVED else None,
            **rest,
        ),
        state=st.sampled_from(IncidentState), closed=closed, id=_ids, group=_series, severity=_severities,
        opened_at=_times, active_at=_times, updated_at=_times, value=st.none() | _numbers, unit=st.none() | any_text,
        members=st.lists(_series, max_size=2).map(tuple), known_at=_times, blind_told=st.booleans(),
        closed_by=any_text, told=st.booleans(), flapping=st.booleans(), unknown_told=st.booleans(),
        caught=st.lists(st.builds(Caught, any_text, _series, _severities, _times), max_size=2).map(tuple),
        **_text_fields,
    )  # fmt: skip


_messages = st.builds(
    Message,
    incident=any_text, rule=any_text, service=any_text, severity=_severities, title=any_text, why=any_text,
    source=any_text, opened_at=_numbers, at=_times, value=any_text,
    limit=any_text, series=st.lists(any_text, max_size=2).map(tuple), group=any_text, rule_at=any_text,
    description=any_text, runbook=any_text, dashboard=any_text, closed=any_text,
    labels=st.dictionaries(any_text, any_text, max_size=2).map(MappingProxyType),
)  # fmt: skip


def _deliveries(incidents: list[str]) -> st.SearchStrategy[Delivery]:
    return st.builds(
        Delivery,
        id=_ids, seq=st.integers(0, 2**62), incident=st.sampled_from(["", *incidents]), notifier=any_text,
        service=any_text, severity=_severities, action=st.sampled_from(Action), dedup_key=any_text,
        message=_messages, created_at=_times, due_at=_times, routing_key=any_text,
        state=st.sampled_from(DeliveryState), attempts=st.integers(0, 1000), accepted=st.integers(0, 1000),
        accepted_at=st.none() | _times, told=st.booleans(), claimed=st.booleans(), error=any_text,
    )  # fmt: skip


def _silences(now: float) -> st.SearchStrategy[Silence]:
    patterns = st.lists(any_text, max_size=2).map(tuple)
    return st.builds(
        Silence,
        id=_ids, by=any_text, reason=any_text, starts_at=_times, ends_at=st.floats(now - DAY / 2, now + DAY),
        selector=st.builds(
            Selector, patterns, patterns, st.dictionaries(any_text, any_text, max_size=2).map(MappingProxyType)
        ),
        ends_with_alert=st.booleans(), matched=st.booleans(), ended_at=st.none() | st.floats(now - DAY / 2, now),
        ended_because=any_text,
    )  # fmt: skip


_chunk_keys = st.builds(ChunkKey, any_text, st.floats(0.1, 1e6), _series, st.integers(0, 2**40))
_chunks = st.lists(_numbers, max_size=4).map(lambda values: a_chunk(*values))
_transitions = st.builds(Transition, st.sampled_from(State), _alerts, st.sampled_from(Cause))


@st.composite
def any_changes(draw: st.DrawFn, now: float = NOW) -> Changes:
    """Return changes of every kind, some of which delete what others wrote."""
    some = changes(
        alerts=tuple(draw(st.lists(_alerts, max_size=3))),
        incidents=tuple(draw(st.lists(_incidents(now), max_size=3))),
        series=tuple(draw(st.lists(st.builds(Remembered, any_text, _series, _numbers), max_size=2))),
        judged=tuple(draw(st.lists(st.builds(Judged, any_text, _times, any_text, any_text, _times), max_size=2))),
        silences=tuple(draw(st.lists(_silences(now), max_size=2))),
        transitions=tuple(draw(st.lists(_transitions, max_size=2))),
        files=tuple(draw(st.lists(st.builds(RuleFile, any_text, any_text, _times), max_size=2))),
    )
    some.chunks = draw(st.dictionaries(_chunk_keys, _chunks, max_size=2))
    known = list(some.incidents)
    some.deliveries = {row.id: row for row in draw(st.lists(_deliveries(known), max_size=3))}
    if known:
        event = st.builds(Event, st.sampled_from(known), _times, st.sampled_from(EventKind), any_text)
        some.events = draw(st.lists(event, max_size=4))
    return some
