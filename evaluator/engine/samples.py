"""What a source answers: samples in columns, or the reason why there are none.

This module knows values and labels. It never knows where they come from, what a rule makes of them, or what time it is.

A poll of 100,000 series must stay a scan, so a good answer keeps its rows in columns (one sequence of values, one of
label mappings), and a `Series` key is only made for the few rows that a rule has something to say about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Series = tuple[tuple[str, str], ...]
"""A series is its labels, sorted by name; nothing else is part of its identity."""

METRIC_NAME = "__name__"
"""Prometheus' label with the name of the metric. It is part of a series' identity, but no label by which two answers
could be joined: different questions have different metrics, and are about the same thing all the same."""


def series_of(labels: Mapping[str, str]) -> Series:
    """Return the key of the series that has these labels."""
    return tuple(sorted(labels.items()))


def series_text(series: Series) -> str:
    """Return a series as people write it: `device=sda, host=web-1`; an empty string where there are no labels.

    The name of the metric says nothing that the rule does not say, so it is left out.
    """
    return ", ".join(f"{name}={value}" for name, value in series if name != METRIC_NAME)


class FailureReason(StrEnum):
    """Why a poll failed: the label of the metric, the field in the log, and the first word of the sentence."""

    REFUSED = "refused"
    """Nobody listens there, or the name does not resolve."""
    TIMEOUT = "timeout"
    """No answer in time."""
    RESET = "reset"
    """The connection broke while we talked."""
    TLS = "tls"
    """The certificate or the handshake is not acceptable."""
    AUTH = "auth"
    """The credential is missing, wrong, or not allowed to ask this."""
    RATE_LIMITED = "rate_limited"
    """The source asks us to come back later."""
    UNAVAILABLE = "unavailable"
    """The source answers that it cannot answer now (5xx, LOADING, MASTERDOWN, ...)."""
    BAD_QUERY = "bad_query"
    """The source understood us and says that the query is wrong: an edit of the rule mends it."""
    BAD_ANSWER = "bad_answer"
    """The answer is not what the protocol promises: HTML, truncated or malformed JSON, a wrong type."""
    TOO_BIG = "too_big"
    """The answer is larger than the source's limit; it was not read to its end."""
    INTERNAL = "internal"
    """A mistake of the adapter itself; the log has its traceback."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A good answer to one query: a row for each sample, in columns. An empty answer is a good answer.

    Series are unique unless the rows carry their own timestamps: then a series may have several rows, and they are
    judged in the order of their timestamps.
    """

    labels: Sequence[Mapping[str, str]] = ()
    """The labels of each row."""
    values: Sequence[float] = ()
    """The value of each row, in the rule's unit; NaN is a value that says nothing."""
    at: Sequence[float] | None = None
    """The rows' own timestamps (seconds since the epoch), for sources whose samples carry them and come late; `None`
    where a value is as of the slot at which it was asked. They may be told again and again: what was judged is not
    judged again, and what is older than an hour or ten of the rule's steps (plus its `lag`), or more than a day in the
    future, is not judged at all."""
    gone: frozenset[Series] = frozenset()
    """Series that the source knows to have ended (a terminated instance): their alerts are quiet at once."""
    warnings: tuple[str, ...] = ()
    """What the source had to say about an answer that it nevertheless gave."""
    notes: Mapping[Series, str] = field(default_factory=dict)
    """What the source knows of single series, for a person: it ends the reason of their alerts. Never identity."""
    blind: frozenset[Series] = frozenset()
    """Series that the source knows to go on although it cannot see their value now (a running instance whose metrics
    are late): as long as they bring nothing new they are unknown, and never missing."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class PollFailed:
    """No answer. It opens nothing and closes nothing."""

    reason: FailureReason
    message: str
    """One sentence for a person: what was asked, what came instead. Never a secret, never a traceback."""


PollResult = Samples | PollFailed
"""What a source answers to one query."""
