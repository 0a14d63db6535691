"""What is no mistake in a rule and still worth a word: it will page for nothing, never end, or help nobody.

This module knows one rule at a time, and beside it the rules that it names. How a warning is ignored is in `lint`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from evaluator.config.document import Document
from evaluator.config.inhibition import place_of
from evaluator.config.positions import Path
from evaluator.engine.rules import Limit, Mode, NoDataPolicy, Op, Rule, RuleSet, Severity, Tier
from evaluator.engine.shapes import Direction, Missed, Trend, Unusual
from evaluator.engine.units import format_duration
from evaluator.engine.wording import limit_text, tier_text

_NEVER_NEGATIVE = frozenset({"percent", "ratio", "seconds", "bytes", "count", "bytes_per_second", "per_second"})
_UPWARDS = frozenset({Op.ABOVE, Op.AT_LEAST})
_MODES = {Mode.SHADOW: "in shadow", Mode.OFF: "off"}
_DOWNWARDS = frozenset({Op.BELOW, Op.AT_MOST})

_MORTAL = frozenset(
    {
        *("pod", "pod_name", "podname", "container", "container_id", "containerid", "task", "task_id", "taskid"),
        *("task_arn", "taskarn", "instance_id", "replicaset", "job_id", "request_id"),
    }
)
"""Labels (in small letters) of things that are replaced by others of their kind every day. CloudWatch's `InstanceId` is
not among them: its source says which instances were terminated, and those are over at once."""
_BY = re.compile(r"\bby\s*\(([^()]*)\)")

Warnings = Iterator[tuple[Path, str, str]]
"""Place, message, hint."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All that is in force, beside the one thing that is looked at."""

    rules: RuleSet = field(default_factory=RuleSet)
    names: frozenset[str] = frozenset()
    """Of all rules, also of those that are not in force because of a mistake."""
    complete: bool = True
    """Whether there are no others."""
    timezone: str = "UTC"
    """The settings'."""
    now: float | None = None
    """Seconds since the epoch; `None`: nobody said."""


def flap_prone(rule: Rule, path: Path) -> Warnings:
    """A rule that fires at one sample and is over at the next."""
    for tier in rule.tiers:
        once = not tier.for_ and (tier.datapoints is None or tier.datapoints.m == 1)
        back = tier.recover.limit is not None or tier.recover.for_ or tier.recover.datapoints is not None
        discrete = tier.limit is not None and tier.limit.op in (Op.EQUALS, Op.NOT_EQUALS)
        if once and not back and not discrete and tier.missed is None and not tier.absent:
            message = f'rule "{rule.name}" fires at a single sample and is over at the next one'
            yield _tier_path(rule, tier, path), message, 'add for = "5m", or recover = { for = "5m" }'


def no_runbook(rule: Rule, path: Path) -> Warnings:
    """A rule that wakes somebody up and does not say what to do."""
    urgent = [tier.severity for tier in rule.tiers if tier.severity in (Severity.P0, Severity.P1)]
    if urgent and not rule.runbook and not rule.description:
        message = f'rule "{rule.name}" pages as {urgent[0]} and does not say what to do'
        yield path, message, 'add runbook = "https://..." or a description'


def for_shorter_than_every(rule: Rule, path: Path) -> Warnings:
    """A `for` that is shorter than the time between two samples."""
    for tier in rule.tiers:
        if 0 < tier.for_ < rule.step:
            said, step = format_duration(tier.for_), format_duration(rule.step)
            message = f'rule "{rule.name}" has for = "{said}" and is judged every {step} only'
            yield (
                (*_tier_path(rule, tier, path), "for"),
                message,
                f'it fires {step} after the breach began; write for = "{step}"',
            )


def never_recovers(rule: Rule, path: Path) -> Warnings:
    """A limit that is always passed, or a way back that is never reached."""
    if rule.unit not in _NEVER_NEGATIVE:
        return
    for tier in rule.tiers:
        place = _tier_path(rule, tier, path)
        limit, back = tier.limit, tier.recover.limit
        if limit is not None and _anything(limit) and not tier.looks_back:
            shown = limit_text(limit, rule.unit)
            message = f'rule "{rule.name}" is always in breach: {rule.unit} is never below 0'
            yield (*place, limit.op.value), message, f"the limit is {shown}; choose a higher one"
        elif back is not None and _below_nothing(back):
            message = f'rule "{rule.name}" never recovers: {rule.unit} is never below 0'
            hint = f"it is wrong when {tier_text(tier, rule.unit)}; choose a way back above 0"
            yield (*place, "recover"), message, hint


def tiers_out_of_order(rule: Rule, path: Path) -> Warnings:
    """A severity that comes before, or together with, a milder one."""
    for worse, milder in zip(rule.tiers, rule.tiers[1:], strict=False):
        if not _wider(worse, milder):
            continue
        counted = worse.datapoints or milder.datapoints
        if _wider(milder, worse) and (worse.for_ > milder.for_ or counted):
            continue
        message = f'rule "{rule.name}": {milder.severity} is never the worst, since {worse.severity} comes first'
        ours, theirs = tier_text(worse, rule.unit), tier_text(milder, rule.unit)
        yield (*path, worse.severity.value), message, f"{worse.severity} is {ours}, {milder.severity} is {theirs}"


def inhibited_by_silent(rule: Rule, document: Document, whole: Whole) -> Warnings:
    """A rule that is held back by one which never tells anybody."""
    for name in rule.inhibited_by:
        parent = whole.rules.get(name)
        if parent is not None and parent.mode is not Mode.PAGE and not parent.off_because:
            message = f'rule "{rule.name}" is never inhibited by "{name}", which is {_MODES[parent.mode]}'
            hint = "only an incident that somebody is told of holds others back"
            yield place_of(document, rule, name), message, hint


def hold_of_mortal_series(rule: Rule, document: Document, path: Path) -> Warnings:
    """Series that come and go, of which a vanished one keeps its incident open."""
    said = (*path, "no_data") in document.positions.keys or ("defaults", "no_data") in document.positions.keys
    if said or rule.no_data.policy is not NoDataPolicy.HOLD or any(tier.missed or tier.absent for tier in rule.tiers):
        return
    found = next(_mortal(rule), None)
    if found is not None:
        message = f'rule "{rule.name}" keeps the incident of a {found} open that is gone for good'
        hint = 'write no_data = { resolve_after = "1h" }, or no_data = "hold" if this is what you want'
        yield (*path, "query"), message, hint


def _mortal(rule: Rule) -> Iterator[str]:
    """Yield the labels of a rule's series that name things which are replaced by others of their kind."""
    named = list(rule.group_by or ())
    waiting: list[object] = [json.loads(rule.query.spec)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            named += [key for key, value in part.items() if isinstance(value, str) and "*" in value]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            named += [word.strip() for words in _BY.findall(part) for word in words.split(",")]
    yield from (name for name in named if name.lower() in _MORTAL)


def _wider(one: Tier, other: Tier) -> bool:
    """Return whether each condition of a tier holds wherever those of the other one hold, as far as can be told."""
    return (
        _wider_limit(one.limit, other.limit)
        and _wider_trend(one.trend, other.trend)
        and _wider_unusual(one.unusual, other.unusual)
        and _wider_missed(one.missed, other.missed)
        and one.absent == other.absent
    )


def _wider_limit(one: Limit | None, other: Limit | None) -> bool:
    """Return whether a limit is passed wherever the other one is; no limit always is."""
    if one is None or one == other:
        return True
    if other is None or one.high is not None:
        return False
    up = one.op in _UPWARDS and other.op in _UPWARDS and one.value < other.value
    return up or (one.op in _DOWNWARDS and other.op in _DOWNWARDS and one.value > other.value)


def _wider_trend(one: Trend | None, other: Trend | None) -> bool:
    """Return whether a line that goes as far as the other goes as far as the one."""
    if one is None or other is None:
        return one is None
    return one.by <= other.by and replace(one, by=other.by) == other


def _wider_unusual(one: Unusual | None, other: Unusual | None) -> bool:
    """Return whether what is as unusual as the other is as unusual as the one."""
    if one is None or other is None:
        return one is None
    same = one.direction in (Direction.BOTH, other.direction)
    return same and one.by <= other.by and replace(one, by=other.by, direction=other.direction) == other


def _wider_missed(one: Missed | None, other: Missed | None) -> bool:
    """Return whether a run that is missed by the other is missed by the one."""
    if one is None or other is None:
        return one is None
    return one.grace <= other.grace and replace(one, grace=other.grace) == other


def _anything(limit: Limit) -> bool:
    """Return whether every value that is not negative is beyond a limit."""
    return (limit.op is Op.AT_LEAST and limit.value <= 0) or (limit.op is Op.ABOVE and limit.value < 0)


def _below_nothing(limit: Limit) -> bool:
    """Return whether only a negative value is here."""
    return (limit.op is Op.BELOW and limit.value <= 0) or (limit.op is Op.AT_MOST and limit.value < 0)


def _tier_path(rule: Rule, tier: Tier, path: Path) -> Path:
    """Return where a tier is written."""
    return (*path, tier.severity.value) if len(rule.tiers) > 1 else path


CHECKS: Mapping[str, Callable[[Rule, Path], Warnings]] = {
    "flap-prone": flap_prone,
    "for-shorter-than-every": for_shorter_than_every,
    "never-recovers": never_recovers,
    "no-runbook": no_runbook,
    "tiers-out-of-order": tiers_out_of_order,
}
"""Every check of a rule by itself, by its id."""

IDS = frozenset({*CHECKS, "hold-of-mortal-series", "inhibited-by-silent"})
"""Every id of this module."""


def warnings_of(rule: Rule, document: Document, whole: Whole) -> Iterator[tuple[str, Path, str, str]]:
    """Yield what is worth a word about a rule that pages: id, place, message, hint."""
    path: Path = ("rule", rule.name)
    for name, check in CHECKS.items():
        yield from ((name, *found) for found in check(rule, path))
    yield from (("hold-of-mortal-series", *found) for found in hold_of_mortal_series(rule, document, path))
    yield from (("inhibited-by-silent", *found) for found in inhibited_by_silent(rule, document, whole))
