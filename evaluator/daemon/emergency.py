"""What is told when the store itself cannot be written: from memory, past the outbox.

Nothing is sent that was not first written, so a full disk would silence everything. After a minute of it one P0 goes to
every service that has something firing, under a fixed dedup_key, and lists what fires. It is resolved once the store
can be written again, and at every start, since the daemon may have died in between without being able to note it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.engine.alerts import Alert, State
from evaluator.engine.rules import Mode, Severity
from evaluator.engine.samples import series_text
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Message, Outcome, Refused, RetryLater
from evaluator.incidents.routing import CONSOLE, Target
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

AFTER = 60.0
"""Seconds for which the store cannot be written before anybody is told."""

LOOK_EVERY = 2.0
"""Seconds between looks, and between tries."""

LONGEST_WAIT = 30.0
"""Seconds between tries at the most, without what a Retry-After asks for."""

SEND_LIMIT = 60.0
"""Seconds after which a notifier that does not keep its own timeout is cancelled."""

MOST_LISTED = 50

Receiver = tuple[str, Target]
"""A service and the receiver that pages for it."""


class Emergency:
    """Watches the ledger."""

    def __init__(self, equipment: Equipment, ledger: Ledger, clock: Clock, metrics: Metrics) -> None:
        """Start with everything that has a routing key to be resolved."""
        self._equipment = equipment
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._to_resolve: list[Receiver] = list(equipment.routes.keyed())
        self._told: dict[Receiver, tuple[str, ...]] = {}
        self._not_before: dict[Receiver, float] = {}
        self._failures: Counter[Receiver] = Counter()

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Look once: trigger what must be told, resolve what is over."""
        now = self._clock.now()
        since = self._ledger.failing_since
        if since is None:
            self._to_resolve.extend(receiver for receiver in self._told if receiver not in self._to_resolve)
            self._told.clear()
            await asyncio.gather(*(self._resolve(receiver) for receiver in list(self._to_resolve)))
        elif now - since >= AFTER:
            firing = self._firing()
            for receiver, listed in firing.items():
                if not set(listed) <= set(self._told.get(receiver, ())):
                    await self._trigger(receiver, listed, since)

    def _firing(self) -> dict[Receiver, tuple[str, ...]]:
        """Return what fires for each receiver, worst first."""
        found: dict[Receiver, list[str]] = {}
        for alert in sorted(self._alerts(), key=lambda alert: (alert.severity, alert.rule, alert.series)):
            rule = self._equipment.rules.get(alert.rule)
            if rule is None or rule.mode is not Mode.PAGE:
                continue
            for target in self._receivers(rule.service):
                series = series_text(alert.series)
                line = f"{alert.severity} {alert.rule}{f' ({series})' if series else ''}: {alert.reason}"
                found.setdefault((rule.service, target), []).append(line)
        return {receiver: tuple(lines) for receiver, lines in found.items()}

    def _alerts(self) -> Iterable[Alert]:
        books = self._ledger.world.alerts.values()
        return (alert for book in books for alert in book.values() if alert.state is State.FIRING)

    def _receivers(self, service: str) -> list[Target]:
        keyed = [target for name, target in self._equipment.routes.keyed() if name == service]
        return keyed or [CONSOLE]

    async def _trigger(self, receiver: Receiver, listed: tuple[str, ...], since: float) -> None:
        service, _ = receiver
        outcome = await self._send(receiver, Action.TRIGGER, self._message(service, listed, since))
        if isinstance(outcome, Accepted | Refused):
            self._told[receiver] = listed
            if receiver in self._to_resolve:
                self._to_resolve.remove(receiver)

    async def _resolve(self, receiver: Receiver) -> None:
        service, _ = receiver
        outcome = await self._send(receiver, Action.RESOLVE, self._message(service, (), self._clock.now()))
        if isinstance(outcome, Accepted | Refused) and receiver in self._to_resolve:
            self._to_resolve.remove(receiver)

    async def _send(self, receiver: Receiver, action: Action, message: Message) -> Outcome | None:
        """Send past the outbox; `None`: the receiver asked us to wait."""
        service, target = receiver
        now = self._clock.now()
        notifier = self._equipment.notifiers.get(target.notifier)
        if notifier is None or self._not_before.get(receiver, 0.0) > now:
            return None
        delivery = Delivery(
            id=new_id(),
            seq=1,
            incident="",
            notifier=target.notifier,
            service=service,
            severity=Severity.P0,
            action=action,
            dedup_key=f"evaluator/{self._equipment.settings.instance}/store",
            message=message,
            created_at=now,
            due_at=now,
            routing_key=target.routing_key,
        )
        try:
            async with asyncio.timeout(SEND_LIMIT):
                outcome = await notifier.send(delivery, now)
        except TimeoutError:
            outcome = RetryLater("timeout", f"{target.notifier} did not end its attempt")
        except Exception:  # As for any delivery: our own mistakes are survived, counted and logged.
            log.exception("delivery broke", notifier=target.notifier)
            self._metrics.errors.labels("delivery").inc()
            outcome = RetryLater("internal", "our own mistake; the log has its traceback")
        self._note(receiver, action, outcome)
        return outcome

    def _note(self, receiver: Receiver, action: Action, outcome: Outcome) -> None:
        service, target = receiver
        match outcome:
            case Accepted():
                label, level = "accepted", log.debug if action is Action.RESOLVE else log.error
                del self._failures[receiver]
            case RetryLater():
                label, level = f"retry_{outcome.reason}", log.debug if action is Action.RESOLVE else log.warning
                wait = min(LONGEST_WAIT, LOOK_EVERY * 2.0 ** min(self._failures[receiver], 10))
                self._failures[receiver] += 1
                self._not_before[receiver] = self._clock.now() + max(outcome.after or 0.0, wait)
            case Refused():
                label, level = "refused", log.error
        self._metrics.deliveries.labels(target.notifier, action.value, label).inc()
        level("store emergency told past the outbox", service=service, action=action.value, outcome=label)

    def _message(self, service: str, listed: tuple[str, ...], since: float) -> Message:
        now = self._clock.now()
        shown = listed[:MOST_LISTED]
        more = (f"and {len(listed) - MOST_LISTED} more",) if len(listed) > MOST_LISTED else ()
        why = f"the store cannot be written: {self._ledger.error}" if listed else "the store can be written"
        return Message(
            incident="",
            rule="store",
            service=service,
            severity=Severity.P0,
            title=f"evaluator cannot write its store; {len(listed)} alerts of {service} are firing" if listed else why,
            why=why,
            source=f"evaluator {self._equipment.settings.instance}",
            opened_at=since,
            at=now,
            series=(*shown, *more),
            closed="" if listed else "the store can be written",
        )
