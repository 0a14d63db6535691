"""What `evaluator doctor` says of a Prometheus-compatible server: the connection, and each query.

This module knows answers as values and words for a person. It never talks to a server.
"""

import math
import re
from collections.abc import Mapping

from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.prometheus_query import PrometheusSettings
from evaluator.sources.weather import said

_MANY = 10_000
"""Series of one query that are worth a word."""
_SLOW = 0.25
"""Of the timeout: a query that takes longer is soon too slow."""

_MEND = {
    FailureReason.REFUSED: "see that the server runs, that `url` is right, and that a firewall lets us in",
    FailureReason.TIMEOUT: "ask for less (a recording rule on the server), raise `timeout`, or see if it is reached",
    FailureReason.RESET: "see the server's log, and whether `url` needs https://",
    FailureReason.TLS: "name the authority that signed its certificate in `ca`; a server without TLS needs http://",
    FailureReason.AUTH: "correct `token`, or `username` and `password`, or the tenant in `headers` (X-Scope-OrgID)",
    FailureReason.RATE_LIMITED: "ask more rarely, with `every`, or raise the limit on the server",
    FailureReason.UNAVAILABLE: "see the server's own log: it answers, but with an error",
    FailureReason.BAD_QUERY: "correct the expression in the rule; try it on the server's own page",
    FailureReason.BAD_ANSWER: "correct `url`: it is what comes before /api/v1/query",
    FailureReason.TOO_BIG: "ask for less with sum() or topk(), or raise `max_size`",
}
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*")
_SELECTOR = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_INNER = re.compile(r"\([^()]*\)")
_COMPARISON = re.compile(r"(==|!=|<=|>=|<|>)")
_SET = re.compile(r"\b(and|or|unless|bool)\b", re.IGNORECASE)


def compares(promql: str) -> bool:
    """Return whether an expression compares at its end, so that what is healthy gives no series.

    A comparison in a function (`count(up == 0)`), with `bool`, or as a filter (`a and b > 0`) is as it should be.
    """
    text = _SELECTOR.sub("", _QUOTED.sub("", promql)).strip()
    while _is_wrapped(text):
        text = text[1:-1].strip()
    while (shorter := _INNER.sub("", text)) != text:
        text = shorter
    return bool(_COMPARISON.search(text)) and not _SET.search(text)


def _is_wrapped(text: str) -> bool:
    """Return whether one pair of parentheses is around everything."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return letter == ")" and position == len(text) - 1
    return False


def connection(up: PollResult, build: Mapping[str, str] | PollFailed, seconds: float) -> Checkup:
    """Return whether the server answers queries, and which one it is."""
    if isinstance(up, PollFailed):
        return Checkup(Grade.WRONG, "connection", up.message, _mend(up))
    version = "" if isinstance(build, PollFailed) else said(build.get("version", ""))
    what = f"version {version}" if version else "its version is not told (/api/v1/status/buildinfo)"
    return Checkup(Grade.FINE, "connection", f"answers a query in {1000 * seconds:.0f} ms, {what}")


def expression(promql: str, answer: PollResult, seconds: float, settings: PrometheusSettings) -> list[Checkup]:
    """Return how a query was answered, and what may be better."""
    subject = f"query {_short(promql)}"
    if isinstance(answer, PollFailed):
        return [Checkup(Grade.WRONG, subject, answer.message, _mend(answer))]
    lines: list[Checkup] = []

    def warn(found: str, mend: str) -> None:
        lines.append(Checkup(Grade.WARNING, subject, found, mend))

    if answer.warnings:
        warn(said("; ".join(answer.warnings)), "correct the expression, or see the server's log")
    if compares(promql):
        warn(
            "compares, so what is healthy has no series and the rule cannot see it recover",
            "give the limit to the rule",
        )
    elif not len(answer):
        warn("has no series now", "see that the metric is there")
    if len(answer) > _MANY:
        warn(f"has {len(answer)} series", "add up what need not be told apart, with sum by (…)")
    if unknown := sum(map(math.isnan, answer.values)):
        warn(f"{unknown} of {len(answer)} values are NaN, which is unknown", "divide by what is not 0: a / (b > 0)")
    if seconds > _SLOW * settings.timeout:
        warn(f"takes {seconds:.1f} s of {settings.timeout:g} s", "make it a recording rule on the server")
    if not lines:
        return [Checkup(Grade.FINE, subject, f"{len(answer)} series in {1000 * seconds:.0f} ms")]
    return lines


def _mend(failed: PollFailed) -> str:
    """Return how to mend a failure."""
    return _MEND.get(failed.reason, "see the server's log")


def _short(promql: str) -> str:
    """Return an expression for a line."""
    line = said(promql)
    return line if len(line) <= 80 else line[:79] + "…"
