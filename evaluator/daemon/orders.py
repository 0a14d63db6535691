"""Carries out what people ask for: commands that a terminal wrote into the store, and those that come over HTTP.

This module looks and hands on. What a command does is decided in `incidents.obey`.
"""

import asyncio

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.commands import Command
from evaluator.incidents.obey import obey
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import Store

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between looks."""


async def keep_obeying(equipment: Equipment, ledger: Ledger, store: Store, clock: Clock) -> None:
    """Carry out commands as they come, for ever."""
    carried_out: set[str] = set()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            commands = await asyncio.to_thread(store.commands)
        except StoreUnavailable as unavailable:
            log.debug("commands cannot be read", error=unavailable.message)
            continue
        for command in commands:
            # While the store cannot be written a command stays in it, although it is carried out already.
            if command.id not in carried_out:
                carried_out.add(command.id)
                _carry_out(equipment, ledger, clock, command)
        if commands:
            await ledger.flush()
        carried_out.intersection_update({command.id for command in commands})


async def carry_out(equipment: Equipment, ledger: Ledger, clock: Clock, command: Command) -> None:
    """Carry out a command at once, and wait until what it changed is written.

    Raises `StoreUnavailable` where it could not be written: the message says whether anything was changed.
    """
    if ledger.failing_since is not None:
        raise StoreUnavailable(f"nothing was changed: {ledger.error}")
    _carry_out(equipment, ledger, clock, command)
    if not await ledger.flush():
        raise StoreUnavailable(f"it is done, and will be written as soon as that can be: {ledger.error}")


def _carry_out(equipment: Equipment, ledger: Ledger, clock: Clock, command: Command) -> None:
    given = Circumstances(clock.now(), equipment.routes, equipment.settings.instance, new_id)
    log.info("command", kind=command.kind.value, incident=command.incident, by=command.by)
    ledger.take(obey(ledger.world, command, given, equipment.rules))
