"""What `evaluator doctor` says of this machine: what can be read of it, and what is hidden from us.

This module knows words for a person. It never reads the machine.
"""

from collections.abc import Mapping

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.host_query import DISKS, HostQuery

USUAL = (
    HostQuery(measure="cpu"),
    HostQuery(measure="memory"),
    HostQuery(measure="disk"),
    HostQuery(measure="network_errors"),
    HostQuery(measure="processes"),
)
"""What is tried besides the queries of the rules."""

_HIDDEN = "in the systemd unit set ProcSubset=all and ProtectProc=default; in a container, give it the host's /proc"
_DISK = (
    "let the daemon's user enter the folders above it (systemd: ProtectHome=, InaccessiblePaths=, PrivateTmp=), or "
    "name the mounts that count in `mount`"
)
_HANGS = "see the disk or the server behind it (`df` hangs too), unmount it, or name the mounts that count in `mount`"


def report(asked: Mapping[str, HostQuery], answers: Mapping[str, PollResult], usual: frozenset[str]) -> list[Checkup]:
    """Return a line for each query; `usual` are those that no rule asks for, so that nothing of them is wrong."""
    return [_line(query, answers[spec], asked=spec not in usual) for spec, query in asked.items()]


def _line(query: HostQuery, answer: PollResult, *, asked: bool) -> Checkup:
    """Return how one query was answered."""
    where = f" of {query.mount}" if query.measure in DISKS and query.mount != "*" else ""
    subject = f"measure {query.measure}{where}"
    if isinstance(answer, PollFailed):
        return Checkup(Grade.WRONG if asked else Grade.WARNING, subject, answer.message, _mend(query, answer))
    if answer.warnings:
        return Checkup(Grade.WARNING, subject, "; ".join(answer.warnings[:5]), _advice(query, answer))
    return Checkup(
        Grade.FINE, subject, f"{len(answer)} series" if len(answer) else "is read; it has a value at the next poll"
    )


def _mend(query: HostQuery, failed: PollFailed) -> str:
    """Return how to mend a query that was not answered."""
    if failed.reason is FailureReason.BAD_QUERY:
        return "correct `mount` in the rule: see the column `Mounted on` of `df`"
    if failed.reason is FailureReason.TIMEOUT:
        return _HANGS
    return _DISK if query.measure in DISKS else _HIDDEN


def _advice(query: HostQuery, answer: Samples) -> str:
    """Return what to do about an answer that is poorer than it could be."""
    if query.measure in DISKS:
        return _HANGS if any("does not answer" in each for each in answer.warnings) else _DISK
    return "nothing to measure here: remove the rule, or run it where there is"
