"""Which types of sources and notifiers are installed: the built-in ones and those of third parties.

This module knows entry points. It never knows what a type does. A plugin that cannot be imported is a problem to be
shown, because the other sources must still be watched.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from pydantic import BaseModel

from evaluator.config.problems import Problem
from evaluator.notifiers.notifier import NotifierType
from evaluator.sources.source import SourceType

SOURCES = "evaluator.sources"
NOTIFIERS = "evaluator.notifiers"


@dataclass(frozen=True, slots=True)
class Plugins:
    """The installed types, by the name that `type` in the settings has."""

    sources: Mapping[str, SourceType]
    notifiers: Mapping[str, NotifierType]
    broken: Mapping[str, str]
    """Why a type could not be imported, by its name."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """A warning for each type that could not be imported."""
        return tuple(Problem("", 0, 0, 0, message, error=False) for message in self.broken.values())


def installed() -> Plugins:
    """Return all types whose plugins can be imported."""
    broken: dict[str, str] = {}
    sources = _load(entry_points(group=SOURCES), ("Settings", "Query"), broken)
    notifiers = _load(entry_points(group=NOTIFIERS), ("Settings",), broken)
    return Plugins(cast("dict[str, SourceType]", sources), cast("dict[str, NotifierType]", notifiers), broken)


def _load(points: Iterable[EntryPoint], models: tuple[str, ...], broken: dict[str, str]) -> dict[str, object]:
    """Import what the entry points name, and note what cannot be."""
    types: dict[str, object] = {}
    for point in points:
        whose = point.dist.name if point.dist is not None else "an unknown package"
        what = f'"{point.name}" ({point.value}, from the package {whose})'
        try:
            loaded = point.load()
        except Exception as error:  # noqa: BLE001 - a third party's module may raise anything while it is imported.
            broken[point.name] = f"{what} cannot be imported: {type(error).__name__}: {_line(error)}"
            continue
        missing = [name for name in models if not _is_model(getattr(loaded, name, None))]
        if missing:
            broken[point.name] = f"{what} is no plugin: it has no pydantic model `{missing[0]}`"
        elif point.name in types and types[point.name] is not loaded:
            broken[point.name] = f"{what} has the name of a type that is already installed"
        else:
            types[point.name] = loaded
    return types


def _is_model(value: object) -> bool:
    """Return whether a value is a pydantic model class."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def _line(error: Exception) -> str:
    """Return the first line of what an exception says."""
    said: Callable[[], str] = error.__str__
    return said().split("\n", 1)[0][:200]
