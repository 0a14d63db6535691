"""What the measures of a PostgreSQL server are: how the documents of its one statement become values.

This module knows documents as values. It never talks to a server, and knows no timeouts and no rules.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.sources.means import Means, Pair
from evaluator.sources.postgres_query import COUNTERS, HIDDEN, REPLICATION, SESSIONS, PostgresQuery
from evaluator.sources.postgres_statement import FACTS, duration_column, needs, text_column
from evaluator.sources.rates import Rates, Reading

Document = Any
"""What a part of the statement gives: JSON."""
Documents = Mapping[str, Document]
"""The documents of the parts, or the failure of a part."""

STATES = (
    *("active", "idle", "idle in transaction", "idle in transaction (aborted)"),
    *("fastpath function call", "disabled"),
)
"""The states of pg_stat_activity, https://www.postgresql.org/docs/current/monitoring-stats.html."""
MOST_SERIES = 10_000
"""Combinations of labels that are answered also where nothing is there; above it only those that are there."""

NO_STATEMENTS = (
    "the database has no pg_stat_statements: add it to shared_preload_libraries, restart the server, and run "
    "CREATE EXTENSION pg_stat_statements in the database that this source connects to"
)


@dataclass(slots=True)
class Memory:
    """What growing counts were in the polls before."""

    rates: Rates = field(default_factory=Rates)
    means: Means = field(default_factory=Means)


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, with what its answer is made from."""

    query: PostgresQuery
    spec: str
    documents: Documents
    memory: Memory
    at: float
    """When it was asked, on the loop's clock."""
    texts: Sequence[str]
    """All texts that statements were looked for in this poll."""


def usable(facts: Document) -> int:
    """Return the connections that ordinary roles may have together."""
    return max(int(facts["max"]) - int(facts["superuser_reserved"]) - int(facts["reserved"]), 1)


def grant(facts: Document) -> str:
    """Return the statement that lets our role see what other roles do."""
    name = str(facts["role"])
    quoted = name if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'
    return f"GRANT pg_monitor TO {quoted}"


def answer(asked: Asked) -> PollResult:
    """Return the answer to one query."""
    query, facts = asked.query, asked.documents[FACTS]
    if query.measure == "query_time" and facts["statements"] is None:
        return PollFailed(FailureReason.BAD_QUERY, NO_STATEMENTS)
    if not facts["monitor"] and (query.measure in HIDDEN or "state" in query.split() or query.query is not None):
        message = f"what other roles do is hidden from the role {facts['role']}; run {grant(facts)}"
        return PollFailed(FailureReason.AUTH, message)
    for name in needs(query):
        document = asked.documents[name]
        if isinstance(document, PollFailed):
            return document
    if query.measure == "up":
        return Samples([{}], [1.0])
    if query.measure in SESSIONS:
        return _sessions(asked)
    if query.measure in REPLICATION:
        return _replication(query, asked.documents["replication"])
    return _databases(asked)


def _sessions(asked: Asked) -> Samples:
    """Return the series of a measure of pg_stat_activity."""
    query, facts = asked.query, asked.documents[FACTS]
    column: str = query.measure
    if query.measure in ("slow_queries", "idle_in_transaction"):
        column = duration_column(query)
    elif query.measure == "connections_percent":
        column = "connections"
    found = _grouped(asked, asked.documents["sessions"], column, max if column.startswith("longest") else sum)
    warnings = _unknown(asked)
    if query.measure == "connections_percent":
        found = _shares(asked, found, warnings)
    if not facts["monitor"]:
        warnings.append(f"the kind and state of other roles' sessions is hidden; run {grant(facts)}")
    return _samples(found, warnings)


def _shares(asked: Asked, found: Mapping[Series, float], warnings: list[str]) -> dict[Series, float]:
    """Return the percentages of what each series may have: all usable slots, or the limit of its role or database."""
    whole = usable(asked.documents[FACTS])
    limits = {
        label: {row[label]: row["limit"] for row in asked.documents.get(part, ()) if row["limit"] >= 0}
        for label, part in (("database", "databases"), ("user", "roles"))
        if label in asked.query.split()
    }
    shares = {}
    for series, count in found.items():
        own = [limits[label][value] for label, value in series if value in limits.get(label, ())]
        limit = min([whole, *own])
        if limit > 0:
            shares[series] = 100.0 * count / limit
        else:
            warnings.append(f"{dict(series)} may have no connection at all (its CONNECTION LIMIT is 0)")
    return shares


def _databases(asked: Asked) -> PollResult:
    """Return the series of a measure of databases or statements."""
    query, warnings = asked.query, _unknown(asked)
    match query.measure:
        case "query_time" | "cache_hit_ratio":
            return _samples(_means(asked), warnings)
        case "database_size":
            rows = asked.documents["sizes"]
            if any(row["size"] is None for row in rows):
                names = ", ".join(row["database"] for row in rows if row["size"] is None)
                message = f"the size of {names} is hidden; run {grant(asked.documents[FACTS])}"
                return PollFailed(FailureReason.AUTH, message)
            return _samples(_grouped(asked, rows, "size", sum), warnings)
        case "xid_age_percent":
            return _samples(_grouped(asked, asked.documents["ages"], "percent", max), warnings)
        case _:
            rows = asked.documents["counters"]
            if query.per is not None:
                rows = _grown(asked, rows, query.per)
                if not rows:
                    return _samples({}, warnings)
            return _samples(_grouped(asked, rows, query.measure, sum), warnings)


def _grown(asked: Asked, rows: Sequence[Document], per: float) -> list[Document]:
    """Return the growth of a count of each database in the time that the rule says; none in the first poll."""
    measure = asked.query.measure
    # Each database by itself: the sum would shrink when one is dropped.
    readings: dict[Series, Reading] = {
        (("database", str(row["database"])),): Reading(float(row[measure]), asked.at)
        for row in rows
        if measure in COUNTERS
    }
    rates = asked.memory.rates.advance(asked.spec, readings, asked.at)
    return [{**dict(series), measure: rate * per} for series, rate in rates.items()]


def _means(asked: Asked) -> dict[Series, float]:
    """Return the means between the last poll and this one."""
    query = asked.query
    if query.measure == "query_time":
        document = asked.documents["statements"]
        suffix = "" if query.query is None else text_column(query.query, asked.texts)
        total, count, rows, reset = f"seconds{suffix}", f"calls{suffix}", document["rows"], document["reset"]
    else:
        rows = [{**row, "reads": row["blks_hit"] + row["blks_read"]} for row in asked.documents["counters"]]
        total, count, reset = "blks_hit", "reads", max((row["reset"] or 0 for row in rows), default=None)
    totals, counts = _grouped(asked, rows, total, sum), _grouped(asked, rows, count, sum)
    pairs = {series: Pair(totals[series], counts[series], reset) for series in totals}
    return asked.memory.means.advance(asked.spec, pairs, asked.at)


def _replication(query: PostgresQuery, document: Document) -> Samples:
    """Return how far a standby is behind, or how far each standby of a primary is."""
    column = "lag" if query.measure == "replication_lag" else "bytes"
    warnings: list[str] = []
    if "standbys" in document:
        worst: dict[Series, float] = {}
        for row in document["standbys"]:
            if row["state"] in ("backup", "startup"):
                continue
            value = row[column]
            if value is None:
                # PostgreSQL forgets the lag of a standby that has caught up, when nothing is written any more.
                value = 0.0 if column == "lag" and row["bytes"] is not None and row["bytes"] <= 0 else math.nan
            series = (("standby", str(row["standby"])),)
            worst[series] = max(float(value), worst.get(series, 0.0)) if not math.isnan(value) else math.nan
        return _samples(worst, warnings)
    behind = document["bytes"]
    if column == "bytes":
        value = math.nan if behind is None else float(behind)
    elif document["connected"] and behind is not None and behind <= 0:
        value = 0.0
    else:
        value = math.nan if document["age"] is None else float(document["age"])
    if not document["connected"]:
        warnings.append("the standby is not connected to its primary: it does not know how far it is behind")
        if column == "bytes":
            value = math.nan
    return Samples([{}], [value], warnings=tuple(warnings))


def _grouped(
    asked: Asked, rows: Iterable[Document], column: str, together: Callable[[Iterable[float]], float]
) -> dict[Series, float]:
    """Return the values of the rows that the query means, by series; 0 where nothing is there now."""
    split = asked.query.split()
    names = list(split)
    found: dict[tuple[str, ...], list[float]] = {key: [] for key in _expected(asked)}
    for row in rows:
        key = tuple(str(row[label]) if row[label] is not None else "unknown" for label in names)
        meant = all(values is None or value in values for value, values in zip(key, split.values(), strict=True))
        if meant:
            found.setdefault(key, []).append(float(row[column] or 0.0))
    return {
        series_of(dict(zip(names, key, strict=True))): float(together([0.0, *values])) for key, values in found.items()
    }


def _expected(asked: Asked) -> list[tuple[str, ...]]:
    """Return the values of the labels of all series that there should be, whether anything is there now or not."""
    domains = []
    for label, values in asked.query.split().items():
        known = _known(asked, label)
        domains.append(list(known) if values is None else [value for value in values if value in known])
    if math.prod(len(domain) for domain in domains) > MOST_SERIES:
        return []
    return list(product(*domains))


def _known(asked: Asked, label: str) -> Sequence[str]:
    """Return the databases, roles or states that there are."""
    if label == "state":
        return STATES
    return [str(row[label]) for row in asked.documents["databases" if label == "database" else "roles"]]


def _unknown(asked: Asked) -> list[str]:
    """Return warnings for names in the query that the server does not have."""
    return [
        f"there is no {'role' if label == 'user' else label} {name}"
        for label, values in asked.query.split().items()
        for name in values or ()
        if name not in _known(asked, label)
    ]


def _samples(found: Mapping[Series, float], warnings: Sequence[str] = ()) -> Samples:
    """Return the answer that has these series."""
    return Samples([dict(series) for series in found], list(found.values()), warnings=tuple(warnings))
