"""What the look-alikes of vendors' JSON APIs share: a server on the wire, a clock, a limit, questions in pieces.

This module knows HTTP and counts. It never knows a vendor's paths or shapes.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from evaluator.testing.wire import Heard, Reply, WireServer


@dataclass(frozen=True, slots=True)
class Question:
    """A request in pieces."""

    at: float
    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    """The query's, or the form's, in their order."""
    headers: Mapping[str, str]

    def one(self, name: str, default: str = "") -> str:
        """Return the last value of a parameter."""
        return next((value for key, value in reversed(self.params) if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for key, value in self.params if key == name]

    def number(self, name: str, default: int) -> int | None:
        """Return a whole number; `None` where what is given is none."""
        text = self.one(name)
        return default if not text else int(text) if text.lstrip("-").isdecimal() else None


def said(status: int, document: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, json.dumps(document, ensure_ascii=False).encode(), dict(headers or {}))


class Vendor:
    """A look-alike: `with Vendor(...) as vendor: ... vendor.url`. What is answered is the subclass's `answer`."""

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = 1_000_000, seconds: float = 60.0) -> None:
        """Allow at most `most` requests in any `seconds` of the clock."""
        self.clock = clock
        self.most = most
        self.seconds = seconds
        self.hides_date = False
        """Whether answers lack the header `Date`."""
        self.wire = WireServer(self._serve, clock=clock)
        self._recent: deque[float] = deque()

    @property
    def url(self) -> str:
        """Where it is."""
        return self.wire.url

    @property
    def asked(self) -> list[str]:
        """The paths of all requests, with their queries, oldest first."""
        return [heard.path for heard in self.wire.log]

    def answer(self, question: Question) -> Reply:
        """Answer a request that is within the limit."""
        raise NotImplementedError

    def refuse(self, wait: float) -> Reply:
        """Answer a request that is over the limit; the window ends in `wait` seconds."""
        raise NotImplementedError

    def _serve(self, heard: Heard) -> Reply:
        parts = urlsplit(heard.path)
        text = heard.body.decode() if heard.method == "POST" else parts.query
        pairs = tuple(parse_qsl(text, keep_blank_values=True))
        question = Question(self.clock(), heard.method, parts.path, pairs, heard.headers)
        while self._recent and self._recent[0] <= question.at - self.seconds:
            self._recent.popleft()
        if len(self._recent) >= self.most:
            oldest = self._recent[0] if self._recent else question.at
            reply = self.refuse(oldest + self.seconds - question.at)
        else:
            self._recent.append(question.at)
            reply = self.answer(question)
        date = {} if self.hides_date else {"Date": formatdate(question.at, usegmt=True)}
        return Reply(reply.status, reply.body, {**date, **reply.headers})

    @property
    def left(self) -> int:
        """How many requests are left in this window."""
        return max(self.most - len(self._recent), 0)

    def __enter__(self) -> Self:
        self.wire.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.stop()


Json = dict[str, Any]
