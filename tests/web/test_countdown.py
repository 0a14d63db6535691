from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.rules import Limit, Op, Recover, Severity, Tier
from evaluator.web.countdown import time_left

TIER = Tier(Severity.P1, Limit(Op.ABOVE, 90), 600.0, recover=Recover(Limit(Op.BELOW, 80), 300.0))
PENDING = Alert(
    rule="cpu",
    severity=Severity.P1,
    series=(),
    state=State.PENDING,
    since=1000.0,
    active_at=1000.0,
    clock=1000.0,
    seen=1120.0,
    judged=1120.0,
    verdict=Verdict.BREACH,
    known=1120.0,
)
RECOVERING = replace(PENDING, state=State.RECOVERING, verdict=Verdict.CLEAR)


def left(alert: Alert, now: float, *, every: float = 30.0, tier: Tier = TIER) -> float | None:
    return time_left(alert, tier, every=every, step=every, now=now)


def test_a_pending_alert_fires_when_the_breach_has_lasted() -> None:
    assert left(PENDING, 1120.0) == 480.0
    assert left(PENDING, 1121.5) == 478.5


def test_a_recovering_alert_is_over_when_recovery_has_lasted() -> None:
    assert left(RECOVERING, 1125.0) == 175.0


def test_an_alert_moves_at_an_evaluation_and_not_between_two() -> None:
    assert left(replace(PENDING, clock=1005.0), 1120.0, every=60.0) == 540.0


def test_float_noise_does_not_cost_an_evaluation() -> None:
    assert left(replace(PENDING, clock=1000.0 + 1e-7), 1120.0) == 480.0


def test_what_is_due_already_moves_at_the_next_evaluation() -> None:
    assert left(replace(PENDING, clock=100.0), 1125.0) == 25.0
    assert left(PENDING, 1205.0, every=100.0, tier=replace(TIER, for_=60.0)) == 15.0


def test_it_never_counts_below_nothing() -> None:
    assert left(replace(PENDING, clock=100.0), 1155.0) == 0.0


def test_samples_that_come_late_put_it_off_by_as_much() -> None:
    late = replace(PENDING, sample_at=1000.0, seen=1000.0)
    assert left(late, 1120.0) == 600.0


def test_samples_ahead_of_our_clock_do_not_hasten_it() -> None:
    assert left(replace(PENDING, sample_at=1300.0), 1120.0) == 480.0


@pytest.mark.parametrize("state", [State.QUIET, State.FIRING])
def test_an_alert_that_waits_for_nothing_has_no_time_left(state: State) -> None:
    assert left(replace(PENDING, state=state), 1120.0) is None


def test_no_time_is_told_while_blind() -> None:
    assert left(replace(PENDING, verdict=Verdict.UNKNOWN), 1120.0) is None
    assert left(PENDING, 1120.0 + 91.0) is None
