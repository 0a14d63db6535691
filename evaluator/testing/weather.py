"""What a server on the wire hears, says, and does to a request: values that a test writes down.

This module knows requests, answers and weather. It never knows sockets (`wire` does).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it arrived, and what became of it."""

    at: float
    """Seconds since the epoch, by the server's clock."""
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)
    status: int | None
    """What was answered; `None`: nothing was."""
    taken: bool
    """Whether the receiver acted on it, whatever it answered."""

    @property
    def json(self) -> Any:  # noqa: ANN401  # It is what the other side wrote.
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the receiver answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to one request instead of the receiver's own answer."""

    kind: str
    """`hang`, `reset`, `answer`, `drip`."""
    take: bool = False
    """Whether the receiver acts on the request before that."""
    reply: Reply | None = None
    """For `answer`; for `drip` what drips. `None`: the receiver's own answer."""
    every: float = 0.05
    """For `drip`: seconds between two bytes."""


def hang(*, take: bool = False) -> Weather:
    """Read the request and say nothing, until the client goes away."""
    return Weather("hang", take)


def reset(*, take: bool = False) -> Weather:
    """Break the connection instead of an answer (RST)."""
    return Weather("reset", take)


def answer(
    status: int, body: bytes | Mapping[str, Any] = b"", *, take: bool = False, retry_after: str | float | None = None
) -> Weather:
    """Answer this instead."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Weather("answer", take, Reply(status, content, headers))


def drip(*, every: float = 0.05, head: bool = False, take: bool = True) -> Weather:
    """Answer, but slowly: the body, or with `head` the status line too, comes byte by byte."""
    return Weather("drip head" if head else "drip", take, None, every)
