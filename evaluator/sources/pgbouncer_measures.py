"""What the measures of a PgBouncer are: which SHOW commands they need, and how their rows become values.

This module knows rows as values, by the names of their columns: versions differ in which they have. It never talks to
a server. The columns: https://www.pgbouncer.org/usage.html#show-commands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.sources.means import Means, Pair
from evaluator.sources.names import several
from evaluator.sources.pgbouncer_query import POOLS, TIMES, PgBouncerQuery

Row = Mapping[str, Any]
Answers = Mapping[str, Sequence[Row]]
"""The rows that each command gave."""

CONSOLE = "pgbouncer"
"""The database that is the console itself, and no pool."""
_MICROSECONDS = 1_000_000.0
_TIMES = {
    "query_time": ("total_query_time", "total_query_count"),
    "wait_time": ("total_wait_time", "total_xact_count"),
}


def commands(query: PgBouncerQuery) -> tuple[str, ...]:
    """Return what must be asked to answer the query."""
    match query.measure:
        case "up":
            return ("SHOW VERSION",)
        case "pool_percent":
            return ("SHOW POOLS", "SHOW DATABASES")
        case "clients":
            return ("SHOW LISTS",)
        case "clients_percent":
            return ("SHOW LISTS", "SHOW CONFIG")
        case "query_time" | "wait_time":
            return ("SHOW STATS",)
        case _:
            return ("SHOW POOLS",)


def answer(query: PgBouncerQuery, spec: str, answers: Answers, means: Means, at: float) -> PollResult:
    """Return the answer to one query; `at` is when it was asked, on the loop's clock."""
    try:
        if query.measure == "up":
            return Samples([{}], [1.0])
        if query.measure in POOLS:
            return _pools(query, answers)
        if query.measure in TIMES:
            return _times(query, spec, answers["SHOW STATS"], means, at)
        used = _item(answers["SHOW LISTS"], "list", "used_clients", "items")
        if query.measure == "clients":
            return Samples([{}], [used])
        return Samples([{}], [100.0 * used / most_clients(answers["SHOW CONFIG"])])
    except KeyError as error:
        return PollFailed(FailureReason.BAD_ANSWER, f"this version's answer has no {error.args[0]}")


def most_clients(rows: Sequence[Row]) -> float:
    """Return `max_client_conn` of SHOW CONFIG."""
    return max(_item(rows, "key", "max_client_conn", "value"), 1.0)


def _pools(query: PgBouncerQuery, answers: Answers) -> Samples:
    """Return a series for each pool that the rule means."""
    sizes = {str(row["name"]): float(row["pool_size"]) for row in answers.get("SHOW DATABASES", ())}
    found: dict[Series, float] = {}
    warnings = []
    for row in answers["SHOW POOLS"]:
        database, user = str(row["database"]), str(row["user"])
        if database == CONSOLE or not (query.means("database", database) and query.means("user", user)):
            continue
        match query.measure:
            case "pool_waiting":
                value = float(row["cl_waiting"])
            case "pool_wait":
                value = float(row["maxwait"]) + float(row.get("maxwait_us", 0)) / _MICROSECONDS
            case "pool_clients":
                value = float(row["cl_active"]) + float(row["cl_waiting"])
            case _:
                if not sizes.get(database):
                    warnings.append(f"the pools of {database} have no size, so there is no share of it")
                    continue
                value = 100.0 * float(row["sv_active"]) / sizes[database]
        found[series_of({"database": database, "user": user})] = value
    return _samples(query, found, warnings)


def _times(query: PgBouncerQuery, spec: str, rows: Sequence[Row], means: Means, at: float) -> Samples:
    """Return the mean of each database between the last poll and this one, in seconds."""
    total, count = _TIMES[query.measure]
    pairs = {
        series_of({"database": str(row["database"])}): Pair(float(row[total]) / _MICROSECONDS, float(row[count]))
        for row in rows
        if row["database"] != CONSOLE and query.means("database", str(row["database"]))
    }
    found = means.advance(spec, pairs, at)
    return _samples(query, found if pairs else {}, [], there=pairs)


def _samples(
    query: PgBouncerQuery,
    found: Mapping[Series, float],
    warnings: list[str],
    there: Mapping[Series, object] | None = None,
) -> Samples:
    """Return the answer that has these series, with a warning where what the rule names is not there."""
    for label in ("database", "user"):
        known = {dict(series).get(label) for series in (found if there is None else there)}
        for name in several(getattr(query, label)):
            if name not in known and not warnings:
                warnings.append(f"there is no pool of the {label} {name}; PgBouncer makes it at the first connection")
    return Samples([dict(series) for series in found], list(found.values()), warnings=tuple(warnings))


def _item(rows: Sequence[Row], key: str, name: str, value: str) -> float:
    """Return a number from a list of names and numbers."""
    for row in rows:
        if row[key] == name:
            return float(row[value])
    raise KeyError(name)
