"""How long the oldest task of a queue has waited on Redis.

This module knows messages as kombu writes them. Celery puts no time into them, so what is known without a header of
the application's own is for how long the same message has been the next one: it has waited at least that long.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b

_BIG = 1 << 20
"""Bytes of a message above which it is not parsed."""
_MOST = 10_000


class Ages:
    """The next message of each list, and since when it is that."""

    def __init__(self, header: str | None) -> None:
        """Take the name of the header with the time at which a task was sent, if the application sets one."""
        self._header = header
        self._first: dict[str, tuple[bytes, float]] = {}

    def oldest(self, queue: str, tails: Mapping[str, bytes], now: float, at: float) -> float:
        """Return the age in seconds of the oldest of these messages; 0 where there is none.

        `tails` are the next messages of the queue's lists; `now` is since the epoch, `at` on a clock that only goes
        forward.
        """
        for key in [key for key in self._first if key.startswith(f"{queue}\0") and key[len(queue) + 1 :] not in tails]:
            del self._first[key]
        return max((self._age(f"{queue}\0{key}", body, now, at) for key, body in tails.items()), default=0.0)

    def _age(self, key: str, body: bytes, now: float, at: float) -> float:
        """Return the age of one message, or for how long it has been the next one."""
        sent = None if self._header is None else _sent(body, self._header)
        if sent is not None:
            return max(0.0, now - sent)
        mark = blake2b(body, digest_size=16).digest()
        before = self._first.get(key)
        if before is not None and before[0] == mark:
            return at - before[1]
        if len(self._first) < _MOST or before is not None:
            self._first[key] = (mark, at)
        return 0.0


def _sent(body: bytes, header: str) -> float | None:
    """Return the time in a header: seconds since the epoch, or ISO 8601 (UTC where it says no zone)."""
    if len(body) > _BIG:
        return None
    try:
        value = json.loads(body)["headers"][header]
        if isinstance(value, str) and "-" in value:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return float(value)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
