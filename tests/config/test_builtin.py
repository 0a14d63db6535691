"""The rules that every installation has, and what a file makes of them."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from evaluator.config.builtin import NAMES, TEXT
from evaluator.config.load import Loaded, load
from evaluator.engine.rules import Limit, Mode, Op, Recover, Rule, Severity
from evaluator.sources.self_source import SelfSource
from evaluator.sources.source import SourceType
from tests.config.conftest import PLUGINS, SETTINGS

BOTH = replace(PLUGINS, sources={**PLUGINS.sources, "self": cast("SourceType", SelfSource)})
Loads = Callable[..., Loaded]


@pytest.fixture
def loads(folder: Path) -> Loads:
    def now(rules: str = "", settings: str = SETTINGS) -> Loaded:
        (folder / "evaluator.toml").write_text(settings)
        (folder / "rules" / "a.toml").write_text(rules)
        return load(folder / "evaluator.toml", {}, plugins=BOTH)

    return now


def errors(loaded: Loaded) -> list[str]:
    return [problem.headline for problem in loaded.problems if problem.error]


def fine(loaded: Loaded, name: str = "source-down") -> Rule:
    assert errors(loaded) == []
    return loaded.rules.rules[name]


def test_they_are_there_without_a_word(loads: Loads, rule: Callable[..., str]) -> None:
    loaded = loads(rule("cpu"))
    assert list(loaded.rules.rules) == ["cpu", "source-down", "rule-blind"], "behind those of the files"
    down, blind = fine(loaded), fine(loaded, "rule-blind")
    assert (down.source, down.service, down.every, down.mode) == ("self", "infrastructure", 30.0, Mode.PAGE)
    assert [(tier.severity, tier.limit) for tier in down.tiers] == [(Severity.P2, Limit(Op.AT_LEAST, 300.0))]
    assert [(tier.severity, tier.limit) for tier in blind.tiers] == [(Severity.P3, Limit(Op.AT_LEAST, 600.0))]
    for one in (down, blind):
        assert one.tiers[0].recover == Recover(Limit(Op.AT_MOST, 0.0))
        assert one.built_in
        assert TEXT.splitlines()[one.line - 1].startswith(f"[rule.{one.name}]"), "file and line say where it stands"
    assert not loaded.rules.rules["cpu"].built_in
    assert list(loaded.files) == ["a.toml"], "they are no file that is kept"


def test_each_has_its_name() -> None:
    assert tuple(tomllib.loads(TEXT)["rule"]) == NAMES


def test_the_service_of_their_own_hears_of_them(loads: Loads) -> None:
    assert fine(loads(settings=SETTINGS + "\n[services.evaluator]\n")).service == "evaluator"
    assert fine(loads(settings='[sources.box]\ntype = "box"\n')).service == "default", "nobody is declared"


def test_a_few_keys_change_a_part(loads: Loads) -> None:
    loaded = loads('[rule.source-down]\nseverity = "P1"\nservice = "payments"\nat_least = "15m"\nmode = "shadow"\n')
    changed, before = fine(loaded), fine(loads())
    (tier,) = changed.tiers
    assert (tier.severity, tier.limit, changed.service) == (Severity.P1, Limit(Op.AT_LEAST, 900.0), "payments")
    assert (changed.mode, changed.file, changed.line) == (Mode.SHADOW, "rules/a.toml", 1)
    assert not changed.built_in
    assert (changed.query, changed.every, changed.summary, tier.recover) == (
        before.query, before.every, before.summary, before.tiers[0].recover,
    )  # fmt: skip
    assert fine(loaded, "rule-blind").built_in, "the other one stays"


def test_one_line_ends_it(loads: Loads) -> None:
    assert not fine(loads('[rule.source-down]\nmode = "off"\n')).judged


def test_another_limit_takes_the_place_of_theirs(loads: Loads) -> None:
    (tier,) = fine(loads('[rule.source-down]\nabove = "2m"\n')).tiers
    assert (tier.limit, tier.recover.limit) == (Limit(Op.ABOVE, 120.0), Limit(Op.AT_MOST, 0.0))
    tiers = fine(loads('[rule.source-down]\nP1 = { at_least = "1h" }\nP2 = { at_least = "5m" }\n')).tiers
    assert [(tier.severity, tier.limit) for tier in tiers] == [
        (Severity.P1, Limit(Op.AT_LEAST, 3600.0)),
        (Severity.P2, Limit(Op.AT_LEAST, 300.0)),
    ]
    (tier,) = fine(loads('[rule.source-down]\nP0 = { for = "1h" }\n')).tiers
    assert (tier.severity, tier.limit, tier.for_) == (Severity.P0, Limit(Op.AT_LEAST, 300.0), 3600.0)
    (tier,) = fine(loads("[rule.source-down]\nbelow = 5\n")).tiers
    assert tier.recover.limit is None, "theirs would not fit"
    (tier,) = fine(loads('[rule.rule-blind]\ndatapoints = "2 of 3"\n'), "rule-blind").tiers
    assert str(tier.datapoints) == "2 of 3"


def test_the_defaults_of_a_file_change_only_who_hears(loads: Loads) -> None:
    defaults = (
        '[defaults]\nservice = "payments"\nsource = "box"\nfor = "9m"\nevery = "2h"\nno_data = "breach"\n'
        'group_by = ["x"]\nlag = "4m"\nunit = "bytes"\n'
    )
    changed, before = fine(loads(defaults + '[rule.source-down]\nseverity = "P3"\n')), fine(loads())
    assert changed.service == "payments"
    for key in ("query", "every", "no_data", "group_by", "lag", "unit"):
        assert getattr(changed, key) == getattr(before, key), key
    assert changed.tiers[0].for_ == 0.0


def test_a_rule_that_says_what_it_asks_is_a_rule_of_its_own(loads: Loads) -> None:
    text = '[rule.source-down]\nsource = "box"\nquery = "cpu"\nservice = "payments"\nseverity = "P0"\nabove = 1\n'
    own = fine(loads(text))
    assert (own.source, own.tiers[0].limit, own.unit, own.summary) == ("box", Limit(Op.ABOVE, 1.0), None, "")
    assert any("`service` is missing" in each for each in errors(loads(text.replace('service = "payments"\n', ""))))


def test_a_mistake_in_a_part_is_said_at_its_line(loads: Loads) -> None:
    (said,) = errors(loads('[rule.source-down]\nat_least = "5m"\nseverty = "P1"\n'))
    assert said.startswith("rules/a.toml:3:1: `severty`")
    assert "are two limits" in errors(loads('[rule.source-down]\nat_least = "5m"\nabove = 1\n'))[0]
    (said,) = errors(loads('[rule.source-down]\nservice = "nobody"\n'))
    assert said.startswith("rules/a.toml:2:")


def test_a_switched_off_self_switches_them_off(loads: Loads) -> None:
    off = fine(loads(settings=SETTINGS + '\n[sources.self]\ntype = "self"\nenabled = false\n'))
    assert (off.mode, off.off_because) == (Mode.OFF, 'source "self" is disabled')
    on = loads(settings=SETTINGS + '\n[sources.self]\ntype = "self"\n')
    assert fine(on).judged
    assert on.settings is not None
    assert not on.settings.sources["self"].implicit


def test_the_name_is_kept(loads: Loads) -> None:
    (said,) = errors(loads(settings=SETTINGS + '\n[sources.self]\ntype = "box"\n'))
    assert said.startswith("evaluator.toml:")
    assert 'the name "self" is kept' in said


def test_self_needs_no_declaration_and_is_not_offered_as_one(loads: Loads) -> None:
    text = '[rule.memory]\nsource = "self"\nquery = "memory_used"\nservice = "payments"\nseverity = "P3"\nabove = 1\n'
    loaded = loads(text)
    assert fine(loaded, "memory").query.text == "memory_used"
    assert loaded.settings is not None
    assert loaded.settings.sources["self"].implicit
    (problem,) = [each for each in loads(text.replace('"self"', '"nowhere"')).problems if each.error]
    assert "declared are box, off;" in problem.hint


def test_without_their_source_there_are_none(loader: Callable[..., Loaded]) -> None:
    loaded = loader({"a.toml": '[rule.source-down]\nmode = "off"\n'})
    assert any("`source` is missing" in each for each in errors(loaded))
    assert not loaded.rules.rules
