"""What rules ask of which source, and what a poll says of its source: whether it answered at all.

This module knows queries and answers. It remembers nothing.
"""

import json
from collections.abc import Iterable
from functools import lru_cache

from evaluator.engine.rules import Query, Rule
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples

Answer = tuple[Query, PollResult]
"""What was asked, and what came."""


def gate_of(rule: Rule) -> Query | None:
    """Return the query of its `only_if`, or `None`."""
    return None if rule.only_if is None else rule.only_if.query


def is_gated_elsewhere(rule: Rule) -> bool:
    """Return whether its `only_if` asks another source than itself."""
    gate = gate_of(rule)
    return gate is not None and gate.source != rule.source


def sources_of(rule: Rule) -> tuple[str, ...]:
    """Return the sources that it asks, its own first."""
    gate = gate_of(rule)
    return (rule.source,) if gate is None or gate.source == rule.source else (rule.source, gate.source)


@lru_cache(maxsize=4096)
def asks_whether_up(query: Query) -> bool:
    """Return whether a query is for the measure `up`, which each source has."""
    fields = json.loads(query.spec)
    return isinstance(fields, dict) and fields.get("measure") == "up"


def says_down(query: Query, result: PollResult) -> bool:
    """Return whether this is the source's own word that it is down: `up` is 0, and has no labels.

    With labels it speaks of something that the source looks at, such as the target of a probe.
    """
    return (
        isinstance(result, Samples)
        and asks_whether_up(query)
        and len(result) > 0
        and not any(result.values)
        and not any(result.labels)
    )


def says_something(answers: Iterable[Answer]) -> bool:
    """Return whether there is an answer at all, or a complaint that only a source makes that understood us."""
    return any(
        result.reason is FailureReason.BAD_QUERY if isinstance(result, PollFailed) else not says_down(query, result)
        for query, result in answers
    )
