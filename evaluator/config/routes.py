"""From the services of the settings to who hears of which incident.

This module knows services, severities and keys. It never reads files, and never says a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluator.config.document import Document
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.settings import KEY_PLACE, ServiceKeys, Settings
from evaluator.engine.rules import Severity
from evaluator.incidents.routing import CONSOLE, Routes, Target

CANNOT_PAGE = "service-cannot-page"
"""Lint id: a service whose incidents reach no pager."""
PAGER = "pagerduty"
"""The notifier that routing keys are for."""


@dataclass
class RouteBuilder:
    """Works out the receivers of every service."""

    document: Document
    settings: Settings
    missing: Mapping[Path, Problem]
    """Routing keys that refer to nothing."""
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    """By service: what is worth a word, which `strict` makes a mistake."""
    notes: dict[str, str] = field(default_factory=dict)
    targets: dict[tuple[str, Severity], tuple[Target, ...]] = field(default_factory=dict)

    def build(self) -> Routes:
        """Return who hears of what."""
        pager = self.settings.notifiers.get(PAGER)
        silenced = "" if pager is not None and pager.enabled else f"[notifiers.{PAGER}] is disabled"
        for name, service in self.settings.services.items():
            self._service(name, service, silenced)
        return Routes(
            self.targets, {name: Target(service.fallback) for name, service in self.settings.services.items()}
        )

    def _service(self, name: str, service: ServiceKeys, silenced: str) -> None:
        """Work out one service, and say why it cannot page where it cannot."""
        reasons: list[str] = []
        if self._wrong_key(("services", name)):
            return
        for severity in Severity:
            own = getattr(service, severity.value)
            path: Path = ("services", name, severity.value, "routing_key")
            key = (own.routing_key if own is not None else None) or service.routing_key
            if path in self.missing and key is not None:
                message = f"{self.missing[path].message}: {severity} incidents go to the service's own routing key"
                self._warn(name, path, message, self.missing[path].hint)
            elif path in self.missing:
                reasons.append(f"{severity}: {self._missing(path)}")
            told = Target(PAGER, key.get_secret_value()) if key is not None and not silenced else CONSOLE
            self.targets[name, severity] = (told,)
        if all(self.targets[name, severity] == (CONSOLE,) for severity in Severity) or reasons:
            self._cannot_page(name, silenced, reasons)
        elif any(self.targets[name, severity] == (CONSOLE,) for severity in Severity):
            mute = [severity.value for severity in Severity if self.targets[name, severity] == (CONSOLE,)]
            self._cannot_page(name, f"{', '.join(mute)} have no routing_key", [])

    def _wrong_key(self, path: Path) -> bool:
        """Return whether a service has a key that is there and no key, which is said already."""
        service = self.settings.services[str(path[1])]
        for part in ("", *(severity.value for severity in Severity)):
            table = getattr(service, part) if part else service
            place = (*path, *((part,) if part else ()), "routing_key")
            written = place in self.document.positions.keys and place not in self.missing
            if written and (table is None or table.routing_key is None):
                return True
        return False

    def _cannot_page(self, name: str, because: str, reasons: list[str]) -> None:
        """Note why incidents of a service reach only console and web page."""
        path: Path = ("services", name, "routing_key")
        if path in self.missing:
            reasons = [self._missing(path), *reasons]
        note = because or "; ".join(reasons) or "it has no routing_key"
        self.notes[name] = note
        hint = self.missing[path].hint if path in self.missing else "" if because else f"add routing_key; {KEY_PLACE}"
        message = f'service "{name}" cannot page: {note}. Its incidents go to console and web page only'
        self._warn(name, path if path in self.missing else path[:-1], message, hint)

    def _missing(self, path: Path) -> str:
        """Return why a key is not there, short enough for a note."""
        return self.missing[path].message.removeprefix("the environment variable ")

    def _warn(self, service: str, path: Path, message: str, hint: str) -> None:
        """Note a warning, which `strict` makes an error."""
        strict = self.settings.strict
        place = self.document.at_value if path[-1] == "routing_key" else self.document.at_key
        problem = place(path, message, hint, id="" if strict else CANNOT_PAGE, error=strict)
        self.problems.append((service, problem))
