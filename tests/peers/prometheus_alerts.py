"""The same series judged by Prometheus' alerting rules and by evaluator, minute by minute.

A series has one letter for each minute: 0 is not beyond the limit, X is, - is no sample (the series has gone stale),
N is NaN. States have one letter too: . inactive (quiet), P pending, F firing, R recovering, which is still open.
"""

from typing import NamedTuple


class Example(NamedTuple):
    """One series under one rule. `keep` minutes are `keep_firing_for` there, and `recover.for` here."""

    series: str
    for_: float
    """Minutes."""
    keep: float
    """Minutes."""
    theirs: str
    ours: str
    because: str = ""
    """Why the two differ; empty where they do not."""


_GAP = "up to three steps without a sample count as held: one lost scrape resets nothing"
_LONG = "a longer gap starts the count anew, as there; that the breach began before it is kept"
_GONE = "a missing series is not a healthy one: what is open stays open until a sample says otherwise"
_NAN = "NaN is not a value below the limit: nobody knows"

EXAMPLES = (
    Example("0XXX00", 0, 0, ".FFF..", ".FFF.."),
    Example("0XXXX0", 2, 0, ".PPFF.", ".PPFF."),
    # To hold for a minute takes two samples, and a minute and a half takes three.
    Example("0XXXX0", 1, 0, ".PFFF.", ".PFFF."),
    Example("0XXXX0", 1.5, 0, ".PPFF.", ".PPFF."),
    Example("0XX0XXX0", 2, 0, ".PP.PPF.", ".PP.PPF."),
    Example("XX0000X", 0, 3, "FFFFF.F", "FFRRR.F"),
    Example("XX00X000", 0, 3, "FFFFFFFF", "FFRRFRRR"),
    Example("XXX00X0000", 2, 2, "PPFFFFFF..", "PPFRRFRR.."),
    Example("XX-XX", 3, 0, "PP.PP", "PPPFF", _GAP),
    Example("XX--XX", 5, 0, "PP..PP", "PPPPPF", _GAP),
    Example("XX---XXX", 2, 0, "PP...PPF", "PPPPPPPF", _LONG),
    Example("XX--", 0, 0, "FF..", "FFFF", _GONE),
    Example("XX-----0", 0, 3, "FFFFF...", "FFFFFFFR", _GONE),
    Example("XX0-00000", 0, 3, "FFFFF....", "FFRRR....", ""),
    Example("XXNX", 0, 0, "FF.F", "FFFF", _NAN),
    Example("XXNX", 2, 0, "PP.P", "PPPF", _NAN),
)
