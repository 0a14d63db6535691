"""What `evaluator doctor` says of a Redis server: the connection, the user's rights, and what the queries need.

This module knows replies as values and words for a person. It never talks to a server. Every command that is tried is
one that polls send too, or a harmless question: trying says more than the server's own word on it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis import exceptions

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.names import several
from evaluator.sources.redis_measures import Command, Replies, Rows, UnansweredError, commands, rows
from evaluator.sources.redis_query import RedisQuery, RedisSettings
from evaluator.sources.weather import said

PING: Command = ("PING",)
SERVER: Command = ("INFO", "server")
MEMORY: Command = ("INFO", "memory")
WHO: Command = ("ACL WHOAMI",)
GENERAL = (PING, SERVER, MEMORY, WHO)
"""What is asked whatever the queries are."""

_MEND = {
    FailureReason.REFUSED: "see that the server runs, that `url` is right, and that `bind` and a firewall let us in",
    FailureReason.TIMEOUT: "see that a firewall lets us in and that the server is not blocked (SLOWLOG GET), or raise "
    "`timeout`",
    FailureReason.RESET: "see the server's log; a server that wants TLS needs rediss:// in `url`",
    FailureReason.TLS: "name the authority that signed its certificate in `ca`; a server without TLS needs redis://",
    FailureReason.AUTH: "correct `username` and `password`; on the server: ACL SETUSER evaluator on >PASSWORD",
    FailureReason.UNAVAILABLE: "wait until it has loaded its data, or raise `maxclients`: CONFIG SET maxclients 10000",
    FailureReason.BAD_ANSWER: "correct `url`: what answers there is no Redis (a server that wants TLS needs rediss://)",
}


def more_of(query: RedisQuery) -> list[Command]:
    """Return what may be needed of the server beyond the first commands of a query."""
    if query.measure == "stream_lag":
        return [("XRANGE", stream, "-", "+", "COUNT", "1") for stream in several(query.stream)]
    return []


def unreachable(failed: PollFailed) -> list[Checkup]:
    """Return the only line on a server that does not answer."""
    return [Checkup(Grade.WRONG, "connection", failed.message, _MEND.get(failed.reason, "see the server's log"))]


def report(
    queries: Collection[RedisQuery], settings: RedisSettings, replies: Replies, milliseconds: float
) -> list[Checkup]:
    """Return what the replies tell."""
    server, user = replies[SERVER], replies[WHO]
    name = said(_text(user)) if isinstance(user, str | bytes) else settings.username or "default"
    lines = [_connection(server, settings, name, milliseconds)]
    needed = {each for query in queries for each in [*commands(query, settings), *more_of(query)]}
    forbidden: dict[str, list[Command]] = {}
    for command, reply in replies.items():
        if isinstance(reply, exceptions.NoPermissionError) and command != WHO:
            forbidden.setdefault(command[0], []).append(command)
    for first, denied in forbidden.items():
        grade = Grade.WRONG if needed & set(denied) else Grade.WARNING
        found = f"the user {name} may not run {said(', '.join(' '.join(each) for each in denied[:5]))}"
        lines.append(Checkup(grade, f"permission {first}", found, _grant(name, denied)))
    if not forbidden:
        what = f"all {len(needed)} commands of the rules" if needed else "PING and INFO"
        lines.append(Checkup(Grade.FINE, "permissions", f"the user {name} may run {what}"))
    lines += _memory(queries, replies[MEMORY])
    for query in queries:
        lines += _query(query, settings, replies, server)
    return lines


def _connection(server: object, settings: RedisSettings, name: str, milliseconds: float) -> Checkup:
    """Return how the connection is."""
    version = server.get("redis_version") if isinstance(server, Mapping) else None
    tls = "with TLS" if settings.url.get_secret_value().startswith("rediss://") else "without TLS"
    what = f"version {said(str(version))}" if version else "its version is not told"
    return Checkup(Grade.FINE, "connection", f"answers in {milliseconds:.0f} ms, {what}, {tls}, user {name}")


def _memory(queries: Collection[RedisQuery], memory: object) -> list[Checkup]:
    """Return whether there is a memory limit; without one there is no share of it."""
    if not isinstance(memory, Mapping) or "maxmemory" not in memory:
        return []
    if memory["maxmemory"]:
        return [Checkup(Grade.FINE, "memory limit", f"maxmemory is {memory['maxmemory']} bytes")]
    needed = any(query.measure == "memory_percent" for query in queries)
    found = "maxmemory is 0, no limit: `memory_percent` has no value, and the machine runs out of memory instead"
    mend = "CONFIG SET maxmemory 2gb (and in redis.conf), or ask for `memory_used`"
    return [Checkup(Grade.WRONG if needed else Grade.WARNING, "memory limit", found, mend)]


def _query(query: RedisQuery, settings: RedisSettings, replies: Replies, server: object) -> list[Checkup]:
    """Return what is wrong with the answer to a query; nothing where that was said already."""
    subject = f"query {query.measure}" + _of(query)
    lines: list[Checkup] = []
    try:
        found: Rows = rows(query, settings, replies)
    except UnansweredError as error:
        if error.failed.reason is FailureReason.AUTH:
            return []
        return [Checkup(Grade.WRONG, subject, said(error.failed.message), "correct the query in the rule")]
    if found.warnings and query.measure != "memory_percent":
        mend = "correct the name in the rule, or see why it is not there"
        lines.append(Checkup(Grade.WARNING, subject, said("; ".join(found.warnings)), mend))
    if query.measure == "stream_lag" and _major(server) < 7:
        text = "this server does not know the lag of a group: up to 1,000 entries are read at each poll to count it"
        lines.append(Checkup(Grade.WARNING, subject, text, "upgrade to Redis 7.0 or later"))
    return lines


def _of(query: RedisQuery) -> str:
    """Return what a query is about."""
    about = query.queue or query.stream or query.field
    return "" if about is None else f" of {said(', '.join(several(about)))}"


def _grant(name: str, denied: Sequence[Command]) -> str:
    """Return the statement that allows commands of one kind on their keys."""
    words = [f"+{denied[0][0].split()[0].lower()}"]
    if denied[0][0] not in ("INFO", "PING"):
        words += dict.fromkeys(f"%R~{said(each[1])}" for each in denied[:5])
    return f"ACL SETUSER {name} {' '.join(words)} (then ACL SAVE or CONFIG REWRITE)"


def _major(server: object) -> int:
    """Return the first number of the server's version; a large one where it is not known."""
    version: Any = server.get("redis_version", "") if isinstance(server, Mapping) else ""
    first = str(version).partition(".")[0]
    return int(first) if first.isdecimal() else 99


def _text(value: str | bytes) -> str:
    """Return a reply as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
