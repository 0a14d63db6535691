"""What the settings declare, as far as rules refer to it.

This module knows names. It never knows files, secrets, or whether the settings as a whole are right: rules are checked
against whatever could be made out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from evaluator.config.fields import did_you_mean
from evaluator.sources.source import SourceType


@dataclass(frozen=True, slots=True)
class DeclaredSource:
    """One `[sources.NAME]`."""

    name: str
    type: SourceType | None
    """`None`: its type is not known, which is a problem of the settings."""
    enabled: bool = True
    implicit: bool = False
    """Whether it is there without having been declared."""
    settings: BaseModel | None = None
    """`None`: they could not be read."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What rules may refer to."""

    sources: Mapping[str, DeclaredSource] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    every: float = 30.0
    timezone: str = "UTC"
    """IANA name: of hours, days and dates that name none themselves."""
    complete: bool = True
    """Whether all of the settings were understood; where not, an unknown name may well be declared."""


def undeclared(kind: str, name: str, known: Mapping[str, object] | tuple[str, ...]) -> tuple[str, str]:
    """Return message and hint for a name that the settings do not declare."""
    meant = did_you_mean(name, known)
    message = f'{kind} "{name}" is not declared in the settings'
    if meant:
        return message, f'did you mean "{meant}"?'
    if known:
        return message, f"declared are {', '.join(sorted(known))}; or add [{kind}s.{name}] to evaluator.toml"
    return message, f"add [{kind}s.{name}] to evaluator.toml"
