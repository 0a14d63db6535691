"""Why a rule did what it did: what may be asked, which lines answer it, and the answer in the shape of the API.

This module knows lines: one sentence for one alert in one evaluation. It never knows how they are made, or kept.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from evaluator.engine.alerts import State
from evaluator.engine.rules import Rule, Severity
from evaluator.engine.samples import Series, series_text
from evaluator.engine.units import format_duration
from evaluator.engine.wording import tier_text, value_text
from evaluator.store.transitions import Past
from evaluator.web.incidents import labels_json, number
from evaluator.web.moments import moment_of
from evaluator.web.wording import rfc3339, shorten, zone

Json = dict[str, Any]

LIMIT = 20
"""Lines of an answer, where nothing else is asked for."""
MOST = 1000
PASTS = 2000
"""Transitions that the store is asked for where they are looked through for some labels."""
SERIES_LENGTH = 10_000
TEXT_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know."""

    rule: str
    series: str = ""
    """As it is shown: `device=sda, host=web-1`, or some of its labels; empty: every series."""
    at: float | None = None
    """What was so at this time; `None`: now."""
    limit: int = LIMIT

    def about(self, series: Series) -> bool:
        """Return whether it is about this series. A value may have commas itself, so the whole is compared first."""
        if not self.series or self.series == series_text(series):
            return True
        pairs = [pair.strip().partition("=") for pair in self.series.split(",")]
        return {(name.strip(), value.strip()) for name, _, value in pairs} <= set(series)


@dataclass(frozen=True, slots=True)
class Line:
    """One alert in one evaluation, or, where it has no severity, the whole rule in it."""

    at: float
    """The slot."""
    text: str
    """One sentence with the numbers."""
    severity: Severity | None = None
    series: Series = ()
    state: State | None = None
    value: float | None = None
    held: str = ""
    """Why nothing was sent, where it fires; why nothing would be, where it is pending."""
    written: bool = False
    """It is a transition that the store has; what was seen between two of them is only kept for a while."""

    @property
    def sentence(self) -> str:
        """All of it."""
        verb = "would be" if self.state is State.PENDING else "is"
        return f"{self.text}; nothing {verb} sent: {self.held}" if self.held else self.text


@dataclass(frozen=True, slots=True)
class Looks:
    """What is known about a question."""

    lines: tuple[Line, ...] = ()
    """The oldest first."""
    kept_since: float | None = None
    """The first evaluation of the rule that is still remembered."""
    more: bool = False
    """There are older lines."""


def question(rule: str, series: str, at: str | None, limit: str | None, now: float, timezone: str) -> Question:
    """Return what somebody asks; `ValueError` says what can be asked."""
    if not rule:
        raise ValueError("rule is missing: /api/v1/why?rule=NAME")
    if len(series) > SERIES_LENGTH:
        raise ValueError(f"series is longer than {SERIES_LENGTH} characters")
    if series and "=" not in series:
        raise ValueError(f'series is some labels, as in "host=web-1, device=sda", not "{shorten(series, 40)}"')
    if limit is not None and not (re.fullmatch(r"[0-9]{1,4}", limit) and 1 <= int(limit) <= MOST):
        raise ValueError(f"limit is a number from 1 to {MOST}")
    moment = None if at is None else moment_of(at, now, zone(timezone), ahead=False)
    return Question(rule, series, moment, LIMIT if limit is None else int(limit))


def later_than(at: float | None) -> float | None:
    """Return the first time after one that is asked about: the store is asked for what was before a time."""
    return None if at is None else math.nextafter(at, math.inf)


def pasts_to_read(asked: Question) -> int:
    """Return how many transitions of the rule must be read: some labels are looked for in what was read."""
    return PASTS if asked.series else asked.limit + 1


def chosen(asked: Question, seen: Sequence[Line], pasts: Iterable[Past], kept_since: float | None) -> Looks:
    """Return the lines that answer: the last ones before the time that is asked about.

    `seen` are the evaluations that are remembered, the oldest first, and `kept_since` is the first of them; `pasts` the
    transitions of the store, the newest first, of which those count that are older.
    """
    older = [line_of(past) for past in pasts if kept_since is None or past.at < kept_since]
    lines = [
        line
        for line in (*reversed(older), *seen)
        if (asked.at is None or line.at <= asked.at) and (line.severity is None or asked.about(line.series))
    ]
    return Looks(tuple(lines[-asked.limit :]), kept_since, more=len(lines) > asked.limit)


def line_of(past: Past) -> Line:
    """Return a transition as a line."""
    text = f"{past.before.value} became {past.after.value}: {past.reason}"
    return Line(past.at, text, past.severity, past.series, past.after, past.value, written=True)


def why_json(asked: Question, looks: Looks, rules: Mapping[str, Rule], timezone: str) -> Json:
    """Return the answer; `LookupError` where there is no such rule, and was none."""
    rule = rules.get(asked.rule)
    if rule is None and not looks.lines:
        close = get_close_matches(asked.rule, rules, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise LookupError(f'there is no rule "{shorten(asked.rule, 60)}"{hint}')
    return {
        "rule": asked.rule,
        "rule_at": f"{rule.file}:{rule.line}" if rule and rule.file else "",
        "mode": rule.mode.value if rule else "removed",
        "off_because": rule.off_because if rule else "",
        "source": rule.source if rule else "",
        "every": rule.every if rule else None,
        "limits": _limits(rule) if rule else [],
        "timezone": timezone,
        "at": None if asked.at is None else rfc3339(asked.at),
        "kept_since": None if looks.kept_since is None else rfc3339(looks.kept_since),
        "lines": [_line_json(line, rule) for line in looks.lines],
        "more": looks.more,
        "note": _note(asked, looks, rule),
    }


def _limits(rule: Rule) -> list[Json]:
    return [
        {
            "severity": tier.severity.value,
            "limit": tier_text(tier, rule.unit),
            "for": format_duration(tier.for_),
        }
        for tier in rule.tiers
    ]


def _line_json(line: Line, rule: Rule | None) -> Json:
    return {
        "at": rfc3339(line.at),
        "severity": line.severity.value if line.severity else None,
        "series": labels_json(line.series),
        "series_text": shorten(series_text(line.series), TEXT_SHOWN),
        "state": line.state.value if line.state else None,
        "value": number(line.value),
        "value_text": value_text(line.value, rule.unit if rule else None),
        "text": shorten(line.sentence, TEXT_SHOWN),
        "held": shorten(line.held, TEXT_SHOWN),
        "written": line.written,
    }


def _note(asked: Question, looks: Looks, rule: Rule | None) -> str:
    """Return what there is to say where the lines do not say it; empty: nothing."""
    if rule is not None and not rule.judged:
        return f"it is off: {rule.off_because or 'its mode is off'}"
    if looks.lines:
        return ""
    of = f"a series with {shorten(asked.series, 60)}" if asked.series else "it"
    if asked.at is not None and (looks.kept_since is None or asked.at < looks.kept_since):
        return f"no alert of {of} is known to have changed before then: it was quiet, or not watched yet"
    if looks.kept_since is None:
        return "it has not been evaluated yet"
    return f"nothing is kept of {of}: quiet series are kept only where they are nearest to the limit"
