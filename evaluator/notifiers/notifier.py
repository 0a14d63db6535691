"""What every notifier is: a type with its settings, and an adapter that sends one delivery and says what became of it.

A notifier makes one attempt and answers with an `Outcome`. It never retries, never decides what is sent, never reads
the store, and never raises for the weather.
"""

from typing import Protocol

from pydantic import BaseModel

from evaluator.incidents.deliveries import Delivery, Outcome


class Notifier(Protocol):
    """An adapter for one `[notifiers.NAME]`."""

    async def open(self) -> None:
        """Make what sending needs. It does not talk to the other side."""

    async def send(self, delivery: Delivery, now: float) -> Outcome:
        """Send it once, within the notifier's own timeout, and say what became of it."""

    async def close(self) -> None:
        """Give everything back."""


class NotifierType(Protocol):
    """What the entry point group `evaluator.notifiers` holds, one for each `type` in the settings."""

    Settings: type[BaseModel]
    """The keys of `[notifiers.NAME]` besides `type` and `enabled`; unknown keys must be forbidden."""

    def __call__(self, name: str, settings: BaseModel, instance: str) -> Notifier:
        """Return an adapter. `settings` is an instance of `Settings`; `instance` is the installation's name."""
