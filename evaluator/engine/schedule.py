"""`missed`: whether a success was due, and has not come.

This module knows due times and one last success. It never knows rules, alerts or a clock.
"""

from evaluator.engine.calendar import last_due, time_text
from evaluator.engine.look import Look
from evaluator.engine.shapes import Missed
from evaluator.engine.units import format_duration


def look(missed: Missed, value: float | None, now: float, since: float) -> Look:
    """Judge the time of the last success, in seconds since the epoch; `None` and 0: there has never been one.

    Only what became due since `since`, when the rule was first seen, can have been missed; and only `grace` after that
    is it missed.
    """
    if value is not None and value != value:  # noqa: PLR0124 - NaN.
        return Look(None, "the time of the last success is not known")
    due = last_due(missed.cron, missed.timezone, now - missed.grace)
    success = f"no success since {time_text(value)}" if value else "never a success"
    if due is None:
        return Look(holds=False, said=f"{missed.cron} ({missed.timezone}) has never been due")
    if due < since:
        return Look(holds=False, said=f"none has been due since the rule was first seen at {time_text(since)}")
    if value is None or value < due:
        grace = f", {format_duration(missed.grace)} of grace are over" if missed.grace else ""
        return Look(holds=True, said=f"{success}; one was due at {time_text(due)}{grace}")
    return Look(holds=False, said=f"the last success was at {time_text(value)}; one was due at {time_text(due)}")
