"""What the measures of a Redis server are: which commands they need, and how the replies become values.

This module knows commands and replies as values. It never talks to a server, and knows no timeouts and no rules.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.names import several
from evaluator.sources.redis_query import GROUPS, RedisQuery, RedisSettings
from evaluator.sources.weather import said

Command = tuple[str, ...]
"""One command with its arguments."""
Replies = Mapping[Command, Any]
"""What came back for each command: a parsed value, or the exception that the server's error became."""

MOST_COUNTED = 1000
"""Entries that are read at most to count a lag that the server does not know."""

_SECTIONS = {
    "memory_used": "memory",
    "memory_percent": "memory",
    "clients": "clients",
    "clients_percent": "clients",
    "clients_blocked": "clients",
    "evictions": "stats",
    "expirations": "stats",
    "rejected_connections": "stats",
    "uptime": "server",
}
_FIELDS = {
    "memory_used": "used_memory",
    "clients": "connected_clients",
    "clients_blocked": "blocked_clients",
    "evictions": "evicted_keys",
    "expirations": "expired_keys",
    "rejected_connections": "rejected_connections",
    "uptime": "uptime_in_seconds",
}
_SHARES = {"memory_percent": ("used_memory", "maxmemory"), "clients_percent": ("connected_clients", "maxclients")}
_FAMILIES = (
    (re.compile(r"db\d+$"), "keyspace"),
    (re.compile(r"cmdstat_"), "commandstats"),
    (re.compile(r"errorstat_"), "errorstats"),
    (re.compile(r"latency_percentiles_"), "latencystats"),
)
_WORDS = {"ok": 1.0, "up": 1.0, "yes": 1.0, "err": 0.0, "down": 0.0, "no": 0.0}


class UnansweredError(Exception):
    """A command of a query was answered with an error, or with what cannot be a value."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        """Say why, and what was asked."""
        super().__init__(message)
        self.failed = PollFailed(reason, message)


@dataclass(slots=True)
class Rows:
    """The rows of one query."""

    labels: list[dict[str, str]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, labels: dict[str, str], value: float) -> None:
        """Append a row."""
        self.labels.append(labels)
        self.values.append(value)


def commands(query: RedisQuery, settings: RedisSettings) -> list[Command]:
    """Return what must be asked to answer the query."""
    match query.measure:
        case "up":
            return [("PING",)]
        case "queue_depth":
            return [("LLEN", key) for queue in several(query.queue) for key in keys_of(queue, query, settings)]
        case "stream_length":
            return [("XLEN", stream) for stream in several(query.stream)]
        case "stream_lag" | "stream_pending":
            return [("XINFO GROUPS", stream) for stream in several(query.stream)]
        case _:
            return [_info(query)]


def more_commands(query: RedisQuery, replies: Replies) -> list[Command]:
    """Return what must be asked in a second round: entries, where the server does not know a group's lag.

    Redis before 7.0 never says it, and later ones forget it when an entry that nobody has read is deleted.
    """
    if query.measure != "stream_lag":
        return []
    return [
        _entries(stream, group)
        for stream in several(query.stream)
        if isinstance(replies.get(("XINFO GROUPS", stream)), list)
        for group in replies["XINFO GROUPS", stream]
        if group.get("lag") is None and _wanted(query, _text(group["name"]))
    ]


def rows(query: RedisQuery, settings: RedisSettings, replies: Replies) -> Rows:
    """Return the rows of the query; `UnansweredError` where a reply is an error."""
    found = Rows()
    if query.measure == "up":
        _reply(replies, ("PING",))
        found.add({}, 1.0)
    elif query.measure == "queue_depth":
        for queue in several(query.queue):
            depth = sum(int(_reply(replies, ("LLEN", key))) for key in keys_of(queue, query, settings))
            found.add({"queue": queue}, float(depth))
    elif query.measure == "stream_length":
        for stream in several(query.stream):
            found.add({"stream": stream}, float(_reply(replies, ("XLEN", stream))))
    elif query.measure in GROUPS:
        for stream in several(query.stream):
            _groups(query, stream, replies, found)
    else:
        _fields(query, _reply(replies, _info(query)), found)
    return found


def keys_of(queue: str, query: RedisQuery, settings: RedisSettings) -> list[str]:
    """Return the keys of the lists that make a queue, as kombu names them; priority 0 has no suffix."""
    steps = settings.priority_steps if query.priority_steps is None else query.priority_steps
    separator = query.separator or settings.separator
    prefix = settings.global_keyprefix if query.global_keyprefix is None else query.global_keyprefix
    suffixes = dict.fromkeys(["", *(f"{separator}{step}" for step in steps if step)])
    return [f"{prefix}{queue}{suffix}" for suffix in suffixes]


def failure_of_reply(command: Command, error: exceptions.RedisError) -> PollFailed:
    """Return what an error that answers one command means for the query that needs it."""
    asked = " ".join(command)
    text = said(str(error))
    match error:
        case exceptions.NoPermissionError():
            return PollFailed(FailureReason.AUTH, said(f"{asked} is not allowed to this user: {text}"))
        case exceptions.MovedError() | exceptions.AskError():
            return PollFailed(
                FailureReason.BAD_QUERY,
                said(f"{asked}: the key lives on another node of the cluster; give that node's url"),
            )
        case exceptions.ClusterDownError() | exceptions.TryAgainError() | exceptions.OutOfMemoryError():
            return PollFailed(FailureReason.UNAVAILABLE, said(f"{asked}: {text}"))
        case _ if text.startswith("WRONGTYPE"):
            kind = {"LLEN": "list"}.get(command[0], "stream")
            return PollFailed(FailureReason.BAD_QUERY, said(f"the key {command[-1]} is not a {kind}"))
        case _ if text.startswith(("MASTERDOWN", "BUSY", "MISCONF")):
            return PollFailed(FailureReason.UNAVAILABLE, said(f"{asked}: {text}"))
        case _:
            return PollFailed(FailureReason.BAD_QUERY, said(f"{asked}: {text}"))


def _reply(replies: Replies, command: Command) -> Any:  # noqa: ANN401 - redis-py's replies have no type.
    """Return the reply to a command; `UnansweredError` where it is an error."""
    reply = replies[command]
    if isinstance(reply, exceptions.RedisError):
        failed = failure_of_reply(command, reply)
        raise UnansweredError(failed.reason, failed.message)
    return reply


def _info(query: RedisQuery) -> Command:
    """Return the INFO command whose answer has the measure; only the section that is needed, where it is known."""
    if query.field is None:
        return ("INFO", _SECTIONS[query.measure])
    name = query.field.partition(".")[0]
    return next((("INFO", section) for family, section in _FAMILIES if family.match(name)), ("INFO",))


def _fields(query: RedisQuery, info: Mapping[str, Any], found: Rows) -> None:
    """Add the row of a measure that is in INFO."""
    if query.measure in _SHARES:
        part, whole = _SHARES[query.measure]
        if whole not in info:
            found.warnings.append(f"this server's INFO has no {whole}, so there is nothing to divide by")
        elif not (limit := _number(info[whole], whole)):
            found.warnings.append(f"{whole} is 0, which means no limit, so there is no share of it")
        else:
            found.add({}, 100.0 * _number(info[part], part) / limit)
        return
    name = query.field or _FIELDS[query.measure]
    value: Any = info
    for part in (name,) if name in info else name.split(".", 1):
        if not isinstance(value, Mapping) or part not in value:
            if name.startswith(("db", "cmdstat_", "errorstat_", "slave", "master_", "latency_")):
                found.warnings.append(f"INFO has no field {name} now")
                return
            message = f"INFO of this server has no field {name}"
            raise UnansweredError(FailureReason.BAD_QUERY, message)
        value = value[part]
    found.add({}, _number(value, name))


def _number(value: object, name: str) -> float:
    """Return the value of an INFO field; `UnansweredError` where it is a text."""
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Mapping):
        parts = ", ".join(f"{name}.{part}" for part in value)
        raise UnansweredError(FailureReason.BAD_QUERY, said(f"{name} has several values; name one: {parts}"))
    raise UnansweredError(FailureReason.BAD_QUERY, said(f"{name} is {value!r}, which is not a number"))


def _groups(query: RedisQuery, stream: str, replies: Replies, found: Rows) -> None:
    """Add a row for each consumer group of a stream that the rule means."""
    reply = replies["XINFO GROUPS", stream]
    if isinstance(reply, exceptions.ResponseError) and "no such key" in str(reply):
        found.warnings.append(f"there is no stream {stream}")
        return
    seen = set()
    for group in _reply(replies, ("XINFO GROUPS", stream)):
        name = _text(group["name"])
        seen.add(name)
        if _wanted(query, name):
            labels = {"stream": stream, "group": name}
            found.add(
                labels,
                _lag(stream, group, replies, found) if query.measure == "stream_lag" else float(group["pending"]),
            )
    found.warnings.extend(
        f"the stream {stream} has no group {name}" for name in several(query.group) if name not in seen
    )


def _lag(stream: str, group: Mapping[str, Any], replies: Replies, found: Rows) -> float:
    """Return how many entries a group has not been given yet; NaN where they are too many to count."""
    if group.get("lag") is not None:
        return float(group["lag"])
    left = len(_reply(replies, _entries(stream, group)))
    if left <= MOST_COUNTED:
        return float(left)
    found.warnings.append(
        f"the server does not know the lag of {_text(group['name'])} on {stream} (an unread entry was deleted), and it "
        f"is more than the {MOST_COUNTED} entries that are counted"
    )
    return math.nan


def _entries(stream: str, group: Mapping[str, Any]) -> Command:
    """Return the command that reads what a group has not been given yet, up to one more than is counted."""
    return ("XRANGE", stream, f"({_text(group['last-delivered-id'])}", "+", "COUNT", str(MOST_COUNTED + 1))


def _wanted(query: RedisQuery, group: str) -> bool:
    """Return whether the rule means this group."""
    return query.group is None or group in several(query.group)


def _text(value: object) -> str:
    """Return a name that the server sent, whatever bytes are in it."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
