"""What a rule knows of itself, and what a limit is at its very value."""

import json
import math
from dataclasses import replace

import pytest

from evaluator.engine.rules import BUILT_IN, Limit, Mode, Op, Query, Rule, RuleSet, Severity, Tier
from evaluator.engine.shapes import Keep, Missed, Trend, Unusual, Way
from tests.stories import rule, tier

DAY = 86_400.0
RISES = Trend(Way.RISING, 1.0, share=False, over=3600.0)
ODD = Unusual(5.0, history=7 * DAY)


def test_the_worse_severity_is_the_one_with_the_lower_number() -> None:
    worse = {(one.value, other.value) for one in Severity for other in Severity if one.worse_than(other)}
    assert worse == {("P0", "P1"), ("P0", "P2"), ("P0", "P3"), ("P1", "P2"), ("P1", "P3"), ("P2", "P3")}


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        (Limit(Op.ABOVE, 10), {11}),
        (Limit(Op.BELOW, 10), {4, 5, 9}),
        (Limit(Op.AT_LEAST, 10), {10, 11}),
        (Limit(Op.AT_MOST, 10), {4, 5, 9, 10}),
        (Limit(Op.EQUALS, 10), {10}),
        (Limit(Op.NOT_EQUALS, 10), {4, 5, 9, 11}),
        (Limit(Op.OUTSIDE, 5, 10), {4, 11}),
        (Limit(Op.OUTSIDE, 10), {4, 5, 9, 11}),
    ],
)
def test_a_limit_holds_for_what_is_beyond_it_and_never_for_nan(limit: Limit, holds: set[int]) -> None:
    assert {value for value in (4, 5, 9, 10, 11) if limit.holds(value)} == holds
    assert not limit.holds(math.nan)


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ((), ()),
        (({"trend": RISES},), (Keep(60.0, 3660.0),)),
        (({"unusual": ODD},), (Keep(300.0, 7 * DAY + 1800),)),
        (({"trend": RISES, "unusual": ODD},), (Keep(60.0, 3660.0), Keep(300.0, 7 * DAY + 1800))),
        # Tiers that need the same width share one trail, which reaches as far as the one that looks back furthest.
        (({"trend": replace(RISES, over=600.0)}, {"trend": RISES}), (Keep(60.0, 3660.0),)),
        (({"trend": RISES}, {"trend": replace(RISES, over=600.0)}), (Keep(60.0, 3660.0),)),
        (
            ({"unusual": ODD}, {"trend": replace(RISES, over=5 * 3600.0), "unusual": replace(ODD, history=DAY)}),
            (Keep(300.0, 7 * DAY + 1800),),
        ),
    ],
)
def test_a_rule_keeps_what_its_tiers_look_back_at(fields, keeps) -> None:
    tiers = [replace(tier(severity), **each) for severity, each in zip(Severity, fields or ({},), strict=False)]
    assert rule(*tiers).keeps == keeps


@pytest.mark.parametrize(
    ("fields", "looks_back"),
    [
        ({}, False),
        ({"trend": RISES}, True),
        ({"unusual": ODD}, True),
        ({"missed": Missed("0 2 * * *", "UTC")}, True),
        ({"absent": True, "limit": None}, False),
    ],
)
def test_a_tier_looks_back_whose_verdict_needs_more_than_the_value(fields, looks_back) -> None:
    assert replace(tier(), **fields).looks_back is looks_back


@pytest.mark.parametrize(("every", "period", "step"), [(60.0, 0.0, 60.0), (60.0, 300.0, 300.0), (600.0, 300.0, 600.0)])
def test_a_step_is_the_longer_of_the_rules_and_the_querys(every: float, period: float, step: float) -> None:
    assert rule(every=every, query=Query("cloudwatch", "{}", period)).step == step


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ('{"promql":"up == 0"}', "up == 0"),
        ('{"port":5432}', '{"port":5432}'),
        ('{"a":"x","b":"y"}', '{"a":"x","b":"y"}'),
        ("{}", "{}"),
        ('["up"]', '["up"]'),
    ],
)
def test_a_query_is_its_one_string_or_its_json(spec: str, text: str) -> None:
    assert Query("any", spec).text == text


def test_only_a_rule_that_is_off_is_not_judged() -> None:
    assert {mode for mode in Mode if rule(mode=mode).judged} == {Mode.PAGE, Mode.SHADOW}


def test_a_rule_that_nobody_wrote_is_built_in() -> None:
    assert rule(file=BUILT_IN).built_in
    assert not rule(file="rules/web.toml").built_in


def test_what_a_rules_alerts_stand_on_is_what_it_asks_how_it_groups_and_which_tiers_it_has() -> None:
    before = rule(tier(Severity.P0), tier(Severity.P2), group_by=("host",))
    assert json.loads(before.identity) == {
        "source": "prometheus",
        "query": '{"promql":"cpu"}',
        "group_by": ["host"],
        "tiers": ["P0", "P2"],
    }
    same = [
        replace(before, every=5.0, summary="x", mode=Mode.SHADOW, service="db", line=9),
        replace(before, tiers=(Tier(Severity.P0, Limit(Op.BELOW, 1.0), 60.0), tier(Severity.P2))),
    ]
    assert {each.identity for each in same} == {before.identity}
    others = [
        replace(before, group_by=None),
        replace(before, query=Query("prometheus", "{}")),
        replace(before, query=replace(before.query, source="other")),
        replace(before, tiers=before.tiers[:1]),
    ]
    assert len({each.identity for each in [before, *others]}) == 5


def test_a_tier_is_found_by_its_severity() -> None:
    found: Rule = rule(tier(Severity.P1, 1.0), tier(Severity.P2, 2.0))
    assert [found.tier(severity) for severity in Severity] == [None, *found.tiers, None]


def test_the_rules_of_a_set_come_in_the_order_in_which_they_were_read() -> None:
    rules = RuleSet({name: rule(name=name) for name in ("b", "a")})
    assert [each.name for each in rules] == ["b", "a"]
    assert (len(rules), rules.get("a"), rules.get("c")) == (2, rule(name="a"), None)
