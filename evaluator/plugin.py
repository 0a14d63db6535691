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
from evaluator.sources.fields import Bytes, Options, Seconds, Strict, refuse_idle_options
from evaluator.sources.rates import Rates, Reading
from evaluator.sources.source import Examined, Metered, Source, SourceType
from evaluator.sources.threads import Threads
from evaluator.sources.weather import place, reason_of, said, timed_out

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
    "RetryLater",
    "Samples",
    "Seconds",
    "Series",
    "Severity",
    "Source",
    "SourceType",
    "Strict",
    "Threads",
    "place",
    "reason_of",
    "refuse_idle_options",
    "said",
    "series_of",
    "series_text",
    "timed_out",
]
