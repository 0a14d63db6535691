"""What it means that a series which was seen before is not in a good answer.

This module knows one number: for how many seconds of *good* answers the series has been missing. Failed polls never
count, so a source that is down makes nothing missing.
"""

from typing import assert_never

from evaluator.engine.alerts import Verdict
from evaluator.engine.rules import NoDataPolicy, Rule

MISSING_STEPS = 3
"""A series is missing after this many steps (plus the rule's `lag`) of good answers without it."""

FORGET_AFTER = 86_400.0
"""Seconds of good answers without a series after which it is forgotten; see `forgotten_after`."""


def missing_after(rule: Rule) -> float:
    """Return after how many seconds of good answers without it a series counts as missing."""
    return MISSING_STEPS * rule.step + rule.lag


def is_missing(rule: Rule, absent: float) -> bool:
    """Return whether a series counts as missing after so many seconds of good answers without it."""
    return absent >= missing_after(rule)


def forgotten_after(rule: Rule) -> float:
    """Return after how many seconds of good answers without it a series is forgotten.

    Never before `resolve_after`; and what comes once a day must have been missing for a while before it is forgotten.
    """
    return max(FORGET_AFTER, rule.no_data.resolve_after, 2 * missing_after(rule))


def missing_verdict(rule: Rule, absent: float) -> Verdict:
    """Return what the rule's `no_data` makes of a series that has been missing for so many seconds of good answers."""
    if not is_missing(rule, absent):
        return Verdict.UNKNOWN
    match rule.no_data.policy:
        case NoDataPolicy.HOLD:
            return Verdict.UNKNOWN
        case NoDataPolicy.BREACH:
            return Verdict.BREACH
        case NoDataPolicy.RESOLVE:
            return Verdict.CLEAR if absent >= rule.no_data.resolve_after else Verdict.UNKNOWN
        case _:
            assert_never(rule.no_data.policy)
