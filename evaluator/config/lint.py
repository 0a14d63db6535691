"""What is no mistake and still worth a word: rules that will page for nothing, never end, or help nobody.

This module knows rules and settings as values. Each warning has an id, a page `docs/lint/<id>.md`, and can be ignored:
by `lint.ignore` in the settings, or by a comment `# lint: ignore[id]` in the rule file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from evaluator.config.document import Document
from evaluator.config.fields import did_you_mean
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.routes import CANNOT_PAGE
from evaluator.config.settings import Settings
from evaluator.config.text import Span
from evaluator.engine.rules import Limit, Mode, Op, Rule, Severity, Tier
from evaluator.engine.shapes import Direction, Missed, Trend, Unusual
from evaluator.engine.units import format_duration
from evaluator.engine.wording import limit_text, tier_text

_COMMENT = re.compile(r"#\s*lint:\s*ignore\[([^\]\n]*)\]")
_NEVER_NEGATIVE = frozenset({"percent", "ratio", "seconds", "bytes", "count", "bytes_per_second", "per_second"})
_UPWARDS = frozenset({Op.ABOVE, Op.AT_LEAST})
_DOWNWARDS = frozenset({Op.BELOW, Op.AT_MOST})

Warnings = Iterator[tuple[Path, str, str]]
"""Place, message, hint."""


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
"""Every check of a single rule that pages, by its id."""

IDS = frozenset({*CHECKS, "no-heartbeat", CANNOT_PAGE})
"""Every lint id; each has a page in docs/lint."""


def lint_rules(document: Document, rules: Iterable[Rule]) -> Iterator[Problem]:
    """Yield the warnings about the rules of one file, but for those that a comment ignores."""
    ignored = list(_comments(document))
    first = min((item.span.line for item in document.positions.definitions), default=0)
    yield from (problem for problem in _unknown(document, ignored))
    for rule in rules:
        if rule.mode is not Mode.PAGE and not rule.off_because:
            continue
        path: Path = ("rule", rule.name)
        regions = document.regions(path)
        for name, check in CHECKS.items():
            if not _is_ignored(name, ignored, regions, first):
                for place, message, hint in check(rule, path):
                    yield document.at_key(place, message, hint, id=name, error=False)


def lint_settings(document: Document, settings: Settings) -> Iterator[Problem]:
    """Yield the warnings about the settings themselves."""
    if settings.heartbeat is None:
        message = "nobody will notice when evaluator itself is down: there is no [heartbeat]"
        hint = "add [heartbeat] with the url of a dead man's switch (healthchecks.io, Dead Man's Snitch, ...)"
        yield Problem(document.file, 0, 0, 0, message, hint, id="no-heartbeat", error=False)
    for index, name in enumerate(settings.lint.ignore):
        if name not in IDS:
            yield document.at_value(("lint", "ignore", index), *_no_such(name), error=False)


def _comments(document: Document) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the ids of each `# lint: ignore[...]`."""
    for number, line in enumerate(document.source.lines, 1):
        match = _COMMENT.search(line) if "lint" in line else None
        if match:
            yield number, tuple(name.strip() for name in match[1].split(","))


def _is_ignored(
    name: str, ignored: list[tuple[int, tuple[str, ...]]], regions: list[tuple[int, int]], first: int
) -> bool:
    """Return whether a comment above the first line that says anything, or inside the rule, ignores this id."""
    return any(
        name in names and (line < first or any(start <= line <= end for start, end in regions))
        for line, names in ignored
    )


def _unknown(document: Document, ignored: list[tuple[int, tuple[str, ...]]]) -> Iterator[Problem]:
    """Yield a warning for each ignored id that does not exist, since it ignores nothing."""
    for line, names in ignored:
        for name in names:
            if name not in IDS:
                column = document.source.lines[line - 1].find("#") + 1
                message, hint = _no_such(name)
                yield document.source.problem(Span(line, column, column + 1), message, hint, error=False)


def _no_such(name: str) -> tuple[str, str]:
    """Return message and hint for an id that does not exist."""
    meant = did_you_mean(name, IDS)
    hint = f'did you mean "{meant}"?' if meant else f"the ids are {', '.join(sorted(IDS))}"
    return f'there is no lint id "{name[:40]}"', hint
