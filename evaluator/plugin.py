"""What a source or a notifier of a third party is written with: import from here, and from `evaluator.testing`.

A package adds one by an entry point in the group `evaluator.sources` or `evaluator.notifiers`, whose name is the `type`
in the settings. This module only names things; what they promise is written where they are defined.
"""

from evaluator.engine.rules import Query, Severity
from evaluator.engine.samples import (
    FailureReason,
    PollFailed,
    PollResult,
    Samples,
    Series,
    series_of,
    series_text,
)
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Message, Outcome, Refused, RetryLater
from evaluator.notifiers.notifier import Notifier, NotifierType
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.fields import Bytes, MisfitError, Options, Seconds, Strict, refuse_idle_options, refuse_unknown
from evaluator.sources.rates import Rates, Reading
from evaluator.sources.source import Examined, Metered, NoHistory, Refusing, Source, SourceType
from evaluator.sources.threads import Threads
from evaluator.sources.weather import nobody_there, place, reason_of, said, timed_out, up_after

__all__ = [
    "Accepted",
    "Action",
    "Bytes",
    "Checkup",
    "Delivery",
    "Examined",
    "FailureReason",
    "Grade",
    "Message",
    "Metered",
    "MisfitError",
    "NoHistory",
    "Notifier",
    "NotifierType",
    "Options",
    "Outcome",
    "PollFailed",
    "PollResult",
    "Query",
    "Rates",
    "Reading",
    "Refused",
    "Refusing",
    "RetryLater",
    "Samples",
    "Seconds",
    "Series",
    "Severity",
    "Source",
    "SourceType",
    "Strict",
    "Threads",
    "nobody_there",
    "place",
    "reason_of",
    "refuse_idle_options",
    "refuse_unknown",
    "said",
    "series_of",
    "series_text",
    "timed_out",
    "up_after",
]
