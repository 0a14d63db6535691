"""What `evaluator doctor` says of probes: how each target answered once, and which rules ask for what is not there.

This module knows words for a person. It never sends a request.
"""

from collections.abc import Mapping, Sequence

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.http_exchange import Seen
from evaluator.sources.http_faults import Fault
from evaluator.sources.http_measures import DAY, Answers, named, problem
from evaluator.sources.http_query import HttpQuery, HttpSettings
from evaluator.sources.http_tls import ends
from evaluator.sources.weather import place

_SOON = 14.0
"""Days: a certificate that ends sooner has not been renewed in time by whatever renews it."""

_MEND = {
    FailureReason.AUTH: "send what it asks for, in `headers`",
    FailureReason.RATE_LIMITED: "ask it more rarely, with `every`",
    FailureReason.TOO_BIG: "raise `max_size`",
    FailureReason.INTERNAL: "tell the authors, with the log",
    FailureReason.REFUSED: "see that it runs, that `url` is right, and that a firewall lets this machine in",
    FailureReason.TIMEOUT: "see that it runs and that a firewall lets this machine in, or give it more `timeout`",
    FailureReason.RESET: "see that something speaks HTTP at that port (https:// where it wants TLS)",
    FailureReason.TLS: "renew its certificate, or name the authority that signed it in `ca`",
    FailureReason.UNAVAILABLE: "see its own log: it answers, but with an error",
    FailureReason.BAD_ANSWER: "look at what it answers, and adapt `expect_status`, `match` or `follow_redirects`",
    FailureReason.BAD_QUERY: "correct the target in the settings",
}


def report(
    settings: HttpSettings, answers: Answers, seen: Mapping[str, Seen], queries: Sequence[HttpQuery], now: float
) -> list[Checkup]:
    """Return a line for each target, and one for each query that cannot be answered."""
    lines = [line for name in settings.targets for line in _target(settings, answers, name, seen[name], now)]
    asked: set[str] = set()
    for query in queries:
        names = named(query, settings)
        if isinstance(names, PollFailed):
            mend = "correct `target` in the rule, or declare it as [sources.NAME.targets.TARGET]"
            lines.append(Checkup(Grade.WRONG, f"query {query.measure} of {query.target}", names.message, mend))
        else:
            asked.update(names)
    idle = [name for name in settings.targets if name not in asked and name not in settings.witness]
    if queries and idle:
        found = f"no rule asks for {', '.join(idle[:10])}" + (f" and {len(idle) - 10} more" if len(idle) > 10 else "")
        mend = 'write a rule with `query = { measure = "up", target = "*" }`, or remove them'
        lines.append(Checkup(Grade.WARNING, "targets", found, mend))
    return lines


def _target(settings: HttpSettings, answers: Answers, name: str, seen: Seen, now: float) -> list[Checkup]:
    """Return how a target answered, and how long its certificate lasts."""
    target = settings.targets[name]
    subject = f"target {name}"
    address = place(target.address)
    ours = answers.ours(name)
    wrong = problem(target, seen)
    lines = []
    if ours is not None:
        lines.append(Checkup(Grade.WRONG, subject, f"{address}: not known: {ours.text}", _our_side(ours)))
    elif wrong is not None:
        # One that answers something has a status and a latency; one that does not has nothing to judge but `up`.
        grade = Grade.WRONG if seen.status is None else Grade.WARNING
        lines.append(Checkup(grade, subject, f"{address}: down: {wrong.text}", _MEND[wrong.reason]))
    else:
        lines.append(
            Checkup(Grade.FINE, subject, f"{address}: HTTP {seen.status} in {1000 * seen.took['total']:.0f} ms")
        )
    end = None if seen.certificate is None else ends(seen.certificate)
    if end is not None and (end - now) / DAY < _SOON:
        days = (end - now) / DAY
        found = f"ends in {days:.0f} days" if days >= 0 else f"ended {-days:.0f} days ago"
        lines.append(
            Checkup(Grade.WARNING, f"certificate of {name}", found, "renew it, and see why it was not renewed")
        )
    return lines


def _our_side(fault: Fault) -> str:
    """Return how to mend what is wrong on our side."""
    if fault.reason is FailureReason.TLS:
        return "correct `ca`, `cert` or `key` of the target; the daemon's user must be able to read them"
    if fault.reason is FailureReason.TIMEOUT:
        return "raise `timeout` or `max_concurrency` of the source, or give slow targets a shorter `timeout`"
    if fault.reason is FailureReason.RESET:
        return "see what this machine is short of: open files (LimitNOFILE of the unit), ports or memory"
    if fault.reason in (FailureReason.REFUSED, FailureReason.UNAVAILABLE):
        return "see that this machine has a network and a resolver (/etc/resolv.conf), and reaches the `proxy` if any"
    return "correct the target in the settings"
