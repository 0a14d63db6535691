"""The state table, cell by cell, and what `advance` adds to it."""

import pytest

from evaluator.engine.alerts import (
    OWN_VERDICT,
    PASSES,
    TABLE,
    Alert,
    AlertKey,
    Finding,
    State,
    Verdict,
    advance,
    ended,
    quiet_alert,
)
from evaluator.engine.rules import Recover, Severity
from tests.stories import WEB, tier

B, M, C, U = Verdict.BREACH, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN
Q, P, F, R = State.QUIET, State.PENDING, State.FIRING, State.RECOVERING

STEP = 60.0
SLOW = tier(for_=120.0, recover=Recover(for_=120.0))


def run(*verdicts: tuple[float, Verdict], tier=SLOW, worse=False) -> Alert:
    alert = quiet_alert(AlertKey("cpu", Severity.P1, WEB), 0.0)
    for at, verdict in verdicts:
        alert = advance(alert, tier, Finding(verdict, at, at, 1.0, worse), STEP)
    return alert


TO = {
    Q: [],
    P: [(0.0, B)],
    F: [(0.0, B), (60.0, B), (120.0, B)],
    R: [(0.0, B), (60.0, B), (120.0, B), (180.0, C)],
}


@pytest.mark.parametrize(
    ("state", "verdict", "after"),
    [
        (Q, B, P),
        (Q, M, Q),
        (Q, C, Q),
        (Q, U, Q),
        (P, B, P),
        (P, M, Q),
        (P, C, Q),
        (P, U, P),
        (F, B, F),
        (F, M, F),
        (F, C, R),
        (F, U, F),
        (R, B, F),
        (R, M, F),
        (R, C, R),
        (R, U, R),
    ],
)
def test_each_cell_of_the_table(state, verdict, after) -> None:
    history = TO[state]
    assert run(*history).state is state
    assert run(*history, (len(history) * 60.0, verdict)).state is after
    assert TABLE[state, verdict] is after


def test_the_tables_are_complete() -> None:
    assert set(TABLE) == {(state, verdict) for state in State for verdict in Verdict}
    assert PASSES == {P: F, R: Q}
    assert OWN_VERDICT == {P: B, F: B, R: C}


def test_without_for_the_first_breach_fires() -> None:
    assert run((0.0, B), tier=tier()).state is F


def test_without_recover_for_the_first_clear_ends_it() -> None:
    assert run((0.0, B), (60.0, C), tier=tier()).state is Q


def test_to_hold_for_one_period_takes_two_samples() -> None:
    one = tier(for_=60.0)
    assert run((0.0, B), tier=one).state is P
    assert run((0.0, B), (60.0, B), tier=one).state is F


def test_recovering_ends_once_clear_was_held() -> None:
    assert run(*TO[R], (240.0, C)).state is R
    assert run(*TO[R], (240.0, C), (300.0, C)).state is Q


def test_a_breach_while_recovering_is_the_same_episode() -> None:
    back = run(*TO[R], (240.0, B))
    assert (back.state, back.active_at, back.since) == (F, 0.0, 240.0)


@pytest.mark.parametrize(
    ("back_at", "after"),
    [(180.0, F), (181.0, P), (3600.0, P)],
)
def test_up_to_three_blind_steps_count_as_held_and_more_restart_the_clock(back_at, after) -> None:
    assert run((0.0, B), (60.0, U), (back_at, B), tier=tier(for_=180.0)).state is after


def test_blindness_restarts_pending_but_the_state_stays() -> None:
    alert = run((0.0, B), (600.0, B))
    assert (alert.state, alert.clock, alert.active_at) == (P, 600.0, 0.0)
    assert run((0.0, B), (600.0, B), (660.0, B), (720.0, B)).state is F


def test_blindness_restarts_recovering_too() -> None:
    assert run(*TO[R], (900.0, C)).state is R
    assert run(*TO[R], (900.0, C), (960.0, C), (1020.0, C)).state is Q


def test_a_clock_that_went_back_is_blindness_and_not_time_held() -> None:
    assert run((1000.0, B), (940.0, B)).clock == 940.0


def test_unknown_teaches_nothing_but_that_it_is_unknown() -> None:
    before, after = run(*TO[F]), run(*TO[F], (180.0, U))
    assert (after.known, after.value, after.seen) == (before.known, before.value, before.seen)
    assert after.stale
    assert not before.stale
    assert after.judged == 180.0


def test_a_breach_below_a_worse_tier_that_fires_fires_at_once() -> None:
    assert run((0.0, B), worse=True).state is F


def test_the_last_known_value_stays_when_a_missing_series_is_a_breach() -> None:
    alert = advance(run(*TO[F]), SLOW, Finding(B, 180.0, 180.0, None), STEP)
    assert alert.value == 1.0


def test_an_ended_alert_is_quiet_whatever_recover_says() -> None:
    alert = ended(run(*TO[F]), 180.0, "it is no more")
    assert (alert.state, alert.since, alert.reason, alert.active) == (Q, 180.0, "it is no more", False)
