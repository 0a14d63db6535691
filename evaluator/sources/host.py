"""The source `host`: this machine, through psutil.

It knows how to read the machine in threads, and what to say when that takes too long. What each measure is, is in
`host_measures` and `host_disks`; the words of queries are in `host_query`. It never judges a value.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import PollResult
from evaluator.sources.checkup import Checkup
from evaluator.sources.host_disks import Disks, Mount
from evaluator.sources.host_measures import Machine
from evaluator.sources.host_query import DISKS, HostQuery, HostSettings
from evaluator.sources.host_report import USUAL, report
from evaluator.sources.source import NoHistory
from evaluator.sources.threads import Threads
from evaluator.sources.weather import timed_out

_parsed = lru_cache(maxsize=4096)(HostQuery.model_validate_json)
_DISK_SHARE = 0.8
"""Of the timeout: when a disk that hangs is given up, so that the others are still answered in time."""


class HostSource(NoHistory):
    """This machine."""

    Settings: ClassVar[type[BaseModel]] = HostSettings
    Query: ClassVar[type[BaseModel]] = HostQuery

    def __init__(self, name: str, settings: HostSettings) -> None:
        """Take the settings; nothing is started before the first poll."""
        self._timeout = settings.timeout
        self._labels = {} if settings.host is None else {"host": settings.host}
        self._machine = Machine(self._labels)
        # One thread: the machine remembers its last readings.
        self._threads = Threads(f"evaluator-{name}", 1)
        self._disks = Disks()
        self._polls = 0

    async def open(self) -> None:
        """Nothing is needed."""

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:  # noqa: ARG002 - it is as of now.
        """Read the machine once and answer each query, in their order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        answers = await self._within_time(self._machine, asked)
        return [answers[query.spec] for query in queries]

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:  # noqa: ARG002 - it is as of now.
        """Read what the rules ask for, and what rules usually ask for, and say what is hidden from us."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        measured = {query.measure for query in asked.values()}
        usual = {f"usual {each.measure}": each for each in USUAL if each.measure not in measured}
        # A machine of its own: what polls remember of growing counts is theirs.
        answers = await self._within_time(Machine(self._labels), {**asked, **usual})
        return report({**asked, **usual}, answers, frozenset(usual))

    def usage(self) -> Mapping[str, float]:
        """Return how often the machine was read (`requests`)."""
        return {"requests": float(self._polls)}

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.close()
        self._disks.close()

    async def _within_time(self, machine: Machine, asked: Mapping[str, HostQuery]) -> dict[str, PollResult]:
        """Return the answer to each query, within the timeout."""
        if not asked:
            return {}
        self._polls += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answers(machine, asked)
        except TimeoutError:
            return dict.fromkeys(asked, timed_out("this machine", self._timeout))

    async def _answers(self, machine: Machine, asked: Mapping[str, HostQuery]) -> dict[str, PollResult]:
        """Ask the machine and its disks."""
        disks = {spec: query for spec, query in asked.items() if query.measure in DISKS}
        others = {spec: query for spec, query in asked.items() if spec not in disks}
        at = asyncio.get_running_loop().time()

        def read() -> tuple[dict[str, PollResult], list[Mount]]:
            mounts = machine.mounts() if disks else []
            return {spec: machine.answer(query, spec, at) for spec, query in others.items()}, mounts

        answers, mounts = await asyncio.wrap_future(self._threads.submit(read))
        if disks:
            rows = await self._disks.answer(
                list(disks.values()), mounts, self._labels, within=self._timeout * _DISK_SHARE
            )
            answers.update(zip(disks, rows, strict=True))
        return answers
