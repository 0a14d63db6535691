"""Whether an address can be reached: one GET that changes nothing there, and what the answer's head tells.

This module knows HTTP. It never knows who is asked, never sends a body, and never reads one.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from evaluator.sources.weather import reason_of, said

LARGEST_SKEW = 5.0
"""Seconds that two clocks may differ: Date has whole seconds, and the way there takes some time too."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of it."""

    where: str
    """Scheme and host, without anything that may be secret."""
    status: int = 0
    """0: no answer."""
    trouble: str = ""
    """Why there is no answer, without the address."""
    mend: str = ""
    seconds: float = 0.0
    skew: float = 0.0
    """Seconds that the other clock is ahead of ours; 0 where they agree, or it has none."""


async def reach(url: str, *, within: float, ca: Path | None = None) -> Reached:
    """Ask for an address once, through the environment's proxy if there is one, and read the head of the answer."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    start = time.monotonic()
    try:
        verify = True if ca is None else ssl.create_default_context(cafile=str(ca))
        async with (
            asyncio.timeout(within),
            httpx.AsyncClient(verify=verify, timeout=within, follow_redirects=False) as client,
            client.stream("GET", url) as answer,
        ):
            took = time.monotonic() - start
            return Reached(where, answer.status_code, seconds=took, skew=_skew(answer, time.time() - took / 2))
    except (TimeoutError, httpx.TimeoutException):
        return Reached(where, trouble=f"no answer within {within:g} s", mend=_FIREWALL)
    except (httpx.HTTPError, OSError) as error:
        return _unreached(where, error)


_FIREWALL = "let this machine reach it (firewall, route), or set HTTPS_PROXY where evaluator is started"


def _unreached(where: str, error: Exception) -> Reached:
    """Return why nobody answered, and what to do."""
    if isinstance(error, httpx.ProxyError):
        return Reached(where, trouble=f"the proxy refuses: {said(str(error))}", mend="correct HTTPS_PROXY or NO_PROXY")
    known = reason_of(error)
    trouble = known[1] if known else said(str(error)) or type(error).__name__
    mend = _FIREWALL
    if "resolve" in trouble:
        mend = "correct the name, or the resolver of this machine (/etc/resolv.conf)"
    elif "certificate" in trouble or "TLS" in trouble:
        mend = "name the authority that signed its certificate with `ca`, or correct the clock of this machine"
    return Reached(where, trouble=trouble, mend=mend)


def _skew(answer: httpx.Response, now: float) -> float:
    """Return by how much the other clock differs from `now`, where that is more than what is usual."""
    try:
        found = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, IndexError, TypeError):
        return 0.0
    # It is rounded down to whole seconds.
    ahead = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() + 0.5 - now
    return ahead if abs(ahead) > LARGEST_SKEW else 0.0
