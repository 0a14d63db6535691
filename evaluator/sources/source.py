"""What every source is: a type with its settings and its query, and an adapter that answers.

A source turns queries into `Samples` or `PollFailed`. It never judges, never reads rules or the store, never knows
another source, and never raises for the weather: whatever goes wrong out there is a `PollFailed` with a reason.
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

from evaluator.engine.rules import Query
from evaluator.engine.samples import PollResult


class Source(Protocol):
    """An adapter for one `[sources.NAME]`. One poll asks all queries that are due at once."""

    async def open(self) -> None:
        """Make what polls need (clients, pools). It does not talk to the other side, so it cannot fail for weather."""

    async def poll(self, queries: Sequence[Query], now: float) -> list[PollResult]:
        """Answer each query, in their order, as of the slot `now` (seconds since the epoch).

        It ends within the source's own timeout, whatever the other side does, and can be cancelled.
        """

    async def history(
        self, query: Query, start: float, end: float, step: float
    ) -> list[tuple[float, PollResult]] | None:
        """Return what `poll` would have answered at `start`, `start + step`, ... up to `end`; `None`: keeps none."""

    async def close(self) -> None:
        """Give everything back. Called once, also after a failed `open`."""


class SourceType(Protocol):
    """What the entry point group `evaluator.sources` holds, one for each `type` in the settings.

    A class with these three attributes that makes an adapter when it is called is one.
    """

    Settings: type[BaseModel]
    """The keys of `[sources.NAME]` besides `type` and `enabled`; unknown keys must be forbidden."""
    Query: type[BaseModel]
    """The keys of a rule's `query`; unknown keys must be forbidden. A model with a class variable
    `shorthand: ClassVar[str]` also takes a plain string, for the field of that name. A `period` field of seconds
    becomes the query's step."""

    def __call__(self, name: str, settings: BaseModel) -> Source:
        """Return an adapter for the source of this name. `settings` is an instance of `Settings`."""
