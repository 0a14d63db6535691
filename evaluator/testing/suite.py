"""What the parts of the conformance suite share: a source to be tested, and how one is asked as the daemon does.

This module knows the protocol of a source. It tests nothing itself, and never knows what a source asks of its system.
"""

import asyncio
import gc
import json
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from evaluator.engine.rules import Query
from evaluator.engine.samples import PollResult
from evaluator.sources.source import Source

NOW = 1_700_000_000.0
"""The slot that polls are asked at, unless the source has data of another time."""
PATIENCE = 1.0
"""Seconds that a poll may take beyond its timeout on a busy machine."""

Fields = Mapping[str, Any]


class Suite:
    """The source that is tested. What a subclass must say is `kind`, `queries` and `fine`; the rest as it applies."""

    kind: ClassVar[Any]
    """The source's class."""
    queries: ClassVar[Sequence[Fields]]
    """Different queries, each of which has an answer in `fine`."""
    now: ClassVar[float] = NOW
    """The slot at which they have it."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """What must never be seen: the credentials in the settings."""
    bad_query: ClassVar[Fields | None] = None
    """A query that its model takes and the system in `fine` refuses: an unknown metric, a broken expression. `None`:
    whatever the model takes has an answer."""
    examines: ClassVar[bool] = True
    """`False` for a source without `examine`, which `evaluator doctor` can then only poll."""
    counts: ClassVar[bool] = True
    """`False` for a source without `usage`, of which nobody sees what it costs."""
    many: ClassVar[Sequence[Fields]] = ()
    """A hundred or so different queries, each of which has an answer in `fine`; for a source that batches."""
    most_requests: ClassVar[float] = float("inf")
    """How many requests one poll of `many` may cost. Unlimited for a source that needs one for each query."""

    def fine(self) -> AbstractContextManager[Fields]:
        """Return the settings of a source whose system is well, for the length of a `with`."""
        raise NotImplementedError

    def asked(self) -> list[Query]:
        """Return `queries` as the daemon hands them over."""
        return [query(self.kind, fields) for fields in self.queries]

    def see_no_secret(self, text: str) -> None:
        """Fail if one of `secrets` is in the text."""
        for secret in self.secrets:
            assert secret not in text, f"a secret is in {text.replace(secret, '<the secret>')!r}"

    def one_line(self, text: str) -> None:
        """Fail unless the text fits a line of a log or a table, and holds no secret."""
        assert "\n" not in text, text
        assert "\r" not in text, text
        assert "Traceback" not in text, text
        self.see_no_secret(text)


def query(kind: Any, fields: Fields) -> Query:  # noqa: ANN401  # A class that is a `SourceType`.
    """Return a rule's query as the daemon hands it to a source: validated, and written as canonical JSON."""
    model = kind.Query.model_validate(dict(fields))
    spec = json.dumps(model.model_dump(mode="json", exclude_none=True, exclude_unset=True), sort_keys=True)
    return Query("conformance", spec, float(getattr(model, "period", 0.0) or 0.0))


def build(kind: Any, settings: Fields) -> Source:  # noqa: ANN401  # A class that is a `SourceType`.
    """Return a source with these settings."""
    source: Source = kind("conformance", kind.Settings.model_validate(dict(settings)))
    return source


def run(task: Coroutine[Any, Any, Any], within: float = 60.0) -> Any:  # noqa: ANN401  # It is the task's.
    """Run it in a loop of its own, and fail if it takes too long."""

    async def timed() -> Any:  # noqa: ANN401  # It is the task's.
        async with asyncio.timeout(within):
            return await task

    return asyncio.run(timed())


async def polled(source: Source, queries: Sequence[Query], now: float = NOW, times: int = 1) -> list[list[PollResult]]:
    """Open the source, poll it, and close it."""
    await source.open()
    try:
        return [await source.poll(queries, now) for _ in range(times)]
    finally:
        await source.close()


def leaks_nothing(task: Callable[[], Coroutine[Any, Any, Any]], times: int = 3) -> None:
    """Fail if file descriptors or threads grow with each run of the task."""
    run(task())
    before = _held()
    for _ in range(times):
        run(task())
    deadline = time.monotonic() + 3
    while (held := _held()) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held <= before, f"file descriptors and threads grew from {before} to {held}"


def _held() -> tuple[int, int]:
    """Return how many file descriptors and threads this process has."""
    gc.collect()
    names = [each.name for each in threading.enumerate()]
    return len(os.listdir("/proc/self/fd")), len([name for name in names if name != "peer"])  # noqa: PTH208  # Fewer objects.
