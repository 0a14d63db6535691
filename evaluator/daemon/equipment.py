"""What the daemon works with right now: settings, rules, routes, open sources and notifiers.

A reload puts others in their place; an adapter whose settings did not change stays as it is. This module opens and
closes adapters. It never asks or sends anything itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import structlog

from evaluator.config.load import Loaded
from evaluator.config.plugins import Plugins, installed
from evaluator.config.settings import Settings
from evaluator.engine.rules import RuleSet
from evaluator.incidents.routing import Routes
from evaluator.notifiers.notifier import Notifier
from evaluator.sources.source import Source
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that closing an adapter may take."""


class _Adapter(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


_AdapterT = TypeVar("_AdapterT", bound=_Adapter)


class Rack(Generic[_AdapterT]):
    """The open adapters of one kind, by name, each with the settings that it was opened with."""

    def __init__(self, mistake: Callable[[], None]) -> None:
        """Start empty. `mistake` counts an adapter that cannot be opened."""
        self._mistake = mistake
        self._open: dict[str, tuple[object, _AdapterT]] = {}

    def get(self, name: str) -> _AdapterT | None:
        """Return the adapter of this name, or `None`."""
        held = self._open.get(name)
        return held[1] if held else None

    def names(self) -> set[str]:
        """Return the names of the open adapters."""
        return set(self._open)

    async def replace(self, wanted: Mapping[str, object], make: Callable[[str], _AdapterT]) -> None:
        """Open what is new or changed, close what is no longer wanted. `wanted` has what an adapter depends on."""
        for name, (held, adapter) in list(self._open.items()):
            if wanted.get(name) != held:
                del self._open[name]
                await _closed(name, adapter.close())
        for name, depends_on in wanted.items():
            if name not in self._open and (fresh := await _opened(name, make, self._mistake)) is not None:
                self._open[name] = (depends_on, fresh)

    async def close(self) -> None:
        """Close everything."""
        held, self._open = self._open, {}
        await asyncio.gather(*(_closed(name, adapter.close()) for name, (_, adapter) in held.items()))


class Equipment:
    """What is in force."""

    def __init__(self, loaded: Loaded, settings: Settings, metrics: Metrics) -> None:
        """Start with what was loaded; nothing is open yet."""
        self.loaded = loaded
        self.settings = settings
        self.rules: RuleSet = loaded.rules
        self.routes: Routes = loaded.routes
        self.sources: Rack[Source] = Rack(metrics.errors.labels("open").inc)
        self.notifiers: Rack[Notifier] = Rack(metrics.errors.labels("open").inc)

    async def use(self, loaded: Loaded, settings: Settings) -> None:
        """Put what was loaded in force: from here on sources, notifiers, rules and routes are the new ones."""
        self.loaded, self.settings = loaded, settings
        self.rules, self.routes = loaded.rules, loaded.routes
        await self.sources.replace(_sources(settings), self._source)
        await self.notifiers.replace(_notifiers(settings), self._notifier)

    def refuse(self, loaded: Loaded) -> None:
        """Leave everything in force as it is, and show why what was loaded is not."""
        self.loaded = replace(self.loaded, problems=loaded.problems)

    async def close(self) -> None:
        """Close all adapters."""
        await self.sources.close()
        await self.notifiers.close()

    @property
    def _plugins(self) -> Plugins:
        return self.loaded.plugins or installed()

    def _source(self, name: str) -> Source:
        declared = self.settings.sources[name]
        if declared.settings is None:
            raise AssertionError(f"source {name} is enabled without settings")
        return self._plugins.sources[declared.type](name, declared.settings)

    def _notifier(self, name: str) -> Notifier:
        declared = self.settings.notifiers[name]
        if declared.settings is None:
            raise AssertionError(f"notifier {name} is open without settings")
        return self._plugins.notifiers[declared.type](name, declared.settings, self.settings.instance)


def _sources(settings: Settings) -> Mapping[str, object]:
    declared = {name: source for name, source in settings.sources.items() if source.enabled}
    return MappingProxyType({name: (source.type, source.settings) for name, source in declared.items()})


def _notifiers(settings: Settings) -> Mapping[str, object]:
    # The end of an incident is sent also through a notifier that was switched off since.
    declared = {name: notifier for name, notifier in settings.notifiers.items() if notifier.settings is not None}
    return {name: (notifier.type, notifier.settings, settings.instance) for name, notifier in declared.items()}


async def _opened(name: str, make: Callable[[str], _AdapterT], mistake: Callable[[], None]) -> _AdapterT | None:
    """Return the open adapter; `None` where it breaks: then what it serves fails, and everything else goes on."""
    try:
        adapter = make(name)
        await adapter.open()
    except Exception:  # A plugin's mistake, or ours; what asks it says that it is not open.
        log.exception("cannot be opened", name=name)
        mistake()
        return None
    return adapter


async def _closed(name: str, closing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await closing
    except TimeoutError:
        log.warning("did not close in time", name=name, seconds=CLOSE_TIMEOUT)
    except Exception:  # As above: it is out of use in any case.
        log.exception("did not close well", name=name)
