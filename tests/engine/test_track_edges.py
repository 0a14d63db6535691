"""One alert on its way through an answer: what it counts, what it passes on, and when a dated series is unknown."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.rules import Limit, NoDataPolicy, OnlyIf, Op, Query, Recover, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from tests.engine.plays import Play, above, rows
from tests.stories import HI, LO, WEB, rule, tier

P, F = State.PENDING, State.FIRING
OTHERS = rows(LO, host="web-2")
NIGHTLY = Missed("0 2 * * *", "UTC")
DUE = 7200.0
MILDER = (tier(Severity.P1, 97), tier(Severity.P2, 90, for_=600.0))


def blind(*at: float) -> Samples:
    return replace(rows(*[HI] * len(at), at=list(at)), blind=frozenset({WEB}))


def test_only_a_new_sample_ends_the_count_of_what_is_missing() -> None:
    story = Play(rule())
    story.look(60, rows(HI, at=[60.0]))
    story.look(120, rows(HI, at=[60.0]))
    assert story.alert().absent == 60
    story.book[Severity.P1, WEB] = replace(story.alert(), edited=True)
    story.look(180, rows(HI, at=[60.0]))
    assert (story.alert().absent, story.alert().edited) == (120, False)
    story.look(240, rows(HI, at=[240.0]))
    assert story.alert().absent == 0


@pytest.mark.parametrize(("now", "verdict"), [(239.0, Verdict.BREACH), (240.0, Verdict.UNKNOWN)])
def test_what_its_source_cannot_see_is_unknown_once_its_last_sample_is_old(now, verdict) -> None:
    story = Play(rule())
    story.look(60, rows(HI, at=[60.0]))
    story.look(now, blind())
    assert story.alert().verdict is verdict
    assert story.alert().judged == (now if verdict is Verdict.UNKNOWN else 60)


def test_what_its_source_cannot_see_ends_with_a_gate_that_has_not_held_for_an_hour() -> None:
    story = Play(rule(only_if=OnlyIf(Query("prometheus", "{}"), above(0.0))))
    story.look(60, rows(HI), gate=rows(1.0))
    for now in range(120, 3720, 60):
        story.look(now, blind(), gate=rows(0.0))
        assert story.state() is F
    story.look(3720, blind(), gate=rows(0.0))
    assert [(step.alert.state, step.alert.since) for step in story.transitions[-1:]] == [(State.QUIET, 3720)]


def test_what_is_missing_fires_at_once_under_a_milder_limit_while_a_worse_one_fires() -> None:
    story = Play(rule(*MILDER, no_data=NoDataPolicy.BREACH))
    story.look(60, rows(HI))
    assert (story.state(), story.state(severity=Severity.P2)) == (State.QUIET, P)
    for now in (120, 180, 240):
        story.look(now, OTHERS)
    assert (story.state(), story.state(severity=Severity.P2)) == (F, F)


def test_what_was_missed_fires_at_once_under_a_milder_tier_while_a_worse_one_fires() -> None:
    milder = Tier(Severity.P2, None, 600.0, missed=NIGHTLY)
    story = Play(rule(Tier(Severity.P1, None, missed=NIGHTLY), milder))
    story.look(60, rows(30.0))
    story.look(DUE, Samples())
    assert (story.state(), story.state(severity=Severity.P2)) == (F, F)
    alone = Play(rule(milder))
    alone.look(60, rows(30.0))
    alone.look(DUE, Samples())
    assert alone.state(severity=Severity.P2) is P


def test_what_is_told_again_is_held_by_nothing() -> None:
    story = Play(rule())
    story.look(60, rows(HI, at=[60.0]))
    (looked,) = story.look(120, rows(HI, at=[60.0])).looked
    assert (looked.fresh, looked.said, looked.hold) == (False, "", 0.0)


def test_a_last_success_is_judged_at_the_slot() -> None:
    story = Play(rule(Tier(Severity.P1, None, missed=NIGHTLY)))
    story.look(60, rows(30.0))
    story.look(DUE, Samples())
    assert (story.alert().judged, story.alert().value, story.alert().state) == (DUE, 30.0, F)


def test_a_last_success_must_be_back_at_a_recovery_limit_too() -> None:
    later = Recover(Limit(Op.ABOVE, DUE + 100))
    story = Play(rule(Tier(Severity.P1, None, recover=later, missed=NIGHTLY)))
    story.look(60, rows(30.0))
    story.look(DUE, Samples())
    story.look(DUE + 60, rows(DUE + 50))
    assert (story.alert().verdict, story.state()) == (Verdict.BETWEEN, F)
    story.look(DUE + 120, Samples())
    assert (story.alert().verdict, story.state()) == (Verdict.BETWEEN, F)


def test_the_newest_sample_of_a_window_may_change_too() -> None:
    story = Play(rule(tier(datapoints="2 of 3")))
    story.look(60, rows(HI, HI, at=[40.0, 50.0]))
    story.look(120, rows(LO, at=[50.0]))
    assert story.alert().window == ((40.0, HI), (50.0, LO))
