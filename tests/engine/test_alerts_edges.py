"""Where an alert's states begin and end to the second, and what is written of it at each."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, AlertKey, Finding, State, Verdict, advance, ended, quiet_alert
from evaluator.engine.rules import Recover, Severity
from tests.stories import WEB, tier

KEY = AlertKey("cpu", Severity.P1, WEB)
SLOW = tier(for_=120.0, recover=Recover(for_=120.0))
BREACH, CLEAR = Verdict.BREACH, Verdict.CLEAR


def told(*verdicts: tuple[float, Verdict]) -> Alert:
    """Return an alert of which nothing was known before 0, after these verdicts."""
    alert = quiet_alert(KEY, 0.0)
    for at, verdict in verdicts:
        alert = advance(alert, SLOW, Finding(verdict, at, at, 1.0), 60.0)
    return alert


def test_an_alert_begins_quiet_and_clear_with_all_its_times_at_the_beginning() -> None:
    assert quiet_alert(KEY, 5.0) == Alert(
        rule="cpu",
        severity=Severity.P1,
        series=WEB,
        state=State.QUIET,
        since=5.0,
        active_at=5.0,
        clock=5.0,
        seen=5.0,
        judged=5.0,
        verdict=CLEAR,
        known=5.0,
    )
    assert quiet_alert(KEY, 5.0).key == KEY


def test_an_ended_alert_forgets_its_samples_and_its_edit_and_nothing_else() -> None:
    firing = told((0, BREACH), (60, BREACH), (120, BREACH))
    edited = replace(firing, window=((60.0, 1.0), (120.0, 1.0)), edited=True)
    assert ended(edited, 180.0, "gone") == replace(firing, state=State.QUIET, since=180.0, reason="gone")


def test_an_episode_begins_with_its_first_breach_and_not_with_the_alert() -> None:
    pending = told((0, CLEAR), (60, CLEAR), (120, BREACH))
    assert (pending.state, pending.since, pending.active_at, pending.clock) == (State.PENDING, 120, 120, 120)
    firing = told((0, CLEAR), (60, BREACH), (120, BREACH), (180, BREACH))
    assert (firing.state, firing.since, firing.active_at) == (State.FIRING, 180, 60)


@pytest.mark.parametrize("at", [60.0, 60.4, 61.0])
def test_a_second_look_at_almost_the_same_time_is_no_blindness(at: float) -> None:
    assert told((0, BREACH), (60, BREACH), (at, BREACH)).clock == 0.0


@pytest.mark.parametrize(("at", "state"), [(119.9, State.PENDING), (120.0, State.FIRING)])
def test_a_breach_fires_once_it_has_lasted_for_as_long_as_it_must(at: float, state: State) -> None:
    assert told((0, BREACH), (60, BREACH), (at, BREACH)).state is state


@pytest.mark.parametrize(("at", "state"), [(299.9, State.RECOVERING), (300.0, State.QUIET)])
def test_what_is_clear_is_over_once_it_has_lasted_for_as_long_as_it_must(at: float, state: State) -> None:
    assert told((0, BREACH), (60, BREACH), (120, BREACH), (180, CLEAR), (240, CLEAR), (at, CLEAR)).state is state


def test_only_what_fires_or_recovers_is_active_and_only_that_can_be_stale() -> None:
    alert = quiet_alert(KEY, 0.0)
    active = {state for state in State if replace(alert, state=state).active}
    assert active == {State.FIRING, State.RECOVERING}
    stale = {state for state in State if replace(alert, state=state, verdict=Verdict.UNKNOWN).stale}
    assert stale == active
    assert not replace(alert, state=State.FIRING).stale


def test_a_breach_notes_its_value_and_when_it_was_known() -> None:
    alert = advance(quiet_alert(KEY, 0.0), SLOW, Finding(BREACH, 55.0, 60.0, 7.0), 60.0)
    assert (alert.value, alert.known, alert.judged, alert.verdict) == (7.0, 55.0, 60.0, BREACH)


@pytest.mark.parametrize(("value", "noted"), [(8.0, 8.0), (None, 7.0)])
def test_what_is_not_known_to_be_wrong_notes_its_value_where_it_has_one(value: float | None, noted: float) -> None:
    before = advance(quiet_alert(KEY, 0.0), SLOW, Finding(BREACH, 60.0, 60.0, 7.0), 60.0)
    alert = advance(before, SLOW, Finding(Verdict.UNKNOWN, 115.0, 120.0, value), 60.0)
    assert (alert.value, alert.known, alert.judged, alert.verdict) == (noted, 60.0, 120.0, Verdict.UNKNOWN)
