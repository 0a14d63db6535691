"""AWS' published examples of M out of N with missing data, and what evaluator makes of the same data points.

The two tables are those of "How alarm state is evaluated when data is missing"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html): N is 3, and the five most
recent data points are shown, the newest on the right; 0 is not breaching, X is breaching, - is missing.
"""

from typing import NamedTuple

from evaluator.engine.rules import NoDataPolicy

OK, ALARM, RETAIN, INSUFFICIENT = "OK", "ALARM", "retain current state", "INSUFFICIENT_DATA"

TREATMENTS = {
    "missing": NoDataPolicy.HOLD,
    "ignore": NoDataPolicy.HOLD,
    "breaching": NoDataPolicy.BREACH,
    "notBreaching": NoDataPolicy.RESOLVE,
}
"""AWS' settings by column, with the `no_data` that says the same; `notBreaching` is `{ resolve_after = "0s" }`."""


class Example(NamedTuple):
    """One row of AWS' tables."""

    points: str
    m: int
    states: tuple[str, str, str, str]
    """What CloudWatch sets, in the order of `TREATMENTS`."""


EXAMPLES = (
    Example("0 - X - X", 3, (OK, OK, OK, OK)),
    Example("0 - - - -", 3, (OK, OK, OK, OK)),
    Example("- - - - -", 3, (INSUFFICIENT, RETAIN, ALARM, OK)),
    Example("0 X X - X", 3, (ALARM, ALARM, ALARM, ALARM)),
    Example("- - X - -", 3, (ALARM, RETAIN, ALARM, OK)),
    Example("0 - X - X", 2, (ALARM, ALARM, ALARM, ALARM)),
    Example("0 0 X 0 X", 2, (ALARM, ALARM, ALARM, ALARM)),
    Example("0 - X - -", 2, (OK, OK, ALARM, OK)),
    Example("- - - - 0", 2, (OK, OK, ALARM, OK)),
    Example("- - - X -", 2, (ALARM, RETAIN, ALARM, OK)),
)


class Difference(NamedTuple):
    """Where evaluator decides otherwise, on purpose."""

    ours: str
    """What evaluator makes of it, in AWS' words."""
    because: str


_HELD = "nobody knows, and what is open stays open: not knowing is no recovery"
_NOT_YET = "a series is missing after three steps, and not before; what comes late is not absent"
_ALL_MISSING = "a series that is missing for three steps is a breach by itself; `datapoints` counts samples only"
_PREMATURE = "M breaching samples are needed, and a gap is none of them; until then nothing opens and nothing ends"
_SPEAKS = "the series has just answered that it is well"

DIFFERENCES: dict[tuple[str, int, str], Difference] = {
    ("0 - - - -", 3, "breaching"): Difference(ALARM, _ALL_MISSING),
    ("- - - - -", 3, "missing"): Difference(RETAIN, _HELD),
    ("- - X - -", 3, "missing"): Difference(RETAIN, _PREMATURE),
    ("- - X - -", 3, "breaching"): Difference(RETAIN, _NOT_YET),
    ("- - X - -", 3, "notBreaching"): Difference(RETAIN, _NOT_YET),
    ("0 - X - -", 2, "breaching"): Difference(OK, _NOT_YET),
    ("- - - - 0", 2, "breaching"): Difference(OK, _SPEAKS),
    ("- - - X -", 2, "missing"): Difference(RETAIN, _PREMATURE),
}
"""By data points, M and treatment; all others are the same."""
