"""What keeps a rule quiet or calm, from its keys: when it is active, what inhibits it, flapping and storms.

This module knows these keys of one rule, and what `[defaults]` say of them. It never knows other rules.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from evaluator.config.fields import Keys
from evaluator.config.keys import DefaultKeys, FlappingKeys, StormKeys
from evaluator.engine.calendar import ActiveHours
from evaluator.engine.damping import Flapping, Storm

T = TypeVar("T", Flapping, Storm)
_Said = FlappingKeys | StormKeys | bool | None
"""What a table of TOML says of either."""


@dataclass(frozen=True, slots=True)
class Damped:
    """A rule's own keys beside those of its file's defaults."""

    name: str
    keys: DefaultKeys
    defaults: DefaultKeys
    timezone: str
    """The settings'."""

    def active(self) -> tuple[ActiveHours, ...]:
        """Return when it may open and raise; hours without a time zone are in the settings'."""
        found = self.defaults.active if self.keys.active is None else self.keys.active
        return tuple(each if each.timezone else replace(each, timezone=self.timezone) for each in found or ())

    def inhibited_by(self) -> tuple[str, ...]:
        """Return the rules that hold it back. What the defaults say of all rules does not make one inhibit itself."""
        if self.keys.inhibited_by is not None:
            return tuple(dict.fromkeys(self.keys.inhibited_by))
        return tuple(name for name in dict.fromkeys(self.defaults.inhibited_by or ()) if name != self.name)

    def flapping(self) -> Flapping | None:
        """Return from when on its incidents are held open; what a table leaves open is as in the defaults, or usual."""
        return _damped(Flapping(), self.keys.flapping, self.defaults.flapping)

    def storm(self) -> Storm | None:
        """Return from when on its incidents join one of their service."""
        return _damped(Storm(), self.keys.storm, self.defaults.storm)


def _damped(usual: T, own: _Said, base: _Said) -> T | None:
    """Return what is usual with what the defaults and the rule say of it; `None`: the last to speak says never."""
    if own is False or (own is None and base is False):
        return None
    for keys in (base, own):
        if isinstance(keys, Keys):
            usual = replace(usual, **keys.model_dump(exclude_none=True))
    return usual
