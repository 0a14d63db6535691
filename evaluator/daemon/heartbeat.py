"""Tells a dead man's switch elsewhere that we live: only while cycles are committed and what must be told is told.

This module decides whether to send, and sends. Who misses the heartbeat, and whom that wakes, is for the switch.
"""

import asyncio

import httpx
import structlog

from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.poller import Poller
from evaluator.incidents.outbox import overdue
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

OVERDUE_BY = 300.0
"""Seconds by which a delivery may be overdue before the heartbeat is withheld."""

TIMEOUT = 10.0
"""Seconds for one heartbeat."""

IDLE = 5.0
"""Seconds between looks at the settings while none is set."""


class Heartbeat:
    """Sends `[heartbeat]`."""

    def __init__(self, equipment: Equipment, ledger: Ledger, poller: Poller, clock: Clock, metrics: Metrics) -> None:
        """Watch the ledger and the poller."""
        self._equipment = equipment
        self._ledger = ledger
        self._poller = poller
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> None:
        """Send it at its interval, for ever; settings may change in between."""
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True) as client:
            while True:
                settings = self._equipment.settings.heartbeat
                await asyncio.sleep(settings.every if settings else IDLE)
                if settings:
                    await self._beat(client, settings.url.get_secret_value())

    def withheld(self) -> str:
        """Return why no heartbeat may be sent now; empty: one may."""
        if self._ledger.failing_since is not None:
            return "the store cannot be written"
        if not self._poller.committed():
            return "no cycle has been committed yet"
        late = self._poller.overdue()
        if late:
            return late[0]
        if overdue(self._ledger.world.deliveries.values(), self._clock.now(), OVERDUE_BY):
            return "a delivery is overdue by more than 5 minutes"
        return ""

    async def _beat(self, client: httpx.AsyncClient, url: str) -> None:
        because = self.withheld()
        if because:
            self._metrics.heartbeats.labels("withheld").inc()
            log.warning("heartbeat withheld", because=because)
            return
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await client.get(url)
            failure = "" if answer.is_success else f"HTTP {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            # The URL is a secret, and some of these messages have it in them: the kind is enough.
            failure = type(error).__name__
        self._metrics.heartbeats.labels("failed" if failure else "sent").inc()
        if failure:
            log.warning("heartbeat failed", error=failure)
