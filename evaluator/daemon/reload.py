"""Puts edited settings and rules in force while everything else goes on.

A reload is asked for by SIGHUP, or by a changed file. What is broken keeps its last good text; settings that cannot be
used leave everything as it is. This module never judges: what an edit means for alerts is decided in `incidents.edits`.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from evaluator.config.load import Loaded, load
from evaluator.config.settings import Settings
from evaluator.daemon.backfill import Backfill
from evaluator.daemon.clock import Clock
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.foresight import Foresight
from evaluator.daemon.identifiers import new_id
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.poller import Poller
from evaluator.daemon.sightings import Sightings
from evaluator.daemon.systemd import Systemd
from evaluator.engine.rules import RuleSet
from evaluator.incidents.changes import Changes, RuleFile
from evaluator.incidents.edits import reload as edits_of
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

NEEDS_RESTART = ("instance", "store", "web")
"""Settings that stay as they were at the start."""


def files_changed(before: Mapping[str, str], loaded: Loaded, now: float) -> Changes:
    """Return the rule files whose text in force is another one now."""
    changes = Changes()
    for path, text in loaded.files.items():
        if before.get(path) != text:
            changes.files[path] = RuleFile(path, text, now)
    for path in before.keys() - loaded.files.keys():
        changes.files[path] = None
    return changes


class Reloader:
    """Reloads when it is asked to, one time after the other."""

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        equipment: Equipment,
        ledger: Ledger,
        poller: Poller,
        sightings: Sightings,
        backfill: Backfill,
        clock: Clock,
        metrics: Metrics,
        systemd: Systemd,
    ) -> None:
        """Reload these from `path`."""
        self._path = path
        self._environ = environ
        self._equipment = equipment
        self._ledger = ledger
        self._poller = poller
        self._sightings = sightings
        self._backfill = backfill
        self._clock = clock
        self._metrics = metrics
        self._systemd = systemd
        self._foresight = Foresight(equipment, ledger, clock)
        self._asked = asyncio.Event()
        self._keep_vanished = True

    def ask(self, *, keep_vanished: bool = False) -> None:
        """Ask for a reload. With `keep_vanished` a file that is no longer there does not count as removed."""
        self._keep_vanished = self._keep_vanished and keep_vanished
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever it is asked for, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            keep_vanished, self._keep_vanished = self._keep_vanished, True
            self._systemd.reloading()
            try:
                await self.reload(keep_vanished=keep_vanished)
            except Exception:  # What is in force goes on, whatever is wrong with the new files, or with us.
                log.exception("reload broke: everything stays as it was")
                self._metrics.errors.labels("reload").inc()
                self._metrics.reloads.labels("failed").inc()
            self._systemd.ready("reloaded")

    async def reload(self, *, keep_vanished: bool) -> bool:
        """Load, and put in force what can be; return whether that was everything."""
        saved = self._equipment.loaded.files
        loaded = await asyncio.to_thread(
            load, self._path, self._environ, saved, keep_vanished=keep_vanished, now=self._clock.now()
        )
        errors = [problem for problem in loaded.problems if problem.error]
        for problem in errors:
            log.error("config problem", problem=problem.headline)
        if loaded.settings is None or loaded.fatal:
            self._equipment.refuse(loaded)
            self._metrics.reloads.labels("failed").inc()
            log.error("reload refused: everything stays as it was", errors=len(errors))
            return False
        await self._say_what_it_does(loaded)
        await self._put_in_force(loaded, self._kept(loaded.settings))
        self._metrics.reloads.labels("failed" if errors else "ok").inc()
        if not errors:
            self._metrics.last_reload_success_timestamp_seconds.set(self._clock.now())
        log.info("reloaded", rules=sum(not rule.built_in for rule in loaded.rules), errors=len(errors))
        return not errors

    async def _say_what_it_does(self, loaded: Loaded) -> None:
        try:
            effect = await self._foresight.effect(loaded)
        except Exception:  # Nobody waits for an edit because it cannot be foretold.
            log.exception("what the reload does cannot be told")
            self._metrics.errors.labels("reload").inc()
            return
        if effect:
            removed = {"removed": list(effect.removed)} if effect.removed else {}
            log.info("reload will do this", does=effect.sentence(), changed=list(effect.changed), **removed)

    async def _put_in_force(self, loaded: Loaded, settings: Settings) -> None:
        before = self._equipment.rules
        written = files_changed(self._equipment.loaded.files, loaded, self._clock.now())

        def in_force() -> None:
            self._ledger.take(self.edits())
            self._ledger.take(written)
            self._poller.sync()

        await self._equipment.use(loaded, settings, in_force)
        await self._ledger.flush()
        rules, sources = self._sightings.keep_only(loaded.rules.rules, settings.sources)
        for rule in rules:
            self._metrics.forget_rule(rule)
        for source in sources:
            self._metrics.forget_source(source)
        self._look_back(before)

    def edits(self) -> Changes:
        """Return what the rule set in force means for what is there."""
        return edits_of(
            self._ledger.world,
            self._equipment.rules,
            self._clock.now(),
            routes=self._equipment.routes,
            instance=self._equipment.settings.instance,
            ids=new_id,
        )

    def _look_back(self, before: RuleSet) -> None:
        """Judge the past of new rules, and fill what they and edited ones look back on."""
        new, edited = [], []
        for rule in self._equipment.rules:
            old = before.get(rule.name)
            if old is None:
                new.append(rule)
            elif (old.query, old.keeps, old.judged) != (rule.query, rule.keeps, rule.judged):
                edited.append(rule)
        if new or edited:
            self._backfill.start(new, edited)

    def _kept(self, settings: Settings) -> Settings:
        """Return the settings with those as they were that only a restart changes."""
        running = self._equipment.settings
        kept = {name: getattr(running, name) for name in NEEDS_RESTART}
        for name in NEEDS_RESTART:
            if getattr(settings, name) != kept[name]:
                log.warning("setting stays as it was until the next start", setting=name)
        return settings.model_copy(update=kept)
