"""How `evaluator doctor` tries a source: it lets the source examine itself, and polls one that cannot.

This module knows the protocol of a source. It never knows a system, and survives whatever a plugin does.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from evaluator.daemon.answers import gate_of, sources_of
from evaluator.engine.rules import Query, Rule, RuleSet
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.source import Examined, Source, SourceType
from evaluator.web.wording import count

USUAL_TIMEOUT = 10.0
"""Seconds, for a source whose settings have no `timeout`."""
GRACE = 2.0
"""Seconds that an examination may take beyond the source's own timeout."""
GOODBYE = 2.0
"""Seconds that closing may take."""

_MENDS = {
    FailureReason.REFUSED: "start it there, or correct the address in [sources.{name}]",
    FailureReason.TIMEOUT: "see whether it is overloaded or a firewall drops the packets, or raise its `timeout`",
    FailureReason.RESET: "look into its log, and at proxies and firewalls in between",
    FailureReason.TLS: "see to its certificate, or name the authority that signed it (`ca`) in [sources.{name}]",
    FailureReason.AUTH: "correct the credential in [sources.{name}], or grant what the sentence names",
    FailureReason.RATE_LIMITED: "ask less often: raise `every` of the rules",
    FailureReason.UNAVAILABLE: "look into its log",
    FailureReason.BAD_QUERY: "correct the query of the rule; `evaluator eval RULE` shows what comes back",
    FailureReason.BAD_ANSWER: "see whether the address in [sources.{name}] is that of another service, or of a proxy",
    FailureReason.TOO_BIG: "let the query answer with fewer series, or raise the limit that the sentence names",
    FailureReason.INTERNAL: "this is a mistake of the source's type: tell whoever made it",
}


def rules_of(rules: RuleSet, source: str, *, waiting: bool) -> list[Rule]:
    """Return the rules in force that ask a source; with `waiting` those, too, that are off because the source is."""
    return [rule for rule in rules if source in sources_of(rule) and (rule.judged or (waiting and rule.off_because))]


def limit_of(settings: object) -> float:
    """Return the seconds after which a source has not answered."""
    timeout = getattr(settings, "timeout", None)
    return (float(timeout) if isinstance(timeout, int | float) else USUAL_TIMEOUT) + GRACE


async def examined(name: str, kind: SourceType, settings: Any, rules: Sequence[Rule], now: float) -> list[Checkup]:  # noqa: ANN401  # Its type's own model.
    """Open a source, try everything that the rules need, and close it; whatever goes wrong is a checkup."""
    source: Source | None = None
    limit = limit_of(settings)
    try:
        async with asyncio.timeout(limit):
            source = kind(name, settings)
            await source.open()
            asked = [query for rule in rules for query in (rule.query, gate_of(rule)) if query is not None]
            queries = [query for query in dict.fromkeys(asked) if query.source == name]
            if isinstance(source, Examined):
                return _checked(await source.examine(queries, now))
            return _read(name, queries, rules, await source.poll(queries, now))
    except TimeoutError:
        return [_late(limit)]
    except Exception as error:  # noqa: BLE001 - a plugin's adapter may raise anything; it is one source of several.
        found = f"the source failed with {type(error).__name__}"
        return [Checkup(Grade.WRONG, "source", found, _MENDS[FailureReason.INTERNAL])]
    finally:
        if source is not None:
            with suppress(Exception):
                async with asyncio.timeout(GOODBYE):
                    await source.close()


def _late(limit: float) -> Checkup:
    found = f"it did not end within {limit:g} s, which is longer than its own timeout"
    return Checkup(Grade.WRONG, "source", found, _MENDS[FailureReason.TIMEOUT])


def _checked(found: object) -> list[Checkup]:
    """Return what `examine` answered, if it is what it must be."""
    if isinstance(found, list) and all(isinstance(each, Checkup) for each in found):
        return found or [Checkup(Grade.FINE, "source", "it found nothing to try")]
    said = f"`examine` answered {type(found).__name__} instead of a list of checkups"
    return [Checkup(Grade.WRONG, "source", said, _MENDS[FailureReason.INTERNAL])]


def _read(name: str, queries: Sequence[Query], rules: Sequence[Rule], answers: Sequence[PollResult]) -> list[Checkup]:
    """Return what one poll of a source says that cannot examine itself."""
    if not queries:
        return [Checkup(Grade.FINE, "source", "it opens; no rule in force asks it, so nothing else was tried")]
    if len(answers) != len(queries):
        said = f"it gave {count(len(answers), 'answer')} to {count(len(queries), 'query', 'queries')}"
        return [Checkup(Grade.WRONG, "source", said, _MENDS[FailureReason.INTERNAL])]
    found: list[Checkup] = []
    good = series = 0
    for query, answer in zip(queries, answers, strict=True):
        asking = [rule.name for rule in rules if rule.query == query]
        subject = f"rule {asking[0]}" + (f" and {len(asking) - 1} more" if len(asking) > 1 else "")
        if isinstance(answer, PollFailed):
            mend = _MENDS[answer.reason].format(name=name)
            found.append(Checkup(Grade.WRONG, subject, f"{answer.reason.value}: {answer.message}", mend))
            continue
        remarks = _remarks(name, query, subject, answer)
        found += remarks
        if not any(each.grade is Grade.WRONG for each in remarks):
            good, series = good + 1, series + len(answer)
    if good:
        said = f"answers {count(good, 'query', 'queries')} with {count(series, 'series', 'series')}"
        found.insert(0, Checkup(Grade.FINE, "poll", said))
    return found


def _remarks(name: str, query: Query, subject: str, answer: Samples) -> list[Checkup]:
    """Return what is to be said of a good answer: `up` may well say that the system is down."""
    down = '"up"' in query.spec and list(answer.values) == [0.0]
    grade = Grade.WRONG if down else Grade.WARNING
    mend = (
        _MENDS[FailureReason.REFUSED].format(name=name) if down else f"`evaluator eval` with the {subject} shows more"
    )
    said = answer.warnings or (("it is down",) if down else ())
    return [Checkup(grade, subject, " ".join(text.split()), mend) for text in said]
