"""The small regular duties: gauges, forgetting what is long over, the store's pruning.

This module only counts the hours. What is forgotten is decided where it is kept.
"""

import asyncio

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.view import Picture
from evaluator.store.errors import CommitFailed
from evaluator.store.store import PRUNE_LIMIT, Store
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

COUNT_EVERY = 2.0
"""Seconds between settings of the gauges."""

FORGET_EVERY = 3600.0
"""Seconds between looks for what is long over."""

RETENTION = 400 * 86_400.0
"""Seconds for which incidents that ended are kept: a year and a month, so that months can be compared."""


async def keep_counting(picture: Picture, metrics: Metrics) -> None:
    """Set the gauges every few seconds, for ever."""
    while True:
        picture.count(metrics)
        await asyncio.sleep(COUNT_EVERY)


async def keep_forgetting(ledger: Ledger, store: Store, clock: Clock) -> None:
    """Forget what is long over once an hour, for ever."""
    while True:
        ledger.world.forget_old(clock.now())
        try:
            pruned = batch = await asyncio.to_thread(store.prune, clock.now() - RETENTION)
            while batch >= PRUNE_LIMIT:
                batch = await asyncio.to_thread(store.prune, clock.now() - RETENTION)
                pruned += batch
        except CommitFailed as failed:
            log.warning("old incidents could not be pruned", error=failed.message)
        else:
            if pruned:
                log.info("old incidents were pruned", incidents=pruned)
        await asyncio.sleep(FORGET_EVERY)
