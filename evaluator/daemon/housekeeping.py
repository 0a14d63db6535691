"""The small regular duties: gauges, silences whose time is over, forgetting what is long over, the store's pruning.

This module only counts the hours. What ends is decided in `incidents.silencing`, what is forgotten where it is kept.
"""

import asyncio
from collections.abc import Callable

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.view import Picture
from evaluator.engine.rules import RuleSet
from evaluator.engine.trail import outlived
from evaluator.incidents.changes import Changes, ChunkKey
from evaluator.incidents.silencing import overdue
from evaluator.incidents.world import World
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


END_EVERY = 1.0
"""Seconds between looks for silences whose time is over."""

EXPLAINED = 30 * 86_400.0
"""Seconds for which it is kept what alerts did, for people who ask why."""

MOST_CHUNKS = 1000
"""Chunks of kept samples that are dropped at once, so that no commit waits long for it."""


async def keep_counting(picture: Picture, ledger: Ledger, metrics: Metrics) -> None:
    """Set the gauges every few seconds, for ever."""
    while True:
        picture.count(metrics)
        trails = ledger.world.trails
        metrics.set_kept(
            {
                rule: (len({series for _, series in kept}), sum(len(trail) for trail in kept.values()))
                for rule, kept in trails.items()
            }
        )
        await asyncio.sleep(COUNT_EVERY)


async def keep_ending(ledger: Ledger, clock: Clock) -> None:
    """Write the end of each silence whose time is over, also where no rule is evaluated; for ever."""
    while True:
        changes = overdue(ledger.world, clock.now())
        for silence in changes.silences.values():
            if silence is not None:
                log.info("silence ended", silence=silence.id, by=silence.by, because=silence.ended_because)
        if changes:
            ledger.take(changes)
            await ledger.flush()
        await asyncio.sleep(END_EVERY)


async def keep_forgetting(equipment: Equipment, ledger: Ledger, store: Store, clock: Clock) -> None:
    """Forget what is long over once an hour, for ever."""
    while True:
        ledger.world.forget_old(clock.now())
        while unneeded := unneeded_samples(ledger.world, equipment.rules, clock.now()):
            ledger.take(unneeded)
            await ledger.flush()
        try:
            pruned = {
                "incidents": await _pruned(store.prune, clock.now() - RETENTION),
                "silences": await _pruned(store.prune_silences, clock.now() - RETENTION),
                "transitions": await _pruned(store.prune_transitions, clock.now() - EXPLAINED),
            }
        except CommitFailed as failed:
            log.warning("what is long over could not be pruned", error=failed.message)
        else:
            if any(pruned.values()):
                log.info("what is long over was pruned", **pruned)
        await asyncio.sleep(FORGET_EVERY)


async def _pruned(prune: Callable[[float], int], before: float) -> int:
    """Prune until there is nothing left to be pruned, and return how much it was."""
    pruned = batch = await asyncio.to_thread(prune, before)
    while batch >= PRUNE_LIMIT:
        batch = await asyncio.to_thread(prune, before)
        pruned += batch
    return pruned


def unneeded_samples(world: World, rules: RuleSet, now: float) -> Changes:
    """Return the chunks of kept samples that no rule looks back on any more, some at a time.

    Evaluations drop their own; nobody evaluates rules that are gone, or whose source does not answer.
    """
    changes = Changes()
    for name, trails in world.trails.items():
        rule = rules.get(name)
        by_width = {keep.width: keep for keep in rule.keeps} if rule is not None else {}
        for (width, series), trail in trails.items():
            keep = by_width.get(width)
            for number in trail if keep is None else outlived(trail, keep, now):
                changes.chunks[ChunkKey(name, width, series, number)] = None
                if len(changes.chunks) == MOST_CHUNKS:
                    return changes
    return changes
