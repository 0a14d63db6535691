"""What the measures of a probe are: what was seen becomes values, or is not known.

This module knows what was seen as values. It never sends a request. It decides the one thing that matters most: whether
a target is down, or we are blind.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.fields import MisfitError
from evaluator.sources.http_exchange import Seen
from evaluator.sources.http_faults import Blame, Fault
from evaluator.sources.http_query import HttpQuery, HttpSettings, HttpTarget
from evaluator.sources.http_tls import ends
from evaluator.sources.weather import place, said

DAY = 86_400.0
_MOST_WARNINGS = 20
_MOST_NAMED = 3


def named(query: HttpQuery, settings: HttpSettings) -> list[str] | PollFailed:
    """Return the targets that a query means, each of which has the measure."""
    try:
        settings.refuse(query)
    except MisfitError as error:
        return PollFailed(FailureReason.BAD_QUERY, str(error))
    return settings.meant(query)


def problem(target: HttpTarget, seen: Seen) -> Fault | None:
    """Return why a target is not as it should be; `None`: all is well."""
    if seen.fault is not None:
        return seen.fault
    if not _expected(target, seen):
        wanted = " or ".join(target.expect_status)
        reason = FailureReason.UNAVAILABLE if (seen.status or 0) >= 500 else FailureReason.BAD_ANSWER
        return Fault(reason, f"HTTP {seen.status} instead of {wanted}")
    return seen.mismatch


def blame(settings: HttpSettings, seen: Mapping[str, Seen]) -> dict[str, Fault]:
    """Return the targets of which nothing is known because of ourselves, and why.

    A target that cannot be reached is down, unless it is our own network that is: an error that is always ours, a
    resolver that has no answer for any target, no way to any other machine, or a witness that is silent as well.
    """
    resolver = any(each.resolved for each in seen.values())
    network = any(each.reached for each in seen.values())
    unknown_names = [each for each in seen.values() if each.fault is not None and each.fault.blame is Blame.NAME]
    witnessed = not settings.witness or any(seen[name].status is not None for name in settings.witness if name in seen)
    ours: dict[str, Fault] = {}
    for name, each in seen.items():
        fault = each.fault or each.mismatch
        if fault is None:
            continue
        blind = {
            Blame.OURS: True,
            Blame.NAMES: not resolver,
            Blame.NAME: not resolver and len(unknown_names) > 1,
            Blame.NETWORK: not network,
            Blame.TARGET: False,
        }[fault.blame]
        if blind:
            ours[name] = fault
        elif not witnessed and each.status is None:
            ours[name] = Fault(fault.reason, f"{fault.text}, and no witness answers either: it may be our own network")
    return ours


class Answers:
    """What was seen in one poll, as answers to queries."""

    def __init__(self, settings: HttpSettings, seen: Mapping[str, Seen], now: float) -> None:
        """Take what was seen as of the slot `now`."""
        self._settings = settings
        self._seen = seen
        self._now = now
        self._ours = blame(settings, seen)
        self._documents: dict[str, Any] = {}

    def ours(self, name: str) -> Fault | None:
        """Return why nothing is known of a target, where that is our own fault."""
        return self._ours.get(name)

    def answer(self, query: HttpQuery, names: Sequence[str]) -> PollResult:
        """Return a row for each target; NaN for one of which nothing is known, a failure where that is so for all."""
        values: list[float] = []
        warnings: list[str] = []
        first: Fault | None = None
        for name in names:
            value, fault = self._value(query, name)
            values.append(value)
            if fault is not None:
                first = first or (fault if math.isnan(value) else None)
                warnings.append(f"{name} ({place(self._settings.targets[name].address)}): {fault.text}")
        if first is not None and all(map(math.isnan, values)):
            more = f" (and {len(warnings) - _MOST_NAMED} more)" if len(warnings) > _MOST_NAMED else ""
            return PollFailed(first.reason, "; ".join(warnings[:_MOST_NAMED]) + more)
        if len(warnings) > _MOST_WARNINGS:
            warnings[_MOST_WARNINGS:] = [f"and {len(warnings) - _MOST_WARNINGS} more"]
        return Samples([{"target": name} for name in names], values, warnings=tuple(warnings))

    def _value(self, query: HttpQuery, name: str) -> tuple[float, Fault | None]:
        """Return the value for one target, and what there is to say of it; NaN: it is not known."""
        target, seen = self._settings.targets[name], self._seen[name]
        ours = self._ours.get(name)
        if query.measure == "up" and ours is None:
            wrong = problem(target, seen)
            return float(wrong is None), wrong
        if query.measure == "status" and seen.status is not None:
            return float(seen.status), None
        if query.measure == "latency" and query.phase in seen.took:
            return seen.took[query.phase], None
        if query.measure == "tls_days_left" and seen.certificate is not None:
            end = ends(seen.certificate)
            unreadable = Fault(FailureReason.BAD_ANSWER, "its certificate cannot be read")
            return (math.nan, unreadable) if end is None else ((end - self._now) / DAY, None)
        if query.measure == "match" and seen.fault is None:
            wrong = seen.mismatch
            return (math.nan if ours else float(wrong is None)), wrong
        if query.measure == "value" and seen.fault is None and _expected(target, seen):
            return self._number(name, query.path or "")
        return math.nan, ours or problem(target, seen) or Fault(FailureReason.BAD_ANSWER, f"no {query.measure}")

    def _number(self, name: str, path: str) -> tuple[float, Fault | None]:
        """Return the number at a path of a JSON body."""
        seen = self._seen[name]
        if name not in self._documents:
            try:
                self._documents[name] = json.loads(seen.body)
            except (ValueError, RecursionError):
                self._documents[name] = None
                what = "the body is longer than max_size" if seen.cut else "the body is no JSON"
                return math.nan, Fault(FailureReason.TOO_BIG if seen.cut else FailureReason.BAD_ANSWER, what)
        value = self._documents[name]
        for part in path.split("."):
            inner = _inner(value, part)
            if inner is None:
                return math.nan, Fault(FailureReason.BAD_ANSWER, said(f"its JSON has no {path} (nothing at {part})"))
            (value,) = inner
        if not isinstance(value, int | float):
            return math.nan, Fault(FailureReason.BAD_ANSWER, said(f"{path} in its JSON is no number"))
        try:
            return float(value), None
        except OverflowError:
            return math.nan, Fault(FailureReason.BAD_ANSWER, said(f"{path} in its JSON is too large"))


def _inner(value: object, part: str) -> tuple[Any] | None:
    """Return the part of a JSON value in a tuple; `None` where it has no such part."""
    if isinstance(value, dict):
        return (value[part],) if part in value else None
    if isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(value):
        return (value[int(part)],)
    return None


def _expected(target: HttpTarget, seen: Seen) -> bool:
    """Return whether the status is one of those that the settings expect."""
    text = str(seen.status)
    return text in target.expect_status or f"{text[0]}xx" in target.expect_status
