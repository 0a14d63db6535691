"""Puts the daemon together, starts it, and ends it in good order.

This module knows in which order rooms are opened and closed. It decides nothing about rules, incidents or deliveries.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Coroutine, Mapping
from pathlib import Path

import structlog

from evaluator import __version__
from evaluator.config.load import Loaded, load
from evaluator.config.problems import Problem
from evaluator.config.settings import Settings
from evaluator.daemon.backfill import Backfill
from evaluator.daemon.clock import Clock
from evaluator.daemon.cycle import Cycles
from evaluator.daemon.dispatcher import Dispatcher
from evaluator.daemon.emergency import Emergency
from evaluator.daemon.equipment import Equipment
from evaluator.daemon.filling import Filling
from evaluator.daemon.health import HealthBook
from evaluator.daemon.heartbeat import Heartbeat
from evaluator.daemon.history import Historian
from evaluator.daemon.housekeeping import keep_counting, keep_ending, keep_forgetting
from evaluator.daemon.ledger import Ledger
from evaluator.daemon.orders import keep_obeying
from evaluator.daemon.poller import Poller
from evaluator.daemon.reload import Reloader, files_changed
from evaluator.daemon.sightings import Sightings
from evaluator.daemon.systemd import Systemd
from evaluator.daemon.view import Picture
from evaluator.daemon.watching import fingerprint, watch
from evaluator.incidents.world import World
from evaluator.store.store import Store, open_store
from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.server import Server, listen

log = structlog.get_logger(__name__)

PATIENCE = 9.0
"""Seconds after a SIGTERM in which the daemon ends in good order."""

FOR_CLOSING = 3.0
"""Seconds of these that are kept for writing and closing; before, what is due is still sent."""

LEAVES_AFTER = 10.0
"""Seconds after a SIGTERM after which the process leaves, whatever still hangs (a stalled disk holds its thread)."""


class ConfigBrokenError(Exception):
    """Settings or rules cannot be used; `problems` has all of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep the problems."""
        super().__init__(f"{len(problems)} problems in settings and rules")
        self.problems = problems


class Daemon:
    """One daemon: `start`, `run` until something ends it, `stop`."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        """Read settings from `path`, or where they are looked for."""
        self._path = path
        self._environ = environ
        self.clock = clock or Clock()
        self.metrics = Metrics(__version__)
        self.systemd = Systemd(environ)
        self.started = False
        self._ending = asyncio.Event()
        self._closing = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: Server | None = None

    async def start(self) -> None:
        """Load, open and bind everything, and begin to work.

        Raises `ConfigBrokenError`, `StoreUnavailable` or `WebUnavailable`: each says in one sentence, or with each
        problem at its place, what is to be mended. Nothing has been sent or judged then.
        """
        settings, self.store = await asyncio.to_thread(self._open_store)
        self._closing.push_async_callback(asyncio.to_thread, self.store.close)
        try:
            await self._assemble(settings)
            app = make_app(self.picture, self.metrics, token=settings.web.token)
            self._server = await listen(app, settings.web.listen)
            self._closing.push_async_callback(self._server.close)
            await self._begin()
        except BaseException:
            await self._closing.aclose()
            raise
        self.started = True
        self._say_what_runs(settings)

    async def run(self) -> None:
        """Work until `end` is called; raises what broke, if one of the loops did."""
        ending = asyncio.create_task(self._ending.wait())
        done, _ = await asyncio.wait([ending, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        for task in done - {ending}:
            task.result()

    async def ended_before(self, starting: "asyncio.Task[None]") -> bool:
        """Wait for the start, raising what it raises; return whether the daemon was asked to stop before."""
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait([starting, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if starting.done():
            starting.result()
            return False
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return True

    def end(self) -> None:
        """Ask the daemon to stop."""
        self._ending.set()

    def hang_up(self) -> None:
        """Ask the daemon to reload; while it starts, it reads everything anyway."""
        if self.started:
            self.reloader.ask()

    async def stop(self) -> None:
        """Drain: no new cycle, what is decided is written, what is due is sent; within ten seconds."""
        self.systemd.stopping()
        log.info("draining")
        end = self.clock.monotonic() + PATIENCE
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._within(end - FOR_CLOSING, self.poller.stop())
        await self._within(end - FOR_CLOSING, self.backfill.stop())
        await self._within(end - FOR_CLOSING, self.filling.stop())
        await self._within(end - FOR_CLOSING, self.ledger.flush())
        await self.dispatcher.drain(end - FOR_CLOSING)
        await self._within(end, self.ledger.flush_all())
        await self._within(end, self._closing.aclose())
        log.info("stopped")

    async def _within(self, end: float, work: Awaitable[object]) -> None:
        """Do a part of the ending, for as long as there is time."""
        try:
            async with asyncio.timeout(max(0.1, end - self.clock.monotonic())):
                await work
        except TimeoutError:
            log.warning("a part of the ending took too long and was left")

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._server.url if self._server else ""

    def _open_store(self) -> tuple[Settings, Store]:
        """Load once to know the store; with what the store has, rules are loaded again."""
        first = load(self._path, self._environ, {})
        if first.settings is None:
            raise ConfigBrokenError(first.problems)
        # Before the files are read that will be in force: an edit from here on is noticed.
        self._seen = fingerprint(first.path, first.folder)
        store = open_store(first.settings.store.url.get_secret_value(), instance=first.settings.instance)
        return first.settings, store

    async def _assemble(self, first: Settings) -> None:
        saved = await asyncio.to_thread(self.store.load, self.clock.now())
        files = {file.path: file.text for file in saved.files}
        loaded = await asyncio.to_thread(load, self._path, self._environ, files, now=self.clock.now())
        if loaded.settings is None or loaded.fatal:
            raise ConfigBrokenError(loaded.problems)
        settings = loaded.settings.model_copy(update={"store": first.store, "instance": first.instance})
        self.equipment = Equipment(loaded, settings, self.metrics)
        self.ledger = Ledger(World.load(saved, self.clock.now()), self.store, self.clock, self.metrics)
        self._make_rooms(loaded)
        self._closing.push_async_callback(self.equipment.close)
        await self.equipment.use(loaded, settings, self._take_edits)
        self.ledger.take(files_changed(files, loaded, self.clock.now()))

    def _take_edits(self) -> None:
        self.ledger.take(self.reloader.edits())

    def _make_rooms(self, loaded: Loaded) -> None:
        equipment, ledger, clock, metrics = self.equipment, self.ledger, self.clock, self.metrics
        self.sightings = Sightings()
        self.cycles = Cycles(equipment, ledger, self.sightings, clock, metrics)
        self.poller = Poller(equipment, self.cycles, clock, metrics)
        self.dispatcher = Dispatcher(equipment, ledger, clock, metrics)
        self.emergency = Emergency(equipment, ledger, clock, metrics)
        historian = Historian(equipment, metrics)
        self.filling = Filling(equipment, ledger, historian, clock)
        self.backfill = Backfill(
            equipment, self.cycles, ledger, self.sightings, historian, self.filling, clock, metrics
        )
        self.heartbeat = Heartbeat(equipment, ledger, self.poller, clock, metrics)
        self.picture = Picture(equipment, ledger, self.poller, self.sightings, self.store, clock)
        equipment.reader = HealthBook(equipment, ledger, self.sightings, self.picture.backlog, metrics, clock)
        self.reloader = Reloader(
            loaded.path,
            self._environ,
            equipment,
            ledger,
            self.poller,
            self.sightings,
            self.backfill,
            clock,
            metrics,
            self.systemd,
        )

    async def _begin(self) -> None:
        await self.ledger.flush()
        self.metrics.lease_held.set(1)
        self.metrics.last_reload_success_timestamp_seconds.set(self.clock.now())
        self.poller.start()
        for name, work in self._duties().items():
            self._tasks.append(asyncio.create_task(work, name=name))
        self.backfill.start(self.equipment.rules)

    def _duties(self) -> dict[str, Coroutine[None, None, None]]:
        """Return everything that goes on for as long as the daemon does."""
        return {
            "clock": self.poller.watch(),
            "dispatcher": self.dispatcher.run(),
            "emergency": self.emergency.run(),
            "filling": self.filling.run(),
            "forgetting": keep_forgetting(self.equipment, self.ledger, self.store, self.clock),
            "gauges": keep_counting(self.picture, self.ledger, self.metrics),
            "heartbeat": self.heartbeat.run(),
            "ledger": self.ledger.keep_trying(),
            "orders": keep_obeying(self.equipment, self.ledger, self.store, self.clock),
            "reloading": self.reloader.run(),
            "silences": keep_ending(self.ledger, self.clock),
            "watchdog": self._watchdog(),
            "web": self._web(),
            "watching": watch(self._places, lambda: self.reloader.ask(keep_vanished=True), self._seen),
        }

    async def _web(self) -> None:
        if self._server is not None:
            await self._server.wait()

    async def _watchdog(self) -> None:
        await self.systemd.watch(self.poller.stuck)
        await self._ending.wait()

    def _places(self) -> tuple[Path, Path]:
        loaded = self.equipment.loaded
        return loaded.path, loaded.folder

    def _say_what_runs(self, settings: Settings) -> None:
        rules = [rule for rule in self.equipment.rules if rule.judged and not rule.built_in]
        sources = [name for name, source in settings.sources.items() if source.enabled and not source.implicit]
        status = f"{_counted(len(rules), 'rule')} on {_counted(len(sources), 'source')}"
        log.info("started", version=__version__, instance=settings.instance, status=status, page=self.url)
        for problem in self.equipment.loaded.problems:
            (log.error if problem.error else log.warning)("config problem", problem=problem.headline)
        self.systemd.ready(status)


async def run_daemon(path: Path | None, environ: Mapping[str, str]) -> None:
    """Run a daemon until SIGTERM or SIGINT; SIGHUP reloads. Raises what `Daemon.start` does."""
    daemon = Daemon(path, environ)
    loop = asyncio.get_running_loop()
    # Before anything that takes long (a migration), so that a signal never finds the process without a handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.end)
    loop.add_signal_handler(signal.SIGHUP, daemon.hang_up)
    starting = asyncio.create_task(daemon.start())
    try:
        if await daemon.ended_before(starting):
            _leave_in_any_case()
            return
        await daemon.run()
    finally:
        _leave_in_any_case()
        if daemon.started:
            await daemon.stop()


def _leave_in_any_case() -> None:
    """See to it that the process ends, even where a thread hangs that Python would wait for."""
    timer = threading.Timer(LEAVES_AFTER, os._exit, [0])
    timer.daemon = True
    timer.start()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
