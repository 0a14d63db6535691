"""What the keys of a rule become."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.config.load import Loaded
from evaluator.engine.rules import Datapoints, Limit, Mode, NoData, NoDataPolicy, Op, Recover, Rule, Severity

Loader = Callable[..., Loaded]
HEAD = '[rule.x]\nsource = "box"\nquery = "cpu"\nservice = "infrastructure"\n'


def one(loader: Loader, text: str) -> Rule:
    loaded = loader({"x.toml": text})
    assert [problem.headline for problem in loaded.problems if problem.error] == []
    return loaded.rules.rules["x"]


def test_a_rule_with_everything(loader: Loader) -> None:
    rule = one(
        loader,
        HEAD
        + """\
every = "1m"
unit = "percent"
lag = "2m"
severity = "P1"
above = "90%"
for = "10m"
recover = { below = 80, for = "5m" }
no_data = { resolve_after = "1h" }
group_by = ["mount", "mount"]
mode = "shadow"
labels = { team = "x" }
summary = "s"
description = "d"
runbook = "https://r.example.com/"
dashboard = "http://d.example.com/"
""",
    )
    (tier,) = rule.tiers
    assert (tier.severity, tier.limit, tier.for_) == (Severity.P1, Limit(Op.ABOVE, 90.0), 600.0)
    assert tier.recover == Recover(Limit(Op.BELOW, 80.0), 300.0)
    assert (rule.every, rule.lag, rule.unit) == (60.0, 120.0, "percent")
    assert rule.no_data == NoData(NoDataPolicy.RESOLVE, 3600.0)
    assert rule.group_by == ("mount",)
    assert rule.mode is Mode.SHADOW
    assert dict(rule.labels) == {"team": "x"}
    assert (rule.summary, rule.description) == ("s", "d")
    assert (rule.file, rule.line) == ("rules/x.toml", 1)


def test_a_query_is_canonical_whatever_its_spelling(loader: Loader) -> None:
    short = one(loader, HEAD + 'severity = "P2"\nabove = 1\n')
    long = one(loader, HEAD.replace('"cpu"', '{ mount = "*", measure = "cpu" }') + 'severity = "P2"\nabove = 1\n')
    assert short.query == long.query
    assert json.loads(short.query.spec) == {"measure": "cpu"}
    assert short.identity == long.identity


def test_a_query_with_a_period_is_not_asked_more_often(loader: Loader) -> None:
    text = HEAD.replace('"cpu"', '{ measure = "cpu", period = 300 }') + 'every = "30s"\nseverity = "P2"\nabove = 1\n'
    rule = one(loader, text)
    assert (rule.every, rule.query.step, rule.step) == (300.0, 300.0, 300.0)


def test_tiers_inherit_what_they_do_not_say(loader: Loader) -> None:
    text = """\
unit = "ratio"
for = "10m"
recover = { margin = "20%", for = "1m" }
P0 = { above = "10%", for = "2m" }
P1 = { above = "5%", datapoints = "3 of 5" }
P2 = { above = 0.02, recover = { margin = 0.01 } }
P3 = { below = "0.1%" }
"""
    p0, p1, p2, p3 = one(loader, HEAD + text).tiers
    assert (p0.limit, p0.for_, p0.datapoints) == (Limit(Op.ABOVE, 0.1), 120.0, None)
    assert p0.recover.limit is not None
    assert p0.recover.limit.op is Op.AT_MOST
    assert p0.recover.limit.value == pytest.approx(0.08)
    assert p0.recover.for_ == 60.0
    assert (p1.for_, p1.datapoints) == (0.0, Datapoints(3, 5))
    assert p2.for_ == 600.0
    assert p2.recover == Recover(Limit(Op.AT_MOST, 0.01), 0.0)
    assert p3.recover.limit is not None
    assert p3.recover.limit.op is Op.AT_LEAST
    assert p3.recover.limit.value == pytest.approx(0.0012)


def test_one_limit_for_several_severities(loader: Loader) -> None:
    p1, p2 = one(loader, HEAD + 'above = 5\nP1 = { for = "30m" }\nP2 = { for = "5m" }\n').tiers
    assert (p1.limit, p1.for_) == (Limit(Op.ABOVE, 5.0), 1800.0)
    assert (p2.limit, p2.for_) == (Limit(Op.ABOVE, 5.0), 300.0)


@pytest.mark.parametrize(
    ("limit", "back"),
    [
        ("above = -50", Limit(Op.AT_MOST, -60.0)),
        ("below = -50", Limit(Op.AT_LEAST, -40.0)),
        ("at_least = 50", Limit(Op.BELOW, 40.0)),
        ("at_most = 50", Limit(Op.ABOVE, 60.0)),
    ],
)
def test_a_margin_goes_towards_healthy(loader: Loader, limit: str, back: Limit) -> None:
    rule = one(loader, HEAD + f'severity = "P2"\n{limit}\nrecover = {{ margin = "20%" }}\n')
    assert rule.tiers[0].recover.limit == back


def test_defaults_fill_in_what_a_rule_does_not_say(loader: Loader) -> None:
    defaults = """\
[defaults]
source = "box"
service = "payments"
every = "2m"
severity = "P3"
for = "1h"
labels = { a = "1", b = "1" }
recover = { for = "5m" }
"""
    own = '[rule.x]\nquery = "cpu"\nabove = 1\nseverity = "P0"\ndatapoints = "2 of 3"\nlabels = { b = "2" }\n'
    rule = one(loader, defaults + own)
    assert (rule.service, rule.every, dict(rule.labels)) == ("payments", 120.0, {"a": "1", "b": "2"})
    (tier,) = rule.tiers
    assert (tier.severity, tier.for_, tier.datapoints) == (Severity.P0, 0.0, Datapoints(2, 3))
    assert tier.recover == Recover(for_=300.0)


def test_a_default_severity_gives_way_to_tiers(loader: Loader) -> None:
    text = '[defaults]\nseverity = "P3"\n' + HEAD + "P1 = { above = 2 }\nP2 = { above = 1 }\n"
    assert [tier.severity for tier in one(loader, text).tiers] == [Severity.P1, Severity.P2]


def test_the_settings_say_how_often_when_a_rule_does_not(loader: Loader, folder: Path) -> None:
    settings = 'every = "45s"\n' + (folder / "evaluator.toml").read_text()
    loaded = loader({"x.toml": HEAD + 'severity = "P2"\nabove = 1\n'}, settings=settings)
    assert loaded.rules.rules["x"].every == 45.0


def test_without_any_service_rules_tell_the_console(loader: Loader) -> None:
    text = HEAD.replace('service = "infrastructure"\n', "") + 'severity = "P2"\nabove = 1\nfor = "5m"\n'
    loaded = loader({"x.toml": text}, settings='[sources.box]\ntype = "box"\n')
    assert loaded.rules.rules["x"].service == "default"
    assert [target.notifier for target in loaded.routes.to("default", Severity.P2)] == ["console"]


@pytest.mark.parametrize("points", ["0 of 5", "\u0663 of \u0665", "6 of 5", "3"])
def test_datapoints_that_cannot_be_meant_are_an_error(loader: Loader, points: str) -> None:
    text = f"[rule.x]\nsource = 'box'\nquery = 'x'\nseverity = 'P1'\nabove = 1\ndatapoints = '{points}'\n"
    assert any("datapoints" in problem.headline and problem.error for problem in loader({"a.toml": text}).problems)
