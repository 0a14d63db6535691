"""Makes the picture of the daemon that pages, API and metrics show.

This module reads what the other rooms hold, and hands on what people wish over HTTP. Nothing in the picture is secret.
"""

import asyncio
from collections import Counter
from dataclasses import replace

from evaluator import __version__
from evaluator.daemon.answers import sources_of
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.holding import would_hold
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.orders import carry_out
from evaluator.daemon.poller import Poller
from evaluator.daemon.sightings import Sightings
from evaluator.engine.alerts import State
from evaluator.engine.rules import Mode
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.deliveries import DeliveryState
from evaluator.incidents.incident import Event, Incident
from evaluator.incidents.silence import Silence
from evaluator.store.store import Store
from evaluator.telemetry.metrics import Metrics
from evaluator.web.quiet import windows_at
from evaluator.web.view import Backlog, ConfigProblem, RuleStatus, Snapshot, SourceStatus
from evaluator.web.why import Looks, Question, chosen, later_than, pasts_to_read


class Picture:
    """The `View` of a running daemon."""

    def __init__(
        self,
        equipment: Equipment,
        ledger: Ledger,
        poller: Poller,
        sightings: Sightings,
        store: Store,
        clock: Clock,
    ) -> None:
        """Look at these."""
        self._equipment = equipment
        self._ledger = ledger
        self._poller = poller
        self._sightings = sightings
        self._store = store
        self._clock = clock
        self._started_at = clock.now()

    def snapshot(self) -> Snapshot:
        """Return the picture of now."""
        settings = self._equipment.settings
        world = self._ledger.world
        alerts = [alert for book in world.alerts.values() for alert in book.values()]
        ended = sorted(world.ended_incidents(), key=lambda incident: -(incident.closed_at or 0.0))
        by_badness = sorted(world.open_incidents(), key=lambda incident: (incident.severity, incident.opened_at))
        return Snapshot(
            now=self._clock.now(),
            instance=settings.instance,
            version=__version__,
            started_at=self._started_at,
            timezone=settings.timezone,
            ready=self.not_ready(),
            rules=tuple(self._rule(name) for name in self._equipment.rules.rules),
            alerts=tuple(alert for alert in alerts if alert.state is not State.QUIET),
            incidents=(*by_badness, *ended),
            sources=tuple(self._source(name) for name in settings.sources if self._shown(name)),
            backlog=self.backlog(),
            problems=self._problems(),
            notes=self._equipment.unpaged(),
            silences=tuple(world.silences.values()),
            windows=windows_at(self._equipment.rules.windows.values(), self._clock.now()),
            held={
                **{key: text for held in world.held.values() for key, text in held.items()},
                **would_hold(world, self._equipment.rules, alerts, self._clock.now()),
            },
        )

    def not_ready(self) -> tuple[str, ...]:
        """Return what is missing until the daemon is ready; empty: nothing."""
        store = (f"the store cannot be written: {self._ledger.error}",) if self._ledger.failing_since else ()
        return (*store, *self._poller.overdue())

    def backlog(self) -> Backlog:
        """Return how the outbox stands."""
        rows = self._ledger.world.deliveries.values()
        now = self._clock.now()
        waiting = [row for row in rows if row.state is DeliveryState.PENDING and row.accepted == 0]
        due = [row.created_at for row in waiting if row.created_at <= now]
        refused = sum(row.state is DeliveryState.REFUSED for row in rows)
        return Backlog(pending=len(due), refused=refused, oldest=min(due, default=None))

    async def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
        """Return an incident of any age with its timeline; as memory has it, where the store does not have it yet."""
        found = await asyncio.to_thread(self._store.incident, incident)
        known = self._ledger.world.incidents.get(incident)
        if known is None:
            return found
        return known, found[1] if found else ()

    async def history(self, limit: int, before: str | None = None) -> tuple[Incident, ...]:
        """Return incidents of any age, newest first, older than the id `before`."""
        found = await asyncio.to_thread(self._store.incidents, limit, before)
        return tuple(self._ledger.world.incidents.get(incident.id, incident) for incident in found)

    async def looks(self, asked: Question) -> Looks:
        """Return what is known of a rule's evaluations: as memory has them, and before that its transitions."""
        whys = self._sightings.whys
        # Before the store is asked, which takes a while.
        seen = whys.lines(asked.rule)
        kept_since = whys.kept_since(asked.rule)
        ends = [at for at in (kept_since, later_than(asked.at)) if at is not None]
        read = self._store.transitions
        pasts = await asyncio.to_thread(read, asked.rule, None, min(ends, default=None), pasts_to_read(asked))
        return chosen(asked, seen, pasts, kept_since)

    async def silences(self, limit: int) -> tuple[Silence, ...]:
        """Return silences of any age, newest first."""
        return await asyncio.to_thread(self._store.silences, limit)

    async def silence(self, asked: Silence) -> Silence:
        """Begin a silence, under a new id, and wait until it is written."""
        silence = replace(asked, id=new_id())
        command = Command(new_id(), CommandKind.SILENCE, silence.id, silence.by, self._clock.now(), silence=silence)
        await carry_out(self._equipment, self._ledger, self._clock, command)
        return self._ledger.world.silences.get(silence.id, silence)

    async def unsilence(self, silence: Silence, by: str) -> Silence:
        """End a silence, and wait until that is written."""
        command = Command(new_id(), CommandKind.UNSILENCE, silence.id, by, self._clock.now())
        await carry_out(self._equipment, self._ledger, self._clock, command)
        return self._ledger.world.silences.get(silence.id, silence)

    def count(self, metrics: Metrics) -> None:
        """Set the gauges that show how things stand."""
        world = self._ledger.world
        states = Counter((a.state, a.severity) for book in world.alerts.values() for a in book.values())
        metrics.set_alerts(states)
        incidents = Counter((incident.service, incident.severity) for incident in world.open_incidents())
        metrics.set_open_incidents(incidents, self._equipment.settings.services)
        backlog = self.backlog()
        metrics.deliveries_pending.set(backlog.pending)
        metrics.deliveries_refused.set(backlog.refused)
        age = 0.0 if backlog.oldest is None else max(0.0, self._clock.now() - backlog.oldest)
        metrics.oldest_pending_delivery_age_seconds.set(age)
        modes = Counter(rule.mode for rule in self._equipment.rules if not rule.built_in)
        for mode in Mode:
            metrics.rules.labels(mode.value).set(modes[mode])
        problems = Counter(problem.error for problem in self._equipment.loaded.problems)
        metrics.config_problems.labels("error").set(problems[True])
        metrics.config_problems.labels("warning").set(problems[False])

    def _shown(self, name: str) -> bool:
        """Return whether a source is one of the user's: the daemon itself only where a rule file asks it."""
        asked = any(name in sources_of(rule) and not rule.built_in for rule in self._equipment.rules)
        return asked or not self._equipment.settings.sources[name].implicit

    def _rule(self, name: str) -> RuleStatus:
        rule = self._equipment.rules.rules[name]
        seen = self._sightings.rules.get(name, RuleStatus(rule))
        return replace(seen, rule=rule, learned=self._sightings.whys.learned(name))

    def _source(self, name: str) -> SourceStatus:
        declared = self._equipment.settings.sources[name]
        waiting = not declared.enabled
        mine = [rule for rule in self._equipment.rules if name in sources_of(rule)]
        rules = sum(bool(rule.off_because) if waiting else rule.judged for rule in mine)
        seen = self._sightings.sources.get(name, SourceStatus(name, declared.type))
        return replace(seen, type=declared.type, enabled=declared.enabled, rules=rules)

    def _problems(self) -> tuple[ConfigProblem, ...]:
        return tuple(
            ConfigProblem(problem.where, problem.message, error=problem.error)
            for problem in self._equipment.loaded.problems
        )
