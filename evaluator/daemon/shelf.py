"""Kept samples on their way into the store: they change with each answer, and are written now and then.

A chunk is written whole, so that writing each sample at once would write hundreds of times what it takes. So values
wait a little; after a crash those are lacking, and a source with a history is asked for them again. What is dropped
waits for nothing: samples of another question must never come back. This module knows what waits, and for how long. It
never knows the store.
"""

from dataclasses import dataclass, field
from itertools import islice

from evaluator.engine.trail import Chunk
from evaluator.incidents.changes import ChunkKey

BUCKETS = 8
"""So many buckets' samples wait at most: where buckets are short, enough of a window is left after a crash."""

LONGEST = 60.0
"""Seconds that any sample waits at most."""

MOST = 5_000
"""Chunks of one commit: more would keep alerts and deliveries waiting."""

Chunks = dict[ChunkKey, Chunk | None]
"""Chunks by key; `None`: dropped."""


@dataclass(slots=True)
class _Board:
    """The chunks of one width."""

    due: float = float("-inf")
    """When what waits begins to leave, on the monotonic clock."""
    waiting: Chunks = field(default_factory=dict)
    leaving: Chunks = field(default_factory=dict)
    """What is on its way, some at a time; what comes in the meantime waits."""


class Shelf:
    """The chunks that are true in memory, and not in the store yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._dropped: Chunks = {}
        self._boards: dict[float, _Board] = {}

    def __len__(self) -> int:
        """Return how many chunks are not written."""
        return len(self._dropped) + sum(len(board.waiting) + len(board.leaving) for board in self._boards.values())

    def put(self, chunks: Chunks) -> None:
        """Let these wait, in the place of older ones."""
        for key, chunk in chunks.items():
            board = self._boards.setdefault(key.width, _Board())
            if chunk is not None:
                board.waiting[key] = chunk
                continue
            board.waiting.pop(key, None)
            board.leaving.pop(key, None)
            # It stays here if a new value comes: of the old one nothing may be left, whenever the new one is written.
            self._dropped[key] = None
            board.due = float("-inf")

    def take(self, now: float, *, everything: bool = False) -> Chunks:
        """Take what is to be written now, on the monotonic clock; with `everything` whatever waits has its turn."""
        batch, self._dropped = self._dropped, {}
        for width, board in self._boards.items():
            if not board.leaving and board.waiting and (everything or now >= board.due):
                board.leaving, board.waiting = board.waiting, {}
                board.due = now + min(LONGEST, BUCKETS * width)
            for key in list(islice(board.leaving, max(0, MOST - len(batch)))):
                batch[key] = board.leaving.pop(key)
        return batch

    def put_back(self, batch: Chunks) -> None:
        """Take back what could not be written, under what has come since."""
        for key, chunk in batch.items():
            board = self._boards[key.width]
            if chunk is None:
                self._dropped[key] = None
            elif key not in board.waiting and key not in self._dropped:
                board.leaving[key] = chunk
