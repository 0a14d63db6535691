"""What would hold pending alerts back if they fired now: so that a silence is seen to work before it must.

This module asks on behalf of people. What is held back when an alert fires is decided anew then, in `incidents`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice

from evaluator.engine.alerts import Alert, AlertKey, State
from evaluator.engine.rules import Mode, Rule, RuleSet
from evaluator.incidents.judge import Judgement
from evaluator.incidents.muting import Mutes, Muting, texts_of
from evaluator.incidents.world import World

MOST = 1000
"""Pending alerts about which it is asked at once; far fewer are ever shown."""


def would_hold(world: World, rules: RuleSet, alerts: Iterable[Alert], now: float) -> Mapping[AlertKey, str]:
    """Return the pending ones of these alerts that something mutes now, with what does."""
    pending: defaultdict[str, list[AlertKey]] = defaultdict(list)
    for alert in islice((alert for alert in alerts if alert.state is State.PENDING), MOST):
        pending[alert.rule].append(alert.key)
    found: dict[AlertKey, str] = {}
    for name, keys in pending.items():
        rule = rules.get(name)
        if rule is not None:
            found |= {key: texts_of(mutes) for key, mutes in _mutes(world, rules, rule, keys, now).items()}
    return found


def with_pending(judgement: Judgement, world: World, rules: RuleSet, rule: Rule, now: float) -> Judgement:
    """Return what was found out in an evaluation, with what would hold its pending alerts back."""
    looked = (each for each in judgement.evaluation.looked if each.state is State.PENDING)
    keys = [AlertKey(rule.name, each.severity, each.series) for each in islice(looked, MOST)]
    more = _mutes(world, rules, rule, keys, now)
    return replace(judgement, held={**judgement.held, **more}) if more else judgement


def _mutes(world: World, rules: RuleSet, rule: Rule, keys: list[AlertKey], now: float) -> dict[AlertKey, Mutes]:
    if not keys or rule.mode is not Mode.PAGE:
        # What is in shadow says so itself, wherever it is shown.
        return {}
    muting = Muting(world, rules, rule, now)
    return {key: mutes for key in keys if (mutes := muting.of(key.series))}
