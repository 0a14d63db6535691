"""The world in memory and its way into the store.

Whoever decides something hands its `Changes` to `take`: from then on they are true in memory. `flush` writes everything
that is not written yet in one transaction; only the samples that rules keep may wait a little. While the store cannot
be written, judging goes on in memory, the unwritten changes are kept, and nothing of them is sent.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.shelf import Shelf
from evaluator.incidents.changes import Changes
from evaluator.incidents.incident import EventKind
from evaluator.incidents.world import World
from evaluator.store.errors import CommitFailed, Reason
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

HANGS_AFTER = 15.0
"""Seconds after which a commit that has no end yet counts as a failure, until it ends well after all."""

RETRY_EVERY = 2.0
"""Seconds between tries while the store cannot be written."""


class Committing(Protocol):
    """The one thing that the ledger needs of a store."""

    def commit(self, changes: Changes) -> None:
        """Write all changes in one transaction, or raise `CommitFailed`."""


class Ledger:
    """What is true, and what of it is written."""

    def __init__(self, world: World, store: Committing, clock: Clock, metrics: Metrics) -> None:
        """Start with a world that is written as it is."""
        self.world = world
        self.committed_at: float | None = None
        self.failing_since: float | None = None
        self.error = ""
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._waiting = Changes()
        self._flying = Changes()
        self._shelf = Shelf()
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []

    def on_written(self, listener: Callable[[], None]) -> None:
        """Call the listener after each commit."""
        self._listeners.append(listener)

    def take(self, changes: Changes) -> None:
        """Make changes true in memory, to be written by the next `flush`."""
        self.world.apply(changes)
        if changes:
            self._waiting.add(changes)
            self._waiting.chunks = {}
            self._shelf.put(changes.chunks)
            self._tell(changes)

    def unwritten(self) -> set[str]:
        """Return the ids of deliveries that are not in the store as they are in memory."""
        return {*self._waiting.deliveries, *self._flying.deliveries}

    async def flush(self) -> bool:
        """Write what is not written yet; return whether everything that was there at the call is in the store now.

        Of the samples that rules keep only those are written whose turn it is. A caller that is cancelled leaves the
        transaction to itself: it is written whole, or kept for the next try.
        """
        return await asyncio.shield(asyncio.ensure_future(self._write()))

    async def flush_all(self) -> bool:
        """Write the samples that wait too; return whether that was done."""
        while await asyncio.shield(asyncio.ensure_future(self._write(everything=True))):
            if not len(self._shelf):
                return True
        return False

    async def _write(self, *, everything: bool = False) -> bool:
        async with self._lock:
            batch, self._waiting = self._waiting, Changes()
            batch.chunks = self._shelf.take(self._clock.monotonic(), everything=everything)
            self._flying = batch
            started = self._clock.monotonic()
            try:
                if batch:
                    await self._commit(batch)
            except CommitFailed as failure:
                return self._failed(batch, failure)
            except Exception:  # Whatever a row does to us, nothing that was decided may be lost because of it.
                log.exception("commit broke")
                self._metrics.errors.labels("commit").inc()
                mistake = CommitFailed(Reason.OTHER, "our own mistake; the log has its traceback")
                return self._failed(batch, mistake)
            finally:
                self._flying = Changes()
            if batch:
                self._metrics.store_commit_duration_seconds.observe(self._clock.monotonic() - started)
                self._succeeded()
        for listener in self._listeners:
            listener()
        return True

    async def _commit(self, batch: Changes) -> None:
        """Commit, and say so when that hangs: a stalled disk has no error of its own."""
        commit = asyncio.ensure_future(asyncio.to_thread(self._store.commit, batch))
        done, _ = await asyncio.wait({commit}, timeout=HANGS_AFTER)
        if not done:
            self._note(CommitFailed(Reason.TIMEOUT, f"a commit has been running for {HANGS_AFTER:g} s"))
        await commit

    async def keep_trying(self) -> None:
        """Write what could not be written, every few seconds until it can; for ever."""
        while True:
            await asyncio.sleep(RETRY_EVERY)
            if self.failing_since is not None:
                await self.flush()

    def _failed(self, batch: Changes, failure: CommitFailed) -> bool:
        """Keep what was not written for the next try."""
        self._shelf.put_back(batch.chunks)
        batch.chunks = {}
        batch.add(self._waiting)
        self._waiting = batch
        self._note(failure)
        return False

    def _note(self, failure: CommitFailed) -> None:
        self._metrics.store_commit_failures.labels(failure.reason).inc()
        if self.failing_since is None:
            self.failing_since = self._clock.now()
            log.error("store cannot be written", reason=failure.reason, error=failure.message)
        self.error = failure.message

    def _succeeded(self) -> None:
        self.committed_at = self._clock.now()
        if self.failing_since is not None:
            log.info("store can be written again", after_seconds=round(self.committed_at - self.failing_since))
        self.failing_since, self.error = None, ""

    def _tell(self, changes: Changes) -> None:
        """Log and count what happened to incidents."""
        for event in changes.events:
            # structlog's own word for the message is `event`.
            log.info("incident", incident=event.incident, what=event.kind.value, text=event.text)
            incident = self.world.incidents.get(event.incident)
            if incident is None:
                continue
            if event.kind is EventKind.OPENED:
                self._metrics.incidents_opened.labels(incident.service, incident.severity.value).inc()
            elif event.kind is EventKind.RESOLVED and incident.close_reason is not None:
                self._metrics.incidents_closed.labels(incident.service, incident.close_reason.value).inc()
