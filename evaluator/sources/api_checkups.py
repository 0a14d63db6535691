"""What `evaluator doctor` tries at every vendor's API: the token, each permission, the clock, the limits.

This module knows requests that work or fail, and the sentences about them. It never knows a vendor's paths.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.api import ApiClient, AskError
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.weather import said

_MENDS = {
    FailureReason.REFUSED: "check `url`, and that this machine may connect there (name, firewall, proxy)",
    FailureReason.TIMEOUT: "check that this machine may connect there, or raise `timeout`",
    FailureReason.TLS: "check this machine's certificate authorities, or set `ca`",
    FailureReason.RATE_LIMITED: "wait, and poll less often (a longer `every`), since others may use the same limit",
    FailureReason.UNAVAILABLE: "wait; the vendor's status page tells more",
    FailureReason.TOO_BIG: "raise `max_size`",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to try."""

    subject: str
    ask: Callable[[], Awaitable[str]]
    """Asks, and returns what was seen; raises `AskError`."""
    mend: str
    """What to do where the token is wrong or may not."""


async def tried(client: ApiClient, trials: Sequence[Trial]) -> list[Checkup]:
    """Return how each went, in order. After the first that fails as a whole (nobody there), the rest is not tried."""
    checkups: list[Checkup] = []
    for trial in trials:
        checkup, failed = await _one(client, trial)
        checkups.append(checkup)
        if failed is not None and failed.reason in (FailureReason.REFUSED, FailureReason.TIMEOUT, FailureReason.TLS):
            break
    return checkups


async def _one(client: ApiClient, trial: Trial) -> tuple[Checkup, PollFailed | None]:
    """Return how one went."""
    began = asyncio.get_running_loop().time()
    try:
        seen = await trial.ask()
    except AskError as error:
        mend = _MENDS.get(error.failed.reason, trial.mend)
        return Checkup(Grade.WRONG, trial.subject, error.failed.message, mend), error.failed
    taken = (asyncio.get_running_loop().time() - began) * 1000
    text = said(f"{seen}, in {taken:.0f} ms", client.terms.secrets)
    return Checkup(Grade.FINE, trial.subject, text), None


def clock_checkup(client: ApiClient) -> list[Checkup]:
    """Return what to say of our clock, where an answer told the vendor's."""
    if client.skew is None:
        return []
    if warning := client.clock_warning():
        return [Checkup(Grade.WARNING, "clock", warning[0], "let this machine's clock be kept right (NTP, chrony)")]
    return [Checkup(Grade.FINE, "clock", f"within {max(abs(client.skew), 1):.0f} s of that of {client.terms.name}")]


def limits_checkup(client: ApiClient) -> list[Checkup]:
    """Return the limits that the last answer told of, and how we keep to them."""
    terms = client.terms
    budget = f"we send at most {terms.most} requests in {terms.seconds:g} s"
    seen = ", ".join(f"{name}: {value}" for name, value in sorted(client.limits.items()))
    return [Checkup(Grade.FINE, "limits", said(f"{budget}{f'; it says {seen}' if seen else ''}", terms.secrets))]
