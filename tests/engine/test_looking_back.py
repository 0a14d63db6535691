"""Tiers whose verdicts need more than the value: all conditions together, with windows, late samples and restarts."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.conditions import holds_alone, verdict_from, verdict_of
from evaluator.engine.kept import Kept
from evaluator.engine.look import Look
from evaluator.engine.rules import Limit, NoDataPolicy, Op, Query, Recover, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Comparison, Direction, Missed, Trend, Unusual, Way
from evaluator.engine.sight import Sight, limit_look
from evaluator.engine.window import windowed_verdict
from tests.engine.plays import Play, above, rows
from tests.stories import FAILED, NAN, WEB, m_of_n, rule, tier

Q, P, F, R = State.QUIET, State.PENDING, State.FIRING, State.RECOVERING
B, M, C, U = Verdict.BREACH, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN
RISING = Trend(Way.RISING, 10.0, share=False, over=300.0)
USUAL = Unusual(4.0, 86_400.0, Comparison.LAST_DAYS, Direction.HIGH, 1500.0)
"""Widths of 300 s: five samples are there after 1500 s."""


def rising(severity: Severity = Severity.P1, **fields: object) -> Tier:
    return replace(Tier(severity, None, trend=RISING), **fields)  # type: ignore[arg-type]


def climb(story: Play, values: list[float], start: float = 0.0) -> None:
    for number, value in enumerate(values):
        story.look(start + 60 * number, rows(value))


@pytest.mark.parametrize(
    ("conditions", "value", "alone"),
    [
        (Tier(Severity.P1, above(90)), 95.0, True),
        (Tier(Severity.P1, above(90)), 85.0, False),
        (Tier(Severity.P1, above(90)), NAN, None),
        (Tier(Severity.P1, above(90), trend=RISING), 95.0, None),
        (Tier(Severity.P1, above(90), trend=RISING), 85.0, False),
        (Tier(Severity.P1, None, unusual=USUAL), 95.0, None),
        (Tier(Severity.P1, None, missed=Missed("* * * * *", "UTC")), 95.0, None),
        (Tier(Severity.P1, None, absent=True), 95.0, False),
    ],
)
def test_what_a_value_says_by_itself(conditions, value, alone) -> None:
    assert holds_alone(conditions, value) is alone
    assert verdict_of(conditions, value) is {True: B, False: C, None: U}[alone]


@pytest.mark.parametrize(
    ("value", "holds", "said"),
    [
        (95.0, True, B),
        (75.0, True, B),
        (75.0, False, C),
        (85.0, False, M),
        (85.0, None, U),
        (75.0, None, U),
        (None, False, C),
        (None, True, B),
    ],
)
def test_a_verdict_from_what_is_known_of_all_conditions(value, holds, said) -> None:
    assert verdict_from(tier(recover=Recover(Limit(Op.BELOW, 80))), value, holds) is said


TREND_KNOWN = [50.0, 52.0, 54.0, 56.0, 58.0, 60.0]


@pytest.mark.parametrize(
    ("asked", "values", "holds", "said"),
    [
        (rising(), TREND_KNOWN, True, "rose by 10 % within 5m, from 50 % to 60 % (5 samples)"),
        (
            rising(),
            [50.0, 51.0, 52.0, 53.0, 54.0, 55.0],
            False,
            "rose by 5 % within 5m, from 50 % to 55 % (5 samples): not rising by 10 % within 5m",
        ),
        (rising(), [50.0, 60.0], None, "only 2 of at least 5 samples within 5m"),
        (
            rising(limit=above(55)),
            TREND_KNOWN,
            True,
            "60 % is above 55 % and rose by 10 % within 5m, from 50 % to 60 % (5 samples)",
        ),
        (rising(limit=above(70)), TREND_KNOWN, False, "60 % is not above 70 %"),
        (rising(limit=above(70)), [50.0], False, "50 % is not above 70 %"),
        (rising(limit=above(40)), [50.0], None, "only 1 of at least 5 samples within 5m"),
        (
            rising(unusual=USUAL),
            TREND_KNOWN,
            None,
            "learning until 1970-01-01 00:25 UTC: 1 of 5 samples",
        ),
        (
            rising(unusual=USUAL),
            [50.0],
            None,
            "only 1 of at least 5 samples within 5m and learning until 1970-01-01 00:25 UTC: 0 of 5 samples",
        ),
        (rising(), [NAN], None, "there is no value"),
    ],
)
def test_all_conditions_must_hold_and_one_that_does_not_is_enough(asked, values, holds, said) -> None:
    story = Play(rule(asked))
    climb(story, values)
    kept = Kept(story.rule, story.trails, 0.0)
    kept.note(WEB, 0.0, values[0])
    look = Sight(story.rule, asked, WEB, kept, 0.0).look(60.0 * (len(values) - 1), values[-1])
    assert (look.holds, look.said) == (holds, said)


def test_a_missed_success_together_with_a_limit_needs_a_value() -> None:
    asked = Tier(Severity.P1, above(-1e9), missed=Missed("0 2 * * *", "UTC"))
    sight = Sight(rule(asked), asked, WEB, Kept(rule(asked), {}, 0.0), 0.0)
    assert sight.look(7200.0, -5.0).holds is True
    assert sight.look(7200.0, -2e9).holds is False
    assert sight.look(3600.0, -5.0).holds is False


def test_a_limit_says_what_it_compares() -> None:
    assert limit_look(above(90), 95.0, "percent") == Look(holds=True, said="95 % is above 90 %")
    assert limit_look(above(90), 85.0, "percent") == Look(holds=False, said="85 % is not above 90 %")


def test_a_trend_fires_once_it_is_known_and_recovers_when_it_is_over() -> None:
    story = Play(rule(rising()))
    climb(story, TREND_KNOWN[:4])
    assert story.book == {}
    climb(story, TREND_KNOWN[4:], 240.0)
    assert story.state() is F
    assert story.alert().reason == "rose by 10 % within 5m, from 48 % to 58 % (5 samples)"
    climb(story, [60.0] * 4, 360.0)
    assert story.book == {}
    assert story.transitions[-1].alert.reason.endswith(": not rising by 10 % within 5m")


def test_a_trend_that_loses_sight_is_unknown_and_neither_opens_nor_ends() -> None:
    story = Play(rule(rising(for_=60.0)))
    climb(story, [*TREND_KNOWN, 62.0])
    assert story.state() is F
    story.look(420, FAILED)
    story.look(1200, rows(62.0))
    assert (story.state(), story.alert().verdict) == (F, U)
    assert story.alert().value == 62.0
    story.look(1260, rows(NAN))
    assert story.state() is F


def test_a_recovery_limit_still_decides_what_is_clear() -> None:
    story = Play(rule(rising(recover=Recover(Limit(Op.BELOW, 55.0)))))
    climb(story, TREND_KNOWN)
    assert story.state() is F
    climb(story, [60.0] * 5, 360.0)
    assert (story.state(), story.alert().verdict) == (F, M)
    story.look(660, rows(54.0))
    assert story.book == {}
    assert story.transitions[-1].alert.reason == "54 % is below 55 %"


def test_each_sample_of_a_window_is_judged_with_the_trail_up_to_its_own_time() -> None:
    story = Play(rule(rising(datapoints=m_of_n("3 of 4"))))
    climb(story, TREND_KNOWN[:5])
    climb(story, [58.0, 70.0], 300.0)
    assert story.state() is Q
    evaluation = story.look(420, rows(75.0))
    assert story.state() is F
    reason = evaluation.transitions[0].alert.reason
    assert reason.startswith("3 of the last 4 samples rising by 10 % within 5m, now 75 %: rose by ")
    climb(story, [75.0, 75.0], 480.0)
    assert (story.state(), story.alert().verdict) == (F, B)


def test_a_window_is_a_row_only_while_it_remembers_what_held() -> None:
    story = Play(rule(rising(datapoints=m_of_n("3 of 4"))))
    climb(story, [50.0] * 6)
    assert story.book == {}
    climb(story, [80.0], 360.0)
    assert story.state() is Q
    assert story.alert().verdict is M
    climb(story, [50.0] * 10, 420.0)
    assert story.book == {}


@pytest.mark.parametrize(
    ("recover", "marks", "said"),
    [
        ("", [True, True, None], B),
        ("", [True, None, None], U),
        ("", [True, None, True], B),
        ("", [None, True, False], C),
        ("", [None, None, True], M),
        ("0 of 3", [None, False, False], M),
        ("0 of 3", [False, False, False], C),
        ("0 of 3", [True, False, False], M),
        ("1 of 3", [True, False, False], C),
        ("0 of 3", [False, False, None], U),
    ],
)
def test_in_a_window_what_is_not_known_is_neither_held_nor_recovered(recover, marks, said) -> None:
    asked = rising(datapoints=m_of_n("2 of 3"), recover=Recover(datapoints=m_of_n(recover)))
    window = tuple((60.0 * number, 1.0) for number in range(3))
    assert windowed_verdict(asked, window, 1.0, 120.0, 60.0, lambda at, _: marks[int(at // 60)]) is said


def test_a_worse_tier_takes_a_milder_one_along_whatever_their_conditions() -> None:
    story = Play(rule(rising(Severity.P0), tier(Severity.P1, 55, for_=3600.0)))
    climb(story, [50.0, 52.0, 54.0, 56.0])
    assert (story.state(WEB, Severity.P0), story.state()) == (Q, P)
    climb(story, [58.0, 60.0], 240.0)
    assert (story.state(WEB, Severity.P0), story.state()) == (F, F)


def test_an_unusual_value_is_learned_first_and_told_with_its_numbers() -> None:
    story = Play(rule(Tier(Severity.P1, None, unusual=USUAL)))
    evaluation = story.look(0, rows(100.0))
    assert story.said(evaluation) == ["learning until 1970-01-01 00:25 UTC: 0 of 5 samples"]
    for number in range(1, 10):
        story.look(300 * number, rows(100.0 + 5 * (number % 3)))
        assert story.book == {}
    evaluation = story.look(3000, rows(150.0))
    assert story.state() is F
    assert evaluation.transitions[0].alert.reason == (
        "150 % is 9 MAD above the usual 105 % (median of 10 samples of the last 1d)"
    )
    (sentence,) = story.said(evaluation)
    assert sentence == (
        "150 % is 9 MAD above the usual 105 % (median of 10 samples of the last 1d):"
        " more than 4 MAD above what is usual; firing since 00:50:00 UTC"
    )


def test_an_incident_does_not_become_usual_at_once() -> None:
    story = Play(rule(Tier(Severity.P1, None, unusual=USUAL)))
    for number in range(10):
        story.look(300 * number, rows(100.0 + 5 * (number % 3)))
    for number in range(10, 14):
        story.look(300 * number, rows(150.0))
        assert story.state() is F, number


def test_late_dated_samples_count_in_a_trend_from_the_next_sample_on() -> None:
    story = Play(rule(rising(), query=Query("cloudwatch", "{}", step=60.0), lag=120.0))
    story.look(300, rows(50.0, 56.0, at=[0.0, 180.0]))
    story.look(360, rows(50.0, 52.0, 54.0, 56.0, at=[0.0, 60.0, 120.0, 180.0]))
    assert story.state() is Q, "an evaluation that brings no newer sample changes nothing"
    story.look(420, rows(54.0, 56.0, 58.0, at=[120.0, 180.0, 240.0]))
    assert story.state() is F
    assert story.alert().since == 240.0


def test_a_metric_of_five_minutes_that_is_asked_every_minute_keeps_its_trend() -> None:
    long = replace(RISING, over=3600.0)
    asked = rule(
        Tier(Severity.P1, None, for_=600.0, trend=long), query=Query("cloudwatch", "{}", step=300.0), lag=120.0
    )
    story = Play(asked)
    states = {}
    for now in range(600, 6000, 60):
        edge = (now - 120) // 300 * 300
        told = [float(at) for at in range(max(edge - 900, 0), edge + 1, 300)]
        story.look(now, rows(*(at / 100.0 for at in told), at=told))
        states[now] = story.state()
    # Known with three quarters of the window: from the sample of 2700 on, told at 2820.
    assert {now for now, state in states.items() if state is P} == set(range(2820, 3420, 60))
    assert {now for now, state in states.items() if state is F} == set(range(3420, 6000, 60))


@pytest.mark.parametrize("policy", list(NoDataPolicy))
def test_an_instance_that_is_scaled_in_ends_as_its_no_data_says(policy) -> None:
    story = Play(rule(rising(), no_data=policy, resolve_after=300.0))
    climb(story, TREND_KNOWN)
    assert story.state() is F
    for now in range(360, 1260, 60):
        story.look(now, rows(1.0, host="web-2"))
    expected = {NoDataPolicy.HOLD: F, NoDataPolicy.BREACH: F, NoDataPolicy.RESOLVE: Q}
    assert story.state() is expected[policy]
    story.look(1260, Samples([{"host": "web-2"}], [1.0], gone=frozenset({WEB})))
    assert story.state() is Q


def test_an_instance_that_is_scaled_out_is_not_unusual_before_it_was_learned() -> None:
    story = Play(rule(Tier(Severity.P1, None, unusual=USUAL), no_data=NoDataPolicy.BREACH))
    for number in range(10):
        story.look(300 * number, rows(100.0 + 5 * (number % 3)))
    for number in range(10, 15):
        both = Samples([{"host": "web-1"}, {"host": "web-2"}], [100.0, 900.0])
        story.look(300 * number, both)
    assert story.book == {}


def test_flapping_holds_clear_for_longer_than_the_rule_says() -> None:
    story = Play(rule(tier(recover=Recover(for_=60.0))))
    story.look(0, rows(95.0))
    for now in range(60, 960, 60):
        evaluation = story.look(now, rows(10.0), hold=lambda _: 900.0)
        assert story.state() is R
    assert "ends when that has lasted 15m" in story.alert().reason
    assert story.said(evaluation) == [
        "10 % is not above 90 % since 00:01:00 UTC, ends at 00:16:00 UTC if that lasts (1m to go)"
    ]
    evaluation = story.look(960, rows(10.0), hold=lambda _: 900.0)
    assert story.state() is Q
    assert evaluation.transitions[0].alert.reason == "10 % is not above 90 %, and has been for 15m"


def test_the_rules_own_recovery_stays_where_it_is_longer() -> None:
    story = Play(rule(tier(recover=Recover(for_=1800.0))))
    story.look(0, rows(95.0))
    for now in range(60, 1860, 60):
        story.look(now, rows(10.0), hold=lambda _: 900.0)
        assert story.state() is R
    story.look(1860, rows(10.0), hold=lambda _: 900.0)
    assert story.state() is Q


def test_flapping_is_asked_for_nothing_that_is_not_active() -> None:
    asked: list[object] = []

    def hold(series: object) -> float:
        asked.append(series)
        return 60.0

    story = Play(rule(tier(for_=60.0)))
    story.look(0, rows(95.0), hold=hold)
    story.look(60, rows(10.0), hold=hold)
    assert asked == []
    story.look(120, rows(95.0), hold=hold)
    story.look(180, rows(95.0), hold=hold)
    story.look(240, rows(10.0), hold=hold)
    assert asked == [WEB]
    assert story.state() is R
