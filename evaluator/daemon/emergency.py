"""What is told when the store itself cannot be written: from memory, past the outbox.

Nothing is sent that was not first written, so a full disk would silence everything. After a minute of it one P0 goes to
every service that has something firing, under a fixed dedup_key, and lists what fires. It is resolved once the store
can be written again, and at every start, since the daemon may have died in between without being able to note it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Burning:
    """What fires, for one receiver."""

    services: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    """Worst first."""


class Emergency:
    """Watches the ledger."""

    def __init__(self, equipment: Equipment, ledger: Ledger, clock: Clock, metrics: Metrics) -> None:
        """Start with everything that has a routing key to be resolved."""
        self._equipment = equipment
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._to_resolve: set[Target] = {target for _, target in equipment.routes.keyed()}
        self._told: dict[Target, set[str]] = {}
        self._not_before: dict[Target, float] = {}
        self._failures: Counter[Target] = Counter()

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
            self._to_resolve.update(self._told)
            self._told.clear()
            await asyncio.gather(*(self._resolve(target) for target in self._to_resolve))
        elif now - since >= AFTER:
            burning = self._burning()
            news = {
                target for target, found in burning.items() if not set(found.lines) <= self._told.get(target, set())
            }
            await asyncio.gather(*(self._trigger(target, burning[target], since) for target in news))

    def _burning(self) -> dict[Target, Burning]:
        """Return what fires for each receiver; services that share one share its message."""
        found: dict[Target, Burning] = {}
        for alert in sorted(self._alerts(), key=lambda alert: (alert.severity, alert.rule, alert.series)):
            rule = self._equipment.rules.get(alert.rule)
            if rule is None or rule.mode is not Mode.PAGE:
                continue
            for target in self._receivers(rule.service):
                series = series_text(alert.series)
                burning = found.setdefault(target, Burning())
                burning.services.add(rule.service)
                burning.lines.append(f"{alert.severity} {alert.rule}{f' ({series})' if series else ''}: {alert.reason}")
        return found

    def _alerts(self) -> Iterable[Alert]:
        books = self._ledger.world.alerts.values()
        return (alert for book in books for alert in book.values() if alert.state is State.FIRING)

    def _receivers(self, service: str) -> list[Target]:
        keyed = [target for name, target in self._equipment.routes.keyed() if name == service]
        return keyed or [CONSOLE]

    async def _trigger(self, target: Target, burning: Burning, since: float) -> None:
        outcome = await self._send(target, Action.TRIGGER, self._message(burning, since))
        if isinstance(outcome, Accepted | Refused):
            self._told[target] = set(burning.lines)
            self._to_resolve.discard(target)

    async def _resolve(self, target: Target) -> None:
        outcome = await self._send(target, Action.RESOLVE, self._message(Burning(), self._clock.now()))
        if isinstance(outcome, Accepted | Refused):
            self._to_resolve.discard(target)

    async def _send(self, target: Target, action: Action, message: Message) -> Outcome | None:
        """Send past the outbox; `None`: it is not time for another try."""
        now = self._clock.now()
        notifier = self._equipment.notifiers.get(target.notifier)
        if notifier is None or self._not_before.get(target, 0.0) > now:
            return None
        delivery = Delivery(
            id=new_id(),
            seq=1,
            incident="",
            notifier=target.notifier,
            service=message.service,
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
        self._note(target, action, message, outcome)
        return outcome

    def _note(self, target: Target, action: Action, message: Message, outcome: Outcome) -> None:
        match outcome:
            case Accepted():
                label, level = "accepted", log.debug if action is Action.RESOLVE else log.error
                del self._failures[target]
            case RetryLater():
                label, level = f"retry_{outcome.reason}", log.debug if action is Action.RESOLVE else log.warning
                wait = min(LONGEST_WAIT, LOOK_EVERY * 2.0 ** min(self._failures[target], 10))
                self._failures[target] += 1
                self._not_before[target] = self._clock.now() + max(outcome.after or 0.0, wait)
            case Refused():
                label, level = "refused", log.error
        self._metrics.deliveries.labels(target.notifier, action.value, label).inc()
        level("store emergency told past the outbox", service=message.service, action=action.value, outcome=label)

    def _message(self, burning: Burning, since: float) -> Message:
        now, count = self._clock.now(), len(burning.lines)
        services = ", ".join(sorted(burning.services))
        over = "the store can be written"
        more = (f"and {count - MOST_LISTED} more",) if count > MOST_LISTED else ()
        title = (
            f"evaluator cannot write its store, and {count} {'alert' if count == 1 else 'alerts'} of {services} fire"
        )
        return Message(
            incident="",
            rule="store",
            service=services or "evaluator",
            severity=Severity.P0,
            title=title if count else over,
            why=f"the store cannot be written: {self._ledger.error}" if count else over,
            source=f"evaluator {self._equipment.settings.instance}",
            opened_at=since,
            at=now,
            series=(*burning.lines[:MOST_LISTED], *more),
            closed="" if count else over,
        )
