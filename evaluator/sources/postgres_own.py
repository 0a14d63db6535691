"""A rule's own SQL: one statement that can only read, and its rows as samples.

It knows cursors, read-only transactions, and how columns become values and labels. It never knows a built-in measure.
"""

import math

import psycopg
from psycopg.pq import TransactionStatus

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.pgwire import Connection
from evaluator.sources.postgres_query import PostgresQuery
from evaluator.sources.weather import said

ROUND_TRIPS = 3
"""What one own query costs."""

LONGEST_LABEL = 1000
"""Characters: a longer text is a document, and names nothing."""

_VALUE = "value"
_END = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()"
"""A session's advisory locks outlive its transactions, and this session is held: others would wait for ever."""


async def run(connection: Connection, query: PostgresQuery, seconds: float) -> PollResult:
    """Run the query's statement, for so many seconds at most; `psycopg.Error` where the server refuses it.

    It is the query of a cursor, so that nothing but SELECT, WITH and VALUES is grammatical, no more rows than are
    wanted are worked out, and a WITH that writes is refused. Sent in the extended protocol it cannot hold a second
    statement, which might end the transaction. What a function nevertheless does is refused by the read-only
    transaction, or rolled back with it.
    """
    return await _in_cursor(connection, query, seconds, query.max_rows + 1)


async def describe(connection: Connection, query: PostgresQuery, seconds: float) -> PollResult:
    """Return what is wrong with the query's statement, or an empty answer; it is planned, and gives no row."""
    return await _in_cursor(connection, query, seconds, 0)


async def _in_cursor(connection: Connection, query: PostgresQuery, seconds: float, rows: int) -> PollResult:
    """Read that many rows of the statement."""
    statement = (query.sql or "").strip().rstrip(";")
    limit = max(int(seconds * 1000), 1)
    # A cursor is otherwise planned for its first tenth; this one is read to its end.
    begin = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL cursor_tuple_fraction = 1"
    try:
        await connection.execute(begin.encode())
        # `binary` is what makes psycopg use the extended protocol where there are no parameters.
        await connection.execute(f"DECLARE evaluator NO SCROLL CURSOR FOR {statement}".encode(), binary=True)
        cursor = await connection.execute(f"FETCH FORWARD {rows} FROM evaluator; {_END}".encode())
        return _samples(cursor, query)
    except psycopg.Error:
        if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
            await connection.execute(_END.encode())
        raise


def _samples(cursor: psycopg.AsyncCursor[object], query: PostgresQuery) -> PollResult:
    """Return the rows as samples; all in PostgreSQL's own words, whatever their types."""
    names = [column.name for column in cursor.description or ()]
    result = cursor.pgresult
    if result is None or not names:
        return _wrong("it gives no column")
    if len(names) > 1 and names.count(_VALUE) != 1:
        return _wrong(f"one of its columns must be called `{_VALUE}`: it has {', '.join(names)}")
    if len(set(names)) != len(names):
        return _wrong(f"two of its columns have the same name: it has {', '.join(names)}")
    if result.ntuples > query.max_rows:
        message = f"it gives more than {query.max_rows} rows; aggregate, or raise `max_rows`"
        return PollFailed(FailureReason.TOO_BIG, message)
    place = names.index(_VALUE) if len(names) > 1 else 0
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for row in range(result.ntuples):
        cells = [_text(result.get_value(row, column)) for column in range(len(names))]
        value = _number(cells[place])
        if value is None:
            more = "; of an interval take extract(epoch from …)" if ":" in (cells[place] or "") else ""
            return _wrong(f"`{names[place]}` is {said(repr(cells[place]))}, which is not a number{more}")
        labels = {name: cell or "" for name, cell in zip(names, cells, strict=True) if name != names[place]}
        long = next((name for name, label in labels.items() if len(label) > LONGEST_LABEL), None)
        if long is not None:
            message = f"`{long}` has {len(labels[long])} characters in a row, and a label at most {LONGEST_LABEL}"
            return PollFailed(FailureReason.TOO_BIG, message)
        series = series_of(labels)
        if series in found:
            return _wrong(f"two of its rows have the same labels: {labels}")
        found[series] = value
    return Samples([dict(series) for series in found], list(found.values()))


def _number(cell: str | None) -> float | None:
    """Return a number or a truth as a number, NULL as NaN; `None`: it is neither."""
    if cell is None:
        return math.nan
    if cell in ("t", "f"):
        return float(cell == "t")
    try:
        return float(cell)
    except ValueError:
        return None


def _text(cell: bytes | None) -> str | None:
    """Return a cell as text."""
    return None if cell is None else cell.decode("utf-8", "backslashreplace")


def _wrong(message: str) -> PollFailed:
    """Return the failure of a statement that gives what cannot be samples."""
    return PollFailed(FailureReason.BAD_QUERY, message)
