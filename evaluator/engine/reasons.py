"""Why an alert entered a state: one sentence, with the numbers in it.

This module words what `alerts` decided. It decides nothing.
"""

from evaluator.engine.alerts import Alert, Finding, State, Verdict
from evaluator.engine.rules import NoDataPolicy, Rule, Tier
from evaluator.engine.units import format_duration
from evaluator.engine.window import beyond
from evaluator.engine.wording import healthy_text, held_text, tier_text, value_text


def reason_of(rule: Rule, tier: Tier, before: State, alert: Alert, finding: Finding) -> str:
    """Return why the alert went from `before` to the state it is in now."""
    said = _what_was_seen(rule, tier, alert, finding)
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
            return f"{said}; ends when that has lasted {format_duration(tier.recover.for_)}"
        case State.QUIET if before is State.RECOVERING and tier.recover.for_ > 0:
            return f"{said}, and has been for {format_duration(tier.recover.for_)}"
        case _:
            return said


def _what_was_seen(rule: Rule, tier: Tier, alert: Alert, finding: Finding) -> str:
    if finding.value is None:
        missing = f"no sample for {held_text(alert.absent)}"
        if finding.verdict is Verdict.CLEAR and rule.no_data.policy is NoDataPolicy.RESOLVE:
            return f"{missing}, and no_data resolves after {format_duration(rule.no_data.resolve_after)}"
        return f"{missing}, and no_data is breach"
    value = value_text(finding.value, rule.unit)
    if finding.verdict is Verdict.BREACH:
        if tier.datapoints is not None:
            count = beyond(tier, alert.window[-tier.datapoints.n :])
            return f"{count} of the last {tier.datapoints.n} samples {tier_text(tier, rule.unit)}, now {value}"
        return f"{value} is {tier_text(tier, rule.unit)}"
    if finding.verdict is Verdict.CLEAR and tier.datapoints is None and tier.recover.datapoints is None:
        return f"{value} is {healthy_text(tier, rule.unit)}"
    if finding.verdict is Verdict.CLEAR:
        needed = tier.recover.datapoints
        allowed = f"at most {needed} samples" if needed else f"fewer than {tier.datapoints} samples"
        return f"{allowed} {tier_text(tier, rule.unit)}, now {value}"
    return f"{value} is not {healthy_text(tier, rule.unit)}"
