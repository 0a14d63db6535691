"""Who hears of an incident: service and severity to notifiers.

This module knows names and keys of receivers. It never knows how a notifier speaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from evaluator.engine.rules import Severity


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver."""

    notifier: str
    """The notifier's name in the settings."""
    routing_key: str = field(default="", repr=False)
    """The secret that addresses it, where the notifier has one."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All receivers, worked out from the settings at load."""

    targets: Mapping[tuple[str, Severity], tuple[Target, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By (service, severity)."""
    fallbacks: Mapping[str, Target] = field(default_factory=lambda: MappingProxyType({}))
    """By service: who hears what a notifier refuses, and what nobody else can be told."""

    def to(self, service: str, severity: Severity) -> tuple[Target, ...]:
        """Return who hears of an incident; the console where nothing is declared."""
        return self.targets.get((service, severity), (CONSOLE,))

    def fallback(self, service: str) -> Target:
        """Return who hears what was refused."""
        return self.fallbacks.get(service, CONSOLE)

    def keyed(self) -> tuple[tuple[str, Target], ...]:
        """Return every different (service, target) that has a routing key; services may share one."""
        return tuple(
            dict.fromkeys(
                (service, target)
                for (service, _), targets in self.targets.items()
                for target in targets
                if target.routing_key
            )
        )


CONSOLE = Target("console")
"""Where everything goes that has no other receiver."""
