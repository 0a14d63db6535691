"""Why an alert entered a state, and what was seen of it: one sentence, with the numbers in it.

This module words what `alerts` decided. It decides nothing.
"""

from typing import assert_never

from evaluator.engine.alerts import Alert, Finding, Looked, State, Verdict
from evaluator.engine.calendar import time_text
from evaluator.engine.gate import ENDS
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.units import format_duration
from evaluator.engine.wording import healthy_text, held_text, tier_text, value_text


def reason_of(rule: Rule, tier: Tier, before: State, alert: Alert, finding: Finding) -> str:
    """Return why the alert went from `before` to the state it is in now."""
    said = _what_was_seen(rule, tier, finding)
    recovery = max(tier.recover.for_, finding.hold)
    match alert.state:
        case State.PENDING:
            return f"{said}; fires when that has lasted {format_duration(tier.for_)}"
        case State.FIRING if before is State.RECOVERING:
            return f"{said} again, before it had recovered"
        case State.FIRING if finding.worse and finding.at - alert.active_at < tier.for_:
            return f"{said}, while a worse limit of the same series is passed"
        case State.FIRING if tier.for_ > 0:
            return f"{said}, and has been for {held_text(finding.at - alert.active_at)}"
        case State.RECOVERING:
            return f"{said}; ends when that has lasted {format_duration(recovery)}"
        case State.QUIET if before is State.RECOVERING and recovery > 0:
            return f"{said}, and has been for {format_duration(recovery)}"
        case _:
            return said


def sentence(rule: Rule, tier: Tier, looked: Looked) -> str:
    """Return what was seen of an alert in one evaluation: value, limit, since when, and what it waits for."""
    text = _sentence(rule, tier, looked)
    return text if looked.fresh else f"{text}; nothing newer was told"


def _sentence(rule: Rule, tier: Tier, looked: Looked) -> str:
    said, since = _what_is_known(rule, tier, looked), f"since {_clock_text(looked.active_at, looked.at)}"
    unknown = looked.verdict is Verdict.UNKNOWN
    match looked.state:
        case State.QUIET:
            return said
        case State.PENDING if unknown:
            return f"{said}; pending {since}, and neither fires nor ends on that"
        case State.PENDING:
            # A count that began anew after blindness would not add up without saying so.
            anew = f", counted from {_clock_text(looked.clock, looked.at)}" if looked.clock > looked.active_at else ""
            return f"{said} {since}{anew}, fires {_until(looked.clock + tier.for_, looked)}"
        case State.FIRING if unknown:
            return f"{said}; firing {since}{_stays(looked)}"
        case State.FIRING:
            return f"{said}; {'' if looked.verdict is Verdict.BREACH else 'still '}firing {since}"
        case State.RECOVERING if unknown:
            return f"{said}; recovering since {_clock_text(looked.clock, looked.at)}{_stays(looked)}"
        case State.RECOVERING:
            begun, ends = _clock_text(looked.clock, looked.at), looked.clock + max(tier.recover.for_, looked.hold)
            return f"{said} since {begun}, ends {_until(ends, looked)}"
        case _:
            assert_never(looked.state)


def seen_text(rule: Rule, tier: Tier, finding: Finding, count: int) -> str:
    """Return what to say of a sample besides its value and its limit; an empty string where these say everything.

    `finding.said` is what the conditions that look back had to say, `count` for how many samples of a window they hold.
    """
    value, said, verdict = value_text(finding.value, rule.unit), finding.said, finding.verdict
    if verdict is Verdict.UNKNOWN:
        return said
    if tier.datapoints is not None and verdict is not Verdict.CLEAR:
        counted = f"{count} of the last {tier.datapoints.n} samples {tier_text(tier, rule.unit)}, now {value}"
        return f"{counted}: {said}" if said else counted
    needed = tier.recover.datapoints
    if verdict is Verdict.BETWEEN and needed is not None:
        return f"not yet at most {needed} samples {tier_text(tier, rule.unit)}, now {value}"
    if verdict is Verdict.CLEAR and (tier.datapoints is not None or needed is not None):
        allowed = f"at most {needed} samples" if needed else f"fewer than {tier.datapoints} samples"
        return f"{allowed} {tier_text(tier, rule.unit)}, now {value}"
    # Between the limits, and back at a recovery limit, it is the value alone that counts.
    return said if verdict is Verdict.BREACH or tier.recover.limit is None else ""


def missed_text(rule: Rule, verdict: Verdict, absent: float) -> str:
    """Return what to say of a series that has been missing for so many seconds of good answers."""
    missing = f"no sample for {held_text(absent)}"
    match verdict:
        case Verdict.BREACH:
            return f"{missing}, and no_data is breach"
        case Verdict.CLEAR:
            return f"{missing}, and no_data resolves after {format_duration(rule.no_data.resolve_after)}"
        case _:
            return missing


def _what_was_seen(rule: Rule, tier: Tier, finding: Finding | Looked) -> str:
    if finding.said:
        return finding.said
    value = value_text(finding.value, rule.unit)
    if finding.verdict is Verdict.BREACH:
        return f"{value} is {tier_text(tier, rule.unit)}"
    return f"{value} is {'' if finding.verdict is Verdict.CLEAR else 'not '}{healthy_text(tier, rule.unit)}"


def _what_is_known(rule: Rule, tier: Tier, looked: Looked) -> str:
    """Return what was seen, or since when that is not known, and why."""
    if looked.verdict is Verdict.UNKNOWN:
        said = looked.said or "there is no value"
        return said if looked.state is State.QUIET else f"unknown since {_clock_text(looked.known, looked.at)}: {said}"
    seen = _what_was_seen(rule, tier, looked)
    asked = tier.trend is not None or tier.unusual is not None
    if looked.said and asked and looked.verdict is Verdict.BREACH and tier.datapoints is None:
        seen = f"{seen}: {tier_text(tier, rule.unit)}"
    return seen


def _stays(looked: Looked) -> str:
    """Return that it does not end for want of knowledge; but for a gate that does not hold, which has said when."""
    return "" if looked.said.endswith(ENDS) else ", and does not end on that"


def _until(at: float, looked: Looked) -> str:
    """Return when a state passes that is held until a time."""
    if at <= looked.at:
        return f"at {_clock_text(at, looked.at)} if that lasts"
    return f"at {_clock_text(at, looked.at)} if that lasts ({held_text(at - looked.at)} to go)"


def _clock_text(at: float, today: float) -> str:
    """Return a time for people, without the day where it is today's."""
    text, day = time_text(at), time_text(today)[:10]
    return text.removeprefix(f"{day} ")
