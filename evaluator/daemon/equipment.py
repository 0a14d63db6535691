"""What the daemon works with right now: settings, rules, routes, open sources and notifiers.

A reload puts others in their place; an adapter whose settings did not change stays as it is. This module opens and
closes adapters. It never asks or sends anything itself.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import structlog

from evaluator.config.load import Loaded
from evaluator.config.plugins import Plugins, installed
from evaluator.config.settings import Settings
from evaluator.engine.rules import Mode, RuleSet
from evaluator.incidents.routing import Routes
from evaluator.notifiers.notifier import Notifier
from evaluator.sources.reader import SELF, NeedsReader, Reader
from evaluator.sources.source import Source
from evaluator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

OPEN_TIMEOUT = 10.0
"""Seconds that opening an adapter may take; it talks to nobody."""

CLOSE_TIMEOUT = 2.0
"""Seconds that closing an adapter may take."""


class _Adapter(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


_AdapterT = TypeVar("_AdapterT", bound=_Adapter)


@dataclass(frozen=True, slots=True)
class Held(Generic[_AdapterT]):
    """An open adapter."""

    depends_on: object
    """The settings that it was opened with."""
    adapter: _AdapterT


@dataclass(slots=True)
class Prepared(Generic[_AdapterT]):
    """What a rack will hold."""

    open: dict[str, Held[_AdapterT]] = field(default_factory=dict)
    shut: dict[str, tuple[object, Callable[[], _AdapterT]]] = field(default_factory=dict)
    """What could not be opened: what it depends on, and how it is made."""


class Rack(Generic[_AdapterT]):
    """The open adapters of one kind, by name, each with the settings that it was opened with."""

    def __init__(self, mistake: Callable[[], None]) -> None:
        """Start empty. `mistake` counts an adapter that cannot be opened."""
        self._mistake = mistake
        self._open: dict[str, Held[_AdapterT]] = {}
        self._shut: dict[str, tuple[object, Callable[[], _AdapterT]]] = {}

    def get(self, name: str) -> _AdapterT | None:
        """Return the adapter of this name, or `None`."""
        held = self._open.get(name)
        return held.adapter if held else None

    async def prepare(self, wanted: Mapping[str, object], make: Callable[[str], _AdapterT]) -> "Prepared[_AdapterT]":
        """Open what is new or changed, beside what is open. `wanted` has what an adapter depends on."""
        prepared: Prepared[_AdapterT] = Prepared()
        for name, depends_on in wanted.items():
            held = self._open.get(name)
            if held is not None and held.depends_on == depends_on:
                prepared.open[name] = held
            elif (adapter := await _opened(name, partial(make, name), self._mistake)) is not None:
                prepared.open[name] = Held(depends_on, adapter)
            else:
                prepared.shut[name] = (depends_on, partial(make, name))
        return prepared

    def swap(self, prepared: "Prepared[_AdapterT]") -> dict[str, _AdapterT]:
        """Put what was prepared in its place, at once, and return what is no longer used, to be closed."""
        kept = {id(held) for held in prepared.open.values()}
        retired = {name: held.adapter for name, held in self._open.items() if id(held) not in kept}
        self._open, self._shut = prepared.open, prepared.shut
        return retired

    async def again(self, name: str) -> _AdapterT | None:
        """Return the adapter of this name; one that could not be opened is tried again."""
        if name in self._shut:
            depends_on, make = self._shut[name]
            adapter = await _opened(name, make, self._mistake)
            if adapter is not None and self._shut.get(name, (None,))[0] is depends_on:
                del self._shut[name]
                self._open[name] = Held(depends_on, adapter)
        return self.get(name)

    def empty(self) -> dict[str, _AdapterT]:
        """Return everything, to be closed."""
        return self.swap(Prepared())


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
        self.reader: Reader | None = None
        """What sources are handed that need to know how the daemon is."""

    def is_self(self, source: str) -> bool:
        """Return whether this source is the daemon itself."""
        declared = self.settings.sources.get(source)
        return declared is not None and declared.type == SELF

    async def use(self, loaded: Loaded, settings: Settings, in_force: Callable[[], None]) -> None:
        """Put what was loaded in force, and call `in_force` when it is.

        New adapters are opened before, old ones are closed after; in between nothing waits, so nobody ever judges new
        rules on a world that does not know of the edit yet, and no name is ever without its adapter.
        """
        plugins = loaded.plugins or installed()
        sources = await self.sources.prepare(_sources(settings), partial(_source, plugins, settings, self.reader))
        notifiers = await self.notifiers.prepare(_notifiers(settings), partial(_notifier, plugins, settings))
        self.loaded, self.settings = loaded, settings
        self.rules, self.routes = loaded.rules, loaded.routes
        retired: list[tuple[str, _Adapter]] = [*self.sources.swap(sources).items()]
        retired += self.notifiers.swap(notifiers).items()
        in_force()
        await _all_closed(retired)

    def unpaged(self) -> dict[str, str]:
        """Return why a service cannot page, for each one that a rule in force would page."""
        asked = {rule.service for rule in self.rules if rule.mode is Mode.PAGE}
        return {service: note for service, note in self.loaded.notes.items() if service in asked}

    def refuse(self, loaded: Loaded) -> None:
        """Leave everything in force as it is, and show why what was loaded is not."""
        self.loaded = replace(self.loaded, problems=loaded.problems)

    async def close(self) -> None:
        """Close all adapters."""
        retired: list[tuple[str, _Adapter]] = [*self.sources.empty().items()]
        retired += self.notifiers.empty().items()
        await _all_closed(retired)


def _source(plugins: Plugins, settings: Settings, reader: Reader | None, name: str) -> Source:
    declared = settings.sources[name]
    if declared.settings is None:
        raise AssertionError(f"source {name} is enabled without settings")
    source = plugins.sources[declared.type](name, declared.settings)
    if reader is not None and isinstance(source, NeedsReader):
        source.attach(reader)
    return source


def _notifier(plugins: Plugins, settings: Settings, name: str) -> Notifier:
    declared = settings.notifiers[name]
    if declared.settings is None:
        raise AssertionError(f"notifier {name} is open without settings")
    return plugins.notifiers[declared.type](name, declared.settings, settings.instance)


def _sources(settings: Settings) -> Mapping[str, object]:
    declared = {name: source for name, source in settings.sources.items() if source.enabled}
    return MappingProxyType({name: (source.type, source.settings) for name, source in declared.items()})


def _notifiers(settings: Settings) -> Mapping[str, object]:
    # The end of an incident is sent also through a notifier that was switched off since.
    declared = {name: notifier for name, notifier in settings.notifiers.items() if notifier.settings is not None}
    return {name: (notifier.type, notifier.settings, settings.instance) for name, notifier in declared.items()}


async def _opened(name: str, make: Callable[[], _AdapterT], mistake: Callable[[], None]) -> _AdapterT | None:
    """Return the open adapter; `None` where it breaks: then what it serves fails, and everything else goes on."""
    try:
        adapter = make()
        async with asyncio.timeout(OPEN_TIMEOUT):
            await adapter.open()
    except Exception:  # A plugin's mistake, or ours; what asks it says that it is not open.
        log.exception("cannot be opened", name=name)
        mistake()
        return None
    return adapter


async def _all_closed(adapters: Iterable[tuple[str, _Adapter]]) -> None:
    await asyncio.gather(*(_closed(name, adapter) for name, adapter in adapters))


async def _closed(name: str, adapter: _Adapter) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await adapter.close()
    except TimeoutError:
        log.warning("did not close in time", name=name, seconds=CLOSE_TIMEOUT)
    except Exception:  # As above: it is out of use in any case.
        log.exception("did not close well", name=name)
