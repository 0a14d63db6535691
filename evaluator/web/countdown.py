"""How long until a pending alert fires, or a recovering one is over, if nothing changes.

This module knows one alert and its tier. It never knows how a wait is drawn.
"""

import math

from evaluator.engine.alerts import BLIND_STEPS, Alert, State, Verdict
from evaluator.engine.rules import Tier


def time_left(alert: Alert, tier: Tier, *, every: float, step: float, now: float) -> float | None:
    """Return the seconds until the evaluation that will fire (or close) the alert if its verdict stays what it is.

    `None` where no time can be told: the alert waits for nothing, or it is blind. An alert only moves at one of its
    evaluations, `every` seconds apart, and where samples come late they come as late as the last one did.
    """
    match alert.state:
        case State.PENDING:
            hold = tier.for_
        case State.RECOVERING:
            hold = tier.recover.for_
        case _:
            return None
    if alert.verdict is Verdict.UNKNOWN or now - alert.judged > BLIND_STEPS * step:
        return None
    late = 0.0 if alert.sample_at is None else max(alert.judged - alert.sample_at, 0.0)
    due = alert.clock + hold + late
    # The tolerance keeps a due time that lies on a slot, but for float noise, from being put off to the next one.
    slots = max(math.ceil((due - alert.judged) / every - 1e-6), 1)
    return max(alert.judged + slots * every - now, 0.0)
