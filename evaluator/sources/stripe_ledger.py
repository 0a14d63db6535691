"""What was created at Stripe within a window, read once and kept: each poll reads only what is new.

It knows pages, cursors and what may still change. It never gives a part as if it were the whole, and never judges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Generic, Protocol, TypeVar

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.api import AskError, Round
from evaluator.sources.stripe_objects import Kind, List

OVERLAP = 60.0
"""Seconds that are read again: objects may appear in the list a little after they were created."""
SLACK = 120.0
"""Seconds that are kept beyond the window: clocks that are compared anew each time move it back and forth."""
REFRESHED = 10
"""Objects that may still change of which a poll asks one by one, those first that were asked longest ago."""


class Row(Protocol):
    """An object with an instant."""

    id: str
    created: float

    @property
    def pending(self) -> bool:
        """Whether it may still change."""


R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class _Work:
    """A span that is being read: from its end backwards, as the API lists."""

    begin: float
    end: float
    cursor: str = ""


class Ledger(Generic[R]):
    """The objects of one kind."""

    def __init__(self, kind: Kind[R], params: Sequence[tuple[str, str]] = ()) -> None:
        """Have read nothing yet; `params` are sent with each list."""
        self.rows: dict[str, R] = {}
        self._kind = kind
        self._params = tuple(params)
        self._from = 0.0
        self._to: float | None = None
        self._work: _Work | None = None
        self._checked: dict[str, float] = {}

    async def read(self, asked: Round, since: float, until: float, pages: int) -> None:
        """Make `rows` hold everything that was created from `since` to `until`; `AskError` where they do not yet.

        At most `pages` pages are read. What is left is read by the next call, which goes on from there.
        """
        begin = since - SLACK
        if self._to is None or since < self._from:
            # A span that is under way is gone on with, unless it began too late for a window that has grown.
            if self._work is None or self._work.begin > since:
                self.rows, self._to, self._from = {}, None, begin
                self._work = _Work(begin, until)
        elif self._work is None:
            self._work = _Work(max(self._to - OVERLAP, begin), until)
        for _ in range(pages):
            if await self._page(asked, self._work):
                self._to, self._work = self._work.end, None
                if self._to >= until:
                    break
                self._work = _Work(max(self._to - OVERLAP, begin), until)
        self._from = max(self._from, begin)
        self._forget(begin)
        if self._work is not None:
            text = f"{len(self.rows)} read so far, {pages} pages a poll; raise max_pages or shorten `window`"
            message = f"Stripe: more {self._kind.path} than can be read at once ({text})"
            raise AskError(PollFailed(FailureReason.TOO_BIG, message))
        await self._refresh(asked)

    async def _page(self, asked: Round, work: _Work) -> bool:
        """Read one page of a span; return whether it was the last."""
        bounds = [("created[gte]", str(floor(work.begin))), ("created[lte]", str(ceil(work.end)))]
        after = [("starting_after", work.cursor)] if work.cursor else []
        params = [("limit", "100"), *bounds, *self._params, *after]
        try:
            page: List[R] = (await asked.get(self._kind.path, params, self._kind.page, **_to(self._kind))).document
        except AskError as error:
            if error.failed.reason is FailureReason.BAD_QUERY:
                # The object at the cursor is no more: begin anew.
                self._to, self._work = None, None
            raise
        for row in page.data:
            self.rows[row.id] = row
        if page.has_more and not page.data:
            raise AskError(PollFailed(FailureReason.BAD_ANSWER, f"Stripe: an empty page of {self._kind.path} has more"))
        work.cursor = page.data[-1].id if page.data else ""
        return not page.has_more

    async def _refresh(self, asked: Round) -> None:
        """Ask again of some of those that may have changed."""
        pending = [row.id for row in self.rows.values() if row.pending]
        for each in sorted(pending, key=lambda one: self._checked.get(one, 0.0))[:REFRESHED]:
            page = await asked.get(f"{self._kind.path}/{each}", (), self._kind.one, **_to(self._kind))
            self.rows[each] = page.document
            self._checked[each] = asked.time

    def _forget(self, since: float) -> None:
        """Drop what has left the window."""
        old = [each for each, row in self.rows.items() if row.created < since]
        for each in old:
            del self.rows[each]
            self._checked.pop(each, None)


def _to(kind: Kind[R]) -> dict[str, str]:
    """Return whom to ask and what that needs: each kind has a limit of its own."""
    return {"needs": kind.permission, "lane": kind.path}


@dataclass(frozen=True, slots=True)
class Undelivered:
    """The events that some webhook endpoint has not taken, newest first."""

    events: Sequence[tuple[float, str]]
    """When each was created, and its type."""
    begin: float
    end: float
    """The span that was asked for."""
    types: tuple[str, ...]
    """The only types that were asked for; none: all."""
    whole: bool
    """Whether all of them were read; else there are more that are older than these."""
