"""What every source is: a type with its settings and its query, and an adapter that answers.

A source turns queries into `Samples` or `PollFailed`. It never judges, never reads rules or the store, never knows
another source, and never raises for the weather: whatever goes wrong out there is a `PollFailed` with a reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from evaluator.engine.rules import Query
from evaluator.engine.samples import PollResult
from evaluator.sources.checkup import Checkup


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


class NoHistory:
    """The half of a source whose other side remembers nothing: rules begin with what polls find from now on."""

    async def history(
        self,
        query: Query,  # noqa: ARG002 - whatever is asked, nobody knows how it was.
        start: float,  # noqa: ARG002
        end: float,  # noqa: ARG002
        step: float,  # noqa: ARG002
    ) -> list[tuple[float, PollResult]] | None:
        """Return `None`: how it was, nobody keeps."""
        return None


@runtime_checkable
class Examined(Protocol):
    """A source that can say what is missing: every built-in one, and every plugin that passes the conformance suite."""

    async def examine(self, queries: Sequence[Query], now: float) -> list[Checkup]:
        """Try what polls need (the connection, the credential, each permission), for `evaluator doctor`.

        `queries` are those of the rules in force, each once. It never raises for the weather, ends within the source's
        timeout, changes nothing on the other side, and may be called on an open source at any time, also with no
        queries. Each thing that is not fine says how to mend it: the statement to run, the setting to change.
        """


@runtime_checkable
class Metered(Protocol):
    """A source that counts what its polls cost the other side."""

    def usage(self) -> Mapping[str, float]:
        """Return what was used since the source was made, by unit; numbers only grow.

        `requests`: calls, round trips, statements. Others are the source's own: `metrics` (what CloudWatch bills),
        `throttled`. They become `evaluator_source_usage_total{source,unit}`.
        """


@runtime_checkable
class Refusing(Protocol):
    """Settings that know queries to which they have no answer: the name of a target that they do not declare.

    A source type's `Settings` may have this method; a rule with such a query is then found by `evaluator check`, with
    file, line and column, and not only at the poll. What only the other side knows is not refused here.
    """

    def refuse(self, query: Any) -> None:  # noqa: ANN401 - an instance of the source type's own `Query`.
        """Raise `ValueError` for such a query; a `MisfitError` also says which of its keys is wrong."""


class SourceType(Protocol):
    """What the entry point group `evaluator.sources` holds, one for each `type` in the settings.

    A class with these three attributes that makes an adapter when it is called is one.
    """

    Settings: type[BaseModel]
    """The keys of `[sources.NAME]` besides `type` and `enabled`; unknown keys must be forbidden. May be `Refusing`."""
    Query: type[BaseModel]
    """The keys of a rule's `query`; unknown keys must be forbidden. A model with a class variable
    `shorthand: ClassVar[str]` also takes a plain string, for the field of that name. A `period` field of seconds
    becomes the query's step. A model with a class variable `lag: ClassVar[float]` says how many seconds late samples
    usually come; a rule's own `lag` counts instead."""

    def __call__(self, name: str, settings: BaseModel) -> Source:
        """Return an adapter for the source of this name. `settings` is an instance of `Settings`."""
