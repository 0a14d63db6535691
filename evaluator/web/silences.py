"""Silences in the shape of the API, and what somebody may ask for as one.

This module knows values in and JSON or one sentence out. It never knows who may ask, or where silences are kept.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from evaluator.engine.alerts import Alert
from evaluator.engine.maintenance import Selector
from evaluator.engine.samples import series_text
from evaluator.incidents.silence import Silence
from evaluator.web.wording import rfc3339, shorten

Json = dict[str, Any]

LONGEST_DAYS = 365
"""What is to be quiet for longer is a matter of the rules."""
MOST_PATTERNS = 100
"""Rules, exceptions and labels of one silence, each."""
PATTERN_LENGTH = 500
REASON_LENGTH = 1000
BY_LENGTH = 100
COVERED_SHOWN = 20
TEXT_SHOWN = 300


def silence_of(
    id_: str,
    *,
    rules: Collection[str],
    exceptions: Collection[str],
    series: Mapping[str, str],
    reason: str,
    by: str,
    now: float,
    ends_at: float,
    ends_with_alert: bool,
) -> Silence:
    """Return the silence that somebody asks for, from `now` on; `ValueError` says in one sentence what is wrong."""
    if not rules:
        raise ValueError('name the rules that it is for; "*" is every rule')
    for name, patterns in (("rules", rules), ("except", exceptions), ("series", [*series, *series.values()])):
        _require_patterns(name, patterns)
    if not ends_at > now:
        raise ValueError("it would end before it begins: its end must be in the future")
    if ends_at > now + LONGEST_DAYS * 86_400.0:
        raise ValueError(f'it lasts {LONGEST_DAYS} days at most; for longer, set mode = "shadow" in the rule')
    return Silence(
        id=id_,
        selector=Selector(tuple(rules), tuple(exceptions), dict(series)),
        by=one_line("by", by, BY_LENGTH),
        reason=one_line("reason", reason, REASON_LENGTH),
        starts_at=now,
        ends_at=ends_at,
        ends_with_alert=ends_with_alert,
    )


def silence_json(silence: Silence, now: float) -> Json:
    """Return a silence as the API shows it."""
    over = silence.over(now)
    ended_at = silence.ended_at if silence.ended_at is not None else silence.ends_at
    return {
        "id": silence.id,
        "rules": list(silence.selector.rules),
        "except": list(silence.selector.except_),
        "series": dict(silence.selector.series),
        "selects": selector_text(silence.selector),
        "by": silence.by,
        "reason": silence.reason,
        "starts_at": rfc3339(silence.starts_at),
        "ends_at": rfc3339(silence.ends_at),
        "ends_with_alert": silence.ends_with_alert,
        "state": "ended" if over else "active",
        "ended_at": rfc3339(ended_at) if over else None,
        "ended_because": (silence.ended_because or "its time was over") if over else "",
    }


def coverage_json(silence: Silence, alerts: Iterable[Alert], rules: Collection[str]) -> Json:
    """Return how many rules it names, which of their alerts fire now, and a warning where it is for nothing."""
    firing = covered(silence, alerts)
    return {
        "rule_count": sum(silence.selector.names(rule) for rule in rules),
        "firing_count": len(firing),
        "firing": [alert_name(alert) for alert in firing[:COVERED_SHOWN]],
        "warnings": warnings_of(silence, rules),
    }


def covered(silence: Silence, alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts that fire (or recover) and that a silence selects, the worst first."""
    found = [alert for alert in alerts if alert.active and silence.selects(alert.rule, alert.series)]
    return sorted(found, key=lambda alert: (alert.severity, alert.rule, alert.series))


def warnings_of(silence: Silence, rules: Collection[str]) -> list[str]:
    """Return a sentence for each pattern that names no rule: most likely it was misspelt."""
    sentences = []
    for pattern in silence.selector.rules:
        if not any(Selector((pattern,)).names(rule) for rule in rules):
            close = get_close_matches(pattern, rules, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            sentences.append(f'no rule is called "{shorten(pattern, 60)}"{hint}')
    if not sentences and not any(silence.selector.names(rule) for rule in rules):
        sentences.append("no rule is left of those that it names: all of them are excepted")
    return sentences


def alert_name(alert: Alert) -> str:
    """Return an alert for people: `P1 cpu-high (host=web-1)`."""
    series = series_text(alert.series)
    name = f"{alert.severity.value} {alert.rule}"
    return shorten(f"{name} ({series})" if series else name, TEXT_SHOWN)


def selector_text(selector: Selector) -> str:
    """Return what a selector selects, for people: `cpu-*, disk-full except cpu-steal where host=web-1`."""
    text = ", ".join(selector.rules) if selector.rules != ("*",) else "all rules"
    if selector.except_:
        text += f" except {', '.join(selector.except_)}"
    if selector.series:
        text += f" where {', '.join(f'{name}={pattern}' for name, pattern in sorted(selector.series.items()))}"
    return shorten(text, TEXT_SHOWN)


def _require_patterns(name: str, patterns: Collection[str]) -> None:
    if len(patterns) > MOST_PATTERNS:
        raise ValueError(f"{name} has {len(patterns)} patterns; {MOST_PATTERNS} are the most, and * is any text")
    for pattern in patterns:
        if not pattern or len(pattern) > PATTERN_LENGTH or _odd(pattern):
            raise ValueError(
                f"{name} has a pattern that is empty, longer than {PATTERN_LENGTH} characters, or no plain text"
            )


def one_line(name: str, text: str, most: int) -> str:
    """Return a text in one line; `ValueError` says why nobody should have to read it."""
    line = " ".join(text.split())
    if not line:
        raise ValueError(f"{name} is missing: whoever looks at this at night must know")
    if len(line) > most:
        raise ValueError(f"{name} is longer than {most} characters")
    if _odd(line):
        raise ValueError(f"{name} has control characters")
    return line


def _odd(text: str) -> bool:
    """Return whether a text has what neither a terminal nor UTF-8 takes: control characters, lone surrogates."""
    return any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text)
