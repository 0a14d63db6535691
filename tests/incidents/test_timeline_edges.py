"""Each line of the timeline as it is written: of which incident, when, of which kind, and in which words."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, State, quiet_alert
from evaluator.engine.damping import Flapping
from evaluator.engine.evaluate import Cause, Transition
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.incidents import timeline
from evaluator.incidents.incident import Event, EventKind, Incident
from tests.stories import HI, WEB, Story, labels, rule

OTHER = labels(host="web-2")
NERVOUS = Flapping(opens=3, within=3600.0, hold=900.0)


def incident(**fields: object) -> Incident:
    (found,) = Story.of(rule()).tell([(60, HI)]).open
    return replace(found, **fields)  # type: ignore[arg-type]


def line(kind: EventKind, text: str, at: float = 90) -> Event:
    return Event(incident().id, at, kind, text)


def step(before: State, after: State, cause: Cause = Cause.JUDGED, series: Series = WEB) -> Transition:
    alert = quiet_alert(AlertKey("cpu", Severity.P1, series), 90.0)
    return Transition(before, replace(alert, state=after, reason="why"), cause)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (0.0, ""),
        (0.9, ""),
        (1.0, "; breaching since 1970-01-01 00:01:00 UTC, for 1s"),
        (90.0, "; breaching since 1970-01-01 00:01:00 UTC, for 1m30s"),
    ],
)
def test_what_was_wrong_for_a_second_or_longer_says_since_when(later, said) -> None:
    found = timeline.opened(incident(), "too high", (), 60 + later)
    assert found == line(EventKind.OPENED, f"opened as P1: too high{said}", 60 + later)


def test_all_that_held_it_back_is_told_in_order() -> None:
    found = timeline.opened(incident(), "too high", {"window b", "silenced by ann"}, 60)
    assert found.text == "opened as P1: too high; held back until now: silenced by ann; window b"


def test_what_joins_is_named_by_its_series_or_by_its_rule() -> None:
    assert timeline.joined(incident(), [], 90) == []
    assert timeline.joined(incident(), [WEB, ()], 90) == [line(EventKind.JOINED, "joined: host=web-1; cpu")]


def test_what_leaves_has_a_line_for_each_cause_and_has_recovered_where_none_is_known() -> None:
    gone = step(State.FIRING, State.QUIET, Cause.GONE)
    goes_on = step(State.FIRING, State.RECOVERING, Cause.GONE, OTHER)
    assert timeline.left(incident(), [WEB, OTHER, ()], [gone, goes_on], 90) == [
        line(EventKind.LEFT, "recovered: host=web-2; cpu"),
        line(EventKind.LEFT, "its source says that it has ended: host=web-1"),
    ]
    assert timeline.left(incident(), [], [gone], 90) == []


def test_what_is_left_of_a_worse_severity_has_its_line() -> None:
    text = "only P2 is left: too high; the incident stays P1"
    assert timeline.lowered(incident(why="too high"), Severity.P2, 90) == [line(EventKind.LOWERED, text)]
    assert timeline.lowered(incident(), None, 90) == []


def test_what_relapses_and_what_recovers_have_a_line_each() -> None:
    steps = [
        step(State.FIRING, State.RECOVERING),
        step(State.RECOVERING, State.FIRING, series=OTHER),
        step(State.FIRING, State.RECOVERING, series=()),
        step(State.PENDING, State.FIRING, series=OTHER),
        step(State.RECOVERING, State.QUIET, series=OTHER),
    ]
    assert timeline.moved(incident(), rule(), steps, 90) == [
        line(EventKind.RELAPSED, "relapsed: host=web-2: why"),
        line(EventKind.RECOVERING, "recovering: why; host=web-1: why"),
    ]


@pytest.mark.parametrize(
    ("before", "now", "damping", "text"),
    [
        (False, True, NERVOUS, "opened 3 times within 1h: from now on it ends only when clear has lasted 15m"),
        (True, False, NERVOUS, "it no longer opens so often: from now on it ends as its rule says"),
        (True, False, None, "it no longer opens so often: from now on it ends as its rule says"),
    ],
)
def test_what_flaps_or_no_longer_does_has_its_line(before, now, damping, text) -> None:
    found = timeline.flapping(incident(flapping=now), damping, before=before, now=90)
    assert found == [line(EventKind.FLAPPING, text)]
    assert timeline.flapping(incident(flapping=now), damping, before=now, now=90) == []


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ("", "", []),
        ("silenced", "silenced", []),
        ("", "silenced", [(EventKind.MUTED, "silenced; it stays open, and is not raised while that lasts")]),
        ("window", "silenced", [(EventKind.MUTED, "silenced; it stays open, and is not raised while that lasts")]),
        ("silenced", "", [(EventKind.UNMUTED, "no longer: silenced")]),
    ],
)
def test_what_is_muted_or_no_longer_is_has_its_line(before, now, lines) -> None:
    found = timeline.muted(incident(muted=before), incident(muted=now), 90)
    assert found == [line(kind, text) for kind, text in lines]
