"""How long it has lasted, and whether that is said, at the very edges of `for` and of `recover.for`."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, Finding, Looked, State, Verdict, quiet_alert
from evaluator.engine.reasons import reason_of, sentence
from evaluator.engine.rules import Recover, Severity, Tier
from evaluator.engine.shapes import Trend, Way
from tests.stories import HI, LO, WEB, rule, tier

P, F, R, Q = State.PENDING, State.FIRING, State.RECOVERING, State.QUIET
WORSE = ", while a worse limit of the same series is passed"


@pytest.mark.parametrize(
    ("for_", "lasted", "worse", "said"),
    [
        (60.0, 10.0, True, WORSE),
        (60.0, 59.9, True, WORSE),
        (60.0, 60.0, True, ", and has been for 1m"),
        (60.0, 10.0, False, ", and has been for 10s"),
        (60.0, 60.0, False, ", and has been for 1m"),
        (1.0, 1.0, False, ", and has been for 1s"),
        (0.0, 0.0, True, ""),
        (0.0, 0.0, False, ""),
    ],
)
def test_what_fires_says_how_long_it_has_lasted_or_what_else_fires(for_, lasted, worse, said) -> None:
    alert = replace(quiet_alert(AlertKey("cpu", Severity.P1, WEB), 1000.0), state=F)
    finding = Finding(Verdict.BREACH, 1000.0 + lasted, 1000.0 + lasted, HI, worse)
    assert reason_of(rule(), tier(for_=for_), P, alert, finding) == f"95 % is above 90 %{said}"


@pytest.mark.parametrize(
    ("before", "recovery", "hold", "said"),
    [
        (R, 0.0, 0.0, ""),
        (R, 1.0, 0.0, ", and has been for 1s"),
        (R, 0.5, 0.0, ", and has been for 500ms"),
        (R, 60.0, 120.0, ", and has been for 2m"),
        (P, 60.0, 0.0, ""),
    ],
)
def test_what_is_over_says_for_how_long_it_was_clear(before, recovery, hold, said) -> None:
    alert = quiet_alert(AlertKey("cpu", Severity.P1, WEB), 1000.0)
    finding = Finding(Verdict.CLEAR, 1100.0, 1100.0, LO, hold=hold)
    found = reason_of(rule(), tier(recover=Recover(for_=recovery)), before, alert, finding)
    assert found == f"10 % is not above 90 %{said}"


@pytest.mark.parametrize(
    ("at", "when"),
    [
        (1059.0, "at 00:17:40 UTC if that lasts (1s to go)"),
        (1060.0, "at 00:17:40 UTC if that lasts"),
        (1061.0, "at 00:17:40 UTC if that lasts"),
    ],
)
def test_what_is_pending_says_when_it_fires_and_how_long_that_is(at, when) -> None:
    looked = Looked(WEB, Severity.P1, Verdict.BREACH, P, HI, at=at, active_at=1000.0, clock=1000.0)
    found = sentence(rule(), tier(for_=60.0), looked)
    assert found == f"95 % is above 90 % since 00:16:40 UTC, fires {when}"


def test_what_rises_says_by_how_much_it_may_in_the_unit_of_its_rule() -> None:
    rising = Tier(Severity.P1, None, trend=Trend(Way.RISING, 10.0, share=False, over=900.0))
    looked = Looked(WEB, Severity.P1, Verdict.BREACH, F, HI, "rose by 20 %", at=1060.0, active_at=1000.0)
    found = sentence(rule(), rising, looked)
    assert found == "rose by 20 %: rising by 10 % within 15m; firing since 00:16:40 UTC"
