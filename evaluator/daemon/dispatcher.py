"""Sends what the outbox has: claim, send, settle.

What is due, in which order, and what an outcome means is decided in `incidents.outbox`; this module only waits and
talks. For each lane (notifier and routing key) one request is under way at a time.
"""

import asyncio
import random
from dataclasses import replace

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Accepted, Delivery, DeliveryState, Outcome, Refused, RetryLater
from evaluator.incidents.outbox import Lane, claim, lane_of, next_due, next_time, settled
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LONGEST_SLEEP = 5.0
"""Seconds after which the outbox is looked at again, whatever was to come."""

LONGEST_PAUSE = 0.25
"""Seconds between two looks at a large outbox."""

SEND_LIMIT = 60.0
"""Seconds after which a notifier that does not keep its own timeout is cancelled."""

AFTER_A_MISTAKE = 30.0
"""Seconds until a delivery is tried again that our own mistake kept from being sent."""

RATE_LIMITED = "rate_limited"


class Dispatcher:
    """The one who tells."""

    def __init__(self, equipment: Equipment, ledger: Ledger, clock: Clock, metrics: Metrics) -> None:
        """Work on the ledger's outbox."""
        self._equipment = equipment
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._busy: set[Lane] = set()
        self._paused: dict[Lane, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        ledger.on_written(self._wake.set)

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            self._wake.clear()
            started = self._clock.monotonic()
            self._start_due()
            # In a burst each delivery wakes us several times; looking takes at most a tenth of our time.
            await asyncio.sleep(min(LONGEST_PAUSE, 10 * (self._clock.monotonic() - started)))
            try:
                async with asyncio.timeout(self._sleep()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self, deadline: float) -> None:
        """Go on sending what is due for the first time, until nothing is or the monotonic deadline has come."""
        while self._clock.monotonic() < deadline:
            self._start_due(first_only=True)
            if not self._tasks:
                break
            left = max(0.0, deadline - self._clock.monotonic())
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self, *, first_only: bool = False) -> None:
        now = self._clock.now()
        self._paused = {lane: until for lane, until in self._paused.items() if until > now}
        held = self._busy | self._paused.keys()
        rows = self._ledger.world.deliveries.values()
        not_now = self._ledger.unwritten()
        if first_only:
            not_now |= {row.id for row in rows if row.accepted or row.attempts}
        for delivery in next_due(rows, now, held, not_now):
            self._busy.add(lane_of(delivery))
            # Claimed at once: whatever else is decided before the task runs must know that a request is coming.
            self._put(claim(delivery))
            task = asyncio.create_task(self._tell(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _sleep(self) -> float:
        """Return how long nothing will be due; the lanes that are busy wake us by themselves."""
        now = self._clock.now()
        held = self._busy | self._paused.keys()
        rows = (row for row in self._ledger.world.deliveries.values() if lane_of(row) not in held)
        due = min((time for time in (next_time(rows), *self._paused.values()) if time is not None), default=None)
        if due is None:
            return LONGEST_SLEEP
        # What is due but blocked (behind another row, or not written) is waited for, not spun on.
        return min(LONGEST_SLEEP, max(due - now, 0.2))

    async def _tell(self, delivery: Delivery) -> None:
        lane = lane_of(delivery)
        try:
            if await self._claimed(delivery):
                await self._attempt(delivery.id)
        except Exception:  # Our own mistake: the row must not stay claimed for ever because of it.
            log.exception("telling broke", notifier=delivery.notifier, incident=delivery.incident)
            self._metrics.errors.labels("delivery").inc()
            current = self._ledger.world.deliveries[delivery.id]
            self._put(replace(current, claimed=False, told=True, due_at=self._clock.now() + AFTER_A_MISTAKE))
        finally:
            self._busy.discard(lane)
            self._wake.set()

    async def _claimed(self, delivery: Delivery) -> bool:
        """Write that a request is about to be made, and return whether it may be."""
        # Once somebody may have been told, a crash during the next request teaches nothing new.
        written = delivery.told or await self._ledger.flush()
        current = self._ledger.world.deliveries[delivery.id]
        if written and current.state in (DeliveryState.PENDING, DeliveryState.REFUSED):
            return True
        later = self._clock.now() + 1.0
        self._put(replace(current, claimed=False, due_at=current.due_at if written else later))
        if written:
            await self._ledger.flush()
        return False

    async def _attempt(self, row: str) -> None:
        delivery = self._ledger.world.deliveries[row]
        started = self._clock.monotonic()
        outcome = await self._send(delivery)
        self._metrics.delivery_duration_seconds.labels(delivery.notifier).observe(self._clock.monotonic() - started)
        now = self._clock.now()
        given = Circumstances(now, self._equipment.routes, self._equipment.settings.instance, new_id)
        self._ledger.take(settled(self._ledger.world, row, outcome, given, random.random()))  # noqa: S311 - jitter.
        self._note(delivery, outcome, now)
        await self._ledger.flush()

    async def _send(self, delivery: Delivery) -> Outcome:
        notifier = await self._equipment.notifiers.again(delivery.notifier)
        if notifier is None and delivery.notifier in self._equipment.settings.notifiers:
            return RetryLater("internal", f"{delivery.notifier} cannot be opened; the log says why", arrived=False)
        if notifier is None:
            return Refused("no_notifier", f'there is no notifier "{delivery.notifier}" in the settings any more')
        try:
            async with asyncio.timeout(SEND_LIMIT):
                return await notifier.send(delivery, self._clock.now())
        except TimeoutError:
            return RetryLater("timeout", f"{delivery.notifier} did not end its attempt within {SEND_LIMIT:g} s")
        except Exception:  # One of the three places where our own mistakes are survived, counted and logged.
            log.exception("delivery broke", notifier=delivery.notifier, incident=delivery.incident)
            self._metrics.errors.labels("delivery").inc()
            return RetryLater("internal", "our own mistake; the log has its traceback")

    def _put(self, delivery: Delivery) -> None:
        self._ledger.take(Changes(deliveries={delivery.id: delivery}))

    def _note(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        said = {
            "notifier": delivery.notifier,
            "action": delivery.action.value,
            "incident": delivery.incident,
            "dedup_key": delivery.dedup_key,
        }
        match outcome:
            case Accepted():
                label = "accepted"
                log.info("delivery accepted", repeat=delivery.accepted, **said)
            case RetryLater():
                label = f"retry_{outcome.reason}"
                log.warning("delivery will be tried again", reason=outcome.reason, error=outcome.message, **said)
                if outcome.reason == RATE_LIMITED and outcome.after:
                    self._paused[lane_of(delivery)] = now + outcome.after
            case Refused():
                label = "refused"
                log.error("delivery refused", reason=outcome.reason, error=outcome.message, **said)
        self._metrics.deliveries.labels(delivery.notifier, delivery.action.value, label).inc()
