"""What holds of every history of one rule, whatever its conditions: nothing happens because nothing was seen.

The oracle is part 4: what opens needs a breach, what ends needs clear (or an end that its source or an edit gives it),
and neither a failed poll nor a gate that is not known changes a state.
"""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.evaluate import Book, Cause
from evaluator.engine.rules import Limit, NoDataPolicy, OnlyIf, Op, Query, Recover, Rule, Severity, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, series_of
from evaluator.engine.shapes import Comparison, Direction, Missed, Trend, Unusual, Way
from tests.engine.plays import Play, above
from tests.stories import FAILED, NAN, WEB, m_of_n, rule, tier

TRAFFIC = OnlyIf(Query("prometheus", '{"promql":"traffic"}'), above(50))
RISING = Trend(Way.RISING, 10.0, share=False, over=300.0)
USUAL = Unusual(2.0, 3600.0, Comparison.LAST_DAYS, Direction.BOTH, 600.0)
OFTEN = Missed("*/5 * * * *", "UTC", 60.0)

TIERS: dict[str, tuple[Tier, ...]] = {
    "limit": (tier(for_=120.0, recover=Recover(Limit(Op.BELOW, 80), 60.0)),),
    "tiers": (tier(Severity.P0, 90), tier(Severity.P1, 50, for_=300.0)),
    "datapoints": (tier(datapoints="2 of 4", recover=Recover(datapoints=m_of_n("1 of 3"))),),
    "trend": (Tier(Severity.P1, above(20), 60.0, trend=RISING),),
    "trend by datapoints": (Tier(Severity.P1, None, 0.0, m_of_n("2 of 3"), trend=RISING),),
    "unusual": (Tier(Severity.P1, None, unusual=USUAL, recover=Recover(for_=60.0)),),
    "missed": (Tier(Severity.P1, None, missed=OFTEN), Tier(Severity.P2, None, 600.0, missed=OFTEN)),
    "absent": (Tier(Severity.P1, None, 60.0, absent=True), tier(Severity.P2)),
}

hosts = st.sampled_from(["web-1", "web-2", "web-3"])
values = st.sampled_from([10.0, 55.0, 85.0, 95.0, NAN]) | st.floats(0, 4000, width=16)


@st.composite
def answers(draw: st.DrawFn) -> PollResult:
    """Return an answer, or none."""
    if draw(st.integers(0, 5)) == 0:
        return FAILED
    found = draw(st.dictionaries(hosts, values, max_size=3))
    gone = draw(st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({WEB})]))
    blind = draw(st.sampled_from([frozenset(), frozenset(), frozenset({WEB})]))
    return Samples([{"host": host} for host in found], list(found.values()), gone=gone, blind=blind)


History = list[tuple[float, PollResult, PollResult | None]]
"""Seconds since the last look, the answer, and the answer to the query of the gate."""

gates = st.sampled_from(
    [
        Samples([{"job": "all"}], [100.0]),
        Samples([{"job": "all"}], [3.0]),
        Samples([{"host": "web-1"}, {"host": "web-2"}], [100.0, NAN]),
        Samples(),
        FAILED,
        None,
    ]
)
steps = st.sampled_from([60.0, 60.0, 60.0, 60.0, 120.0, 180.0, 240.0, 3700.0, -120.0])
histories = st.lists(st.tuples(steps, answers(), gates), min_size=1, max_size=40)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Return a rule of any kind."""
    kind = draw(st.sampled_from(sorted(TIERS)))
    policy = NoDataPolicy.HOLD if kind in ("missed", "absent") else draw(st.sampled_from(list(NoDataPolicy)))
    gate = draw(st.sampled_from([None, TRAFFIC]))
    return rule(*TIERS[kind], no_data=policy, resolve_after=300.0, only_if=gate)


def happens(asked: Rule, history: History, check: Callable[[Play, Book, PollResult, PollResult | None], None]) -> Play:
    """Play a history, and check each step with the rows as they were before it."""
    play, now = Play(asked, since=10_000.0), 10_000.0
    for step, answer, gate in history:
        now += step
        before = dict(play.book)
        play.transitions.clear()
        play.look(now, answer, gate)
        check(play, before, answer, gate)
    return play


@settings(deadline=None)
@given(rules(), histories)
def test_nothing_opens_or_ends_on_what_is_not_known(asked: Rule, history: History) -> None:
    def check(play: Play, before: Book, answer: PollResult, gate: PollResult | None) -> None:
        for step in play.transitions:
            if step.cause is Cause.JUDGED:
                assert step.alert.verdict is not Verdict.UNKNOWN
            if step.alert.state in (State.PENDING, State.FIRING) and step.before is State.QUIET:
                assert (step.cause, step.alert.verdict) == (Cause.JUDGED, Verdict.BREACH)
            if step.before in (State.FIRING, State.RECOVERING) and step.alert.state is State.QUIET:
                assert step.cause is not Cause.JUDGED or step.alert.verdict is Verdict.CLEAR
        if isinstance(answer, PollFailed):
            assert play.transitions == []
            assert {key: row.state for key, row in before.items()} == {key: row.state for key, row in play.book.items()}
        if asked.only_if is not None and not isinstance(gate, Samples):
            assert all(step.cause is not Cause.JUDGED for step in play.transitions)

    happens(asked, history, check)


@settings(deadline=None)
@given(rules(), histories)
def test_each_sentence_can_be_said_and_each_row_is_worth_one(asked: Rule, history: History) -> None:
    now, play = 10_000.0, Play(asked, since=10_000.0)
    for step, answer, gate in history:
        now += step
        evaluation = play.look(now, answer, gate)
        assert all(play.said(evaluation))
        looked = {(each.severity, each.series): each.state for each in evaluation.looked}
        active = {key: alert.state for key, alert in play.book.items() if alert.state is not State.QUIET}
        assert active.items() <= looked.items()
        assert all(alert.reason for key, alert in play.book.items() if key in active)


@settings(deadline=None)
@given(rules(), histories, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(asked: Rule, history: History, random: Random) -> None:
    one, other, now = Play(asked, since=10_000.0), Play(asked, since=10_000.0), 10_000.0
    for step, answer, gate in history:
        now += step
        one.look(now, answer, gate)
        # As a store gives them back, and as a source may tell them another time.
        other.book = dict(reversed(other.book.items()))
        other.trails = {key: dict(trail) for key, trail in reversed(other.trails.items())}
        other.look(now, shuffled(answer, random), gate)
        assert (one.book, one.remembered) == (other.book, other.remembered)
        assert repr(sorted(one.trails.items())) == repr(sorted(other.trails.items()))


def shuffled(answer: PollResult, random: Random) -> PollResult:
    """Return an answer with its rows in another order."""
    if isinstance(answer, PollFailed):
        return answer
    order = random.sample(range(len(answer)), len(answer))
    labels, values_ = [answer.labels[row] for row in order], [answer.values[row] for row in order]
    return Samples(labels, values_, gone=answer.gone, blind=answer.blind)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([60.0, 60.0, 180.0, 240.0, 1200.0]), gates), min_size=1, max_size=60))
def test_what_fires_ends_after_an_unbroken_hour_in_which_the_gate_did_not_hold(
    history: list[tuple[float, PollResult | None]],
) -> None:
    play, now = Play(rule(only_if=TRAFFIC)), 0.0
    play.look(now, Samples([{"host": "web-1"}], [95.0]), Samples([{}], [100.0]))
    unmet: list[float] = []
    for step, gate in history:
        now += step
        play.look(now, Samples([{"host": "web-1"}], [95.0]), gate)
        holds = isinstance(gate, Samples) and any(
            value > 50 and labels.get("host", "web-1") == "web-1"
            for labels, value in zip(gate.labels, gate.values, strict=True)
        )
        if holds:
            unmet = []
        elif isinstance(gate, Samples):
            unmet = [*unmet, now] if unmet and now - unmet[-1] <= 180.0 else [now]
            if now - unmet[0] >= 3600.0:
                assert play.state() is State.QUIET
                return
        assert play.state() is State.FIRING


@pytest.mark.parametrize("kind", sorted(TIERS))
def test_each_kind_of_rule_fires_and_ends_in_some_history(kind: str) -> None:
    play = Play(rule(*TIERS[kind]), since=0.0)
    seen: list[State] = []
    for number in range(60):
        now = 60.0 * number
        bad = 30 <= number < 40
        if kind == "missed":
            answer = Samples([{"host": "web-1"}], [1740.0 if bad else now])
        elif kind == "absent":
            answer = Samples() if bad else Samples([{"host": "web-1"}], [10.0])
        else:
            answer = Samples([{"host": "web-1"}], [30.0 * (number - 28) if bad else 10.0 + number % 3])
        play.look(now, answer)
        seen = [step.alert.state for step in play.transitions if step.alert.severity is TIERS[kind][0].severity]
    assert State.FIRING in seen
    assert seen[-1] is State.QUIET
    assert series_of({"host": "web-1"}) == WEB
