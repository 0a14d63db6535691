"""Whether a body is as `match` and `not_match` say, found out in threads and for so long at most.

This module knows patterns and texts. It never knows where a text comes from: it may have been written to make a
harmless pattern run for minutes (measured: `"status".*"ok"` with Python's own `re` on 160 kB of `"status"`, 10 s), and
`re` would hold up the whole daemon meanwhile. The package `regex` has a time limit and lets others run.
"""

import asyncio
from functools import lru_cache

import regex

from evaluator.engine.samples import FailureReason
from evaluator.sources.http_exchange import Seen
from evaluator.sources.http_faults import Blame, Fault
from evaluator.sources.http_query import HttpTarget
from evaluator.sources.threads import Threads

LONGEST = 0.5
"""Seconds that one pattern may run on one body."""

_compiled = lru_cache(maxsize=4096)(regex.compile)


class Patterns:
    """Matches bodies, two at a time."""

    def __init__(self, name: str) -> None:
        """Start nothing yet; `name` is what the threads are called."""
        self._threads = Threads(f"{name}-match", 2)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    async def check(self, target: HttpTarget, seen: Seen) -> Fault | None:
        """Return in what the body is not as expected; `None`: it is."""
        if seen.fault is not None or (target.match is None and target.not_match is None):
            return None
        return await asyncio.wrap_future(self._threads.submit(lambda: _mismatch(target, seen)))


def _mismatch(target: HttpTarget, seen: Seen) -> Fault | None:
    """Look for both patterns."""
    text = seen.body.decode("utf-8", "replace")
    shown = f"the first {len(seen.body)} bytes of the body" if seen.cut else "the body"
    for key, pattern in (("match", target.match), ("not_match", target.not_match)):
        if pattern is None:
            continue
        try:
            found = _compiled(pattern).search(text, timeout=LONGEST, concurrent=True) is not None
        except TimeoutError:
            words = f"`{key}` takes too long on {shown} ({len(seen.body)} bytes): write a simpler pattern"
            return Fault(FailureReason.BAD_QUERY, words, Blame.OURS)
        if found != (key == "match"):
            what = "is found in" if found else "is not found in"
            return Fault(FailureReason.BAD_ANSWER, f"`{key}` {what} {shown}")
    return None
