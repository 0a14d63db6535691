"""The source `http`: probes of addresses, each on a new connection.

It knows how to request all targets at once, each once a poll, within their timeouts, and how to notice that it was
itself too slow. One exchange is made in `http_exchange`; what a measure is, is in `http_measures`. It never judges a
value, and never retries: the next poll is the retry.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import structlog
from pydantic import BaseModel

from evaluator.engine import rules
from evaluator.engine.samples import FailureReason, PollFailed, PollResult
from evaluator.sources.checkup import Checkup
from evaluator.sources.http_exchange import Exchange, Seen
from evaluator.sources.http_faults import Blame, Fault, ProbeError
from evaluator.sources.http_measures import Answers, named
from evaluator.sources.http_names import Names
from evaluator.sources.http_patterns import Patterns
from evaluator.sources.http_query import HttpQuery, HttpSettings
from evaluator.sources.http_report import report
from evaluator.sources.http_tls import Contexts
from evaluator.sources.source import NoHistory

log = structlog.get_logger(__name__)

_parsed = lru_cache(maxsize=4096)(HttpQuery.model_validate_json)
_BEAT = 0.2
"""Seconds between two looks at whether our own loop keeps up."""
_HELD_UP = 0.25
"""Of a target's timeout: where our loop was held up for longer at a time, a timeout may be our own."""
_HICCUP = 0.4
"""Seconds at a time that a busy machine holds up anybody, where a target's timeout is not even that long."""
_WHOLE = 0.9
"""Of a target's timeout: one that had less time than this in the poll is not down, but not known."""


class HttpSource(NoHistory):
    """Addresses that are requested from here."""

    Settings: ClassVar[type[BaseModel]] = HttpSettings
    Query: ClassVar[type[BaseModel]] = HttpQuery

    def __init__(self, name: str, settings: HttpSettings) -> None:
        """Take the settings; nothing is connected before the first poll."""
        self._settings = settings
        self._names = Names(f"evaluator-{name}")
        self._contexts = Contexts()
        self._patterns = Patterns(f"evaluator-{name}")
        self._free = asyncio.Semaphore(settings.max_concurrency)
        self._poll = 0
        self._turns: dict[str, int] = {}
        self._requests = 0
        self._probes = 0

    async def open(self) -> None:
        """Nothing is needed: every probe connects anew."""

    async def poll(self, queries: Sequence[rules.Query], now: float) -> list[PollResult]:
        """Request each target that a query means once, and answer the queries in their order."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        meant = {spec: named(query, self._settings) for spec, query in asked.items()}
        wanted = {name for names in meant.values() if not isinstance(names, PollFailed) for name in names}
        certificates = {
            name
            for spec, names in meant.items()
            if asked[spec].measure == "tls_days_left" and not isinstance(names, PollFailed)
            for name in names
        }
        if wanted:
            wanted |= set(self._settings.witness)
        answers = Answers(self._settings, await self._probe_all(wanted, certificates), now)
        results = {
            spec: names if isinstance(names, PollFailed) else answers.answer(asked[spec], names)
            for spec, names in meant.items()
        }
        return [results[query.spec] for query in queries]

    async def examine(self, queries: Sequence[rules.Query], now: float) -> list[Checkup]:
        """Request every target once, and say how each answers, and which query asks for what is not there."""
        asked = {query.spec: _parsed(query.spec) for query in queries}
        secure = {name for name, target in self._settings.targets.items() if target.secure}
        seen = await self._probe_all(set(self._settings.targets), secure)
        return report(self._settings, Answers(self._settings, seen, now), seen, list(asked.values()), now)

    def usage(self) -> Mapping[str, float]:
        """Return the requests that were sent (redirects and looks at a bad certificate too), and the probes."""
        return {"requests": float(self._requests), "probes": float(self._probes)}

    async def close(self) -> None:
        """Let the threads end."""
        self._names.close()
        self._patterns.close()

    async def _probe_all(self, wanted: Collection[str], certificates: Collection[str]) -> dict[str, Seen]:
        """Request each target once, those first that have waited longest for their turn."""
        if not wanted:
            return {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout
        self._poll += 1
        order = sorted(wanted, key=lambda each: (self._turns.get(each, 0), each))
        watch = _Pulse()
        pulse = asyncio.create_task(watch.watch())
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(self._probe(name, deadline, look=name in certificates)) for name in order
                }
        finally:
            pulse.cancel()
        seen = {name: task.result() for name, task in tasks.items()}
        held_up = watch.held_up()
        for name, each in seen.items():
            patience = self._settings.patience(self._settings.targets[name])
            late = held_up > max(_HELD_UP * patience, min(_HICCUP, patience))
            if late and each.fault is not None and each.fault.reason is FailureReason.TIMEOUT:
                text = f"this process was itself held up for {held_up:.1f} s, so that it did not hear an answer in time"
                each.fault = Fault(FailureReason.TIMEOUT, text, Blame.OURS)
        return seen

    async def _probe(self, name: str, deadline: float, *, look: bool) -> Seen:
        """Request one target; whatever goes wrong is in what was seen."""
        loop = asyncio.get_running_loop()
        target = self._settings.targets[name]
        exchange = Exchange(target, self._names, agent=self._settings.user_agent, most=self._settings.max_size)
        seen = exchange.seen
        late = Fault(
            FailureReason.TIMEOUT,
            f"not asked within the source's timeout of {self._settings.timeout:g} s, since others took too long",
            Blame.OURS,
        )
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError:
            seen.fault = late
            return seen
        try:
            patience = self._settings.patience(target)
            given = min(patience, deadline - loop.time())
            await exchange.run(self._contexts.of(target), loop.time() + given)
            fault = seen.fault
            if fault is not None and fault.reason is FailureReason.TIMEOUT:
                text = f"no answer within {patience:g} s"
                seen.fault = late if given < _WHOLE * patience else Fault(fault.reason, text, fault.blame)
            if look and seen.certificate is None and fault is not None and fault.reason is FailureReason.TLS:
                until = min(deadline, loop.time() + patience)
                await exchange.look(self._contexts.of(target, trusting=False), until)
            async with asyncio.timeout_at(deadline):
                seen.mismatch = await self._patterns.check(target, seen)
        except TimeoutError:
            seen.fault = late
        except ProbeError as error:
            seen.fault = error.fault
        except Exception as error:  # A mistake of ours with one target must not blind us to the others.
            log.exception("a probe broke", target=name)
            seen.fault = Fault(FailureReason.INTERNAL, f"a mistake of ours: {type(error).__name__}", Blame.OURS)
        finally:
            self._free.release()
            if seen.fault is not late:
                self._turns[name] = self._poll
            self._requests += seen.requests
            self._probes += 1
        return seen


class _Pulse:
    """Notices that our own loop is held up, by others' work or because the machine slept."""

    def __init__(self) -> None:
        """Begin now."""
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._longest = 0.0

    async def watch(self) -> None:
        """Look now and then; for ever."""
        while True:
            await asyncio.sleep(_BEAT)
            self._longest = self.held_up()
            self._last = self._loop.time()

    def held_up(self) -> float:
        """Return the longest time in seconds by which a look was late so far, one that is due now included."""
        return max(self._longest, self._loop.time() - self._last - _BEAT)
