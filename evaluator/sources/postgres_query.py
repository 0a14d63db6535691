"""What a rule may ask of a PostgreSQL server, and the settings of the source `postgres`.

This module knows the words. It never knows SQL of its own, and never talks to a server.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluator.engine.units import format_duration
from evaluator.sources.fields import MisfitError, Options, Seconds, Strict, Text, refuse_idle_options
from evaluator.sources.names import Names, several
from evaluator.sources.pgwire_settings import ServerSettings

Measure = Literal[
    "up",
    "connections",
    "connections_percent",
    "longest_transaction",
    "longest_query",
    "slow_queries",
    "idle_in_transaction",
    "locks_waiting",
    "replication_lag",
    "replication_lag_bytes",
    "query_time",
    "deadlocks",
    "rollbacks",
    "temp_bytes",
    "cache_hit_ratio",
    "database_size",
    "xid_age_percent",
    "sql",
]

CONNECTIONS = frozenset({"connections", "connections_percent"})
"""Measures that count connections whatever they do."""
SESSIONS = frozenset({*CONNECTIONS, "longest_transaction", "longest_query", "slow_queries", "idle_in_transaction"}) | {
    "locks_waiting"
}
"""Measures of pg_stat_activity."""
COUNTERS = frozenset({"deadlocks", "rollbacks", "temp_bytes"})
"""Growing counts of pg_stat_database."""
DATABASES = frozenset({*COUNTERS, "cache_hit_ratio", "database_size", "xid_age_percent"})
"""Measures with a row for each database."""
REPLICATION = frozenset({"replication_lag", "replication_lag_bytes"})
HIDDEN = frozenset({"longest_transaction", "longest_query", "slow_queries", "idle_in_transaction", *REPLICATION})
"""Measures that a role without pg_monitor cannot see of other roles: a number would be too small."""

Label = Literal["database", "user", "state"]

_SPLIT = SESSIONS | DATABASES | {"query_time"}
_OPTIONS: Options = {
    "database": (_SPLIT, "measures of sessions, databases and statements"),
    "user": (SESSIONS | {"query_time"}, "measures of sessions and `query_time`"),
    "state": (CONNECTIONS, "`connections` and `connections_percent`"),
    "by": (_SPLIT, "measures of sessions, databases and statements"),
    "longer_than": (frozenset({"slow_queries", "idle_in_transaction"}), "`slow_queries` and `idle_in_transaction`"),
    "query": (frozenset({"query_time"}), "`query_time`"),
    "per": (COUNTERS, "growing counts (`deadlocks`, `rollbacks`, `temp_bytes`)"),
    "sql": (frozenset({"sql"}), "`sql`"),
    "max_rows": (frozenset({"sql"}), "`sql`"),
    "statement_timeout": (frozenset({"sql"}), "`sql`"),
}
SLOW = 1.0
"""Seconds that a query of `slow_queries` runs longer than, where the rule says nothing."""
MAX_ROWS = 1000


class PostgresSettings(ServerSettings):
    """Settings of `type = "postgres"`."""

    statement_timeout: Seconds = Field(5.0, description="An own query (`sql`) may run so long on the server.")

    def session(self, longest: float, **more: str) -> dict[str, str]:
        """Return what libpq is told for a session that can only read, with statements of so many seconds at most.

        These are options of the connection and no SET statements: where a PgBouncer is between, SET would stay on a
        connection of its pool and spoil it for the applications that get it next. It refuses or ignores options.
        """
        # Compiling would cost more than the statements do.
        told = {"default_transaction_read_only": "on", "jit": "off", **more}
        told["statement_timeout"] = str(max(int(longest * 1000), 1))
        return self.parameters() | {"options": " ".join(f"-c {name}={value}" for name, value in told.items())}

    def refuse(self, query: "PostgresQuery") -> None:
        """Refuse a time that the whole poll does not have."""
        if (query.statement_timeout or 0.0) > self.timeout:
            longest = f"a poll of this source takes at most {format_duration(self.timeout)} (`timeout`)"
            raise MisfitError(f"`statement_timeout` would do nothing: {longest}", "statement_timeout")


class PostgresQuery(Strict):
    """What a rule asks: `query = { measure = "connections", by = ["user"] }`, or `query = "connections_percent"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `connections` (count), `connections_percent` (percent of the slots that "
        "ordinary roles may use, 0 to 100), `longest_transaction`, `longest_query` (seconds), `slow_queries`, "
        "`idle_in_transaction`, `locks_waiting` (sessions), `replication_lag` (seconds), `replication_lag_bytes` "
        "(bytes), `query_time` (mean seconds of a call between two polls, from pg_stat_statements), `deadlocks`, "
        "`rollbacks` (count), `temp_bytes` (bytes), `cache_hit_ratio` (ratio, 0 to 1), `database_size` (bytes), "
        "`xid_age_percent` (percent, 0 to 100), `sql` (an own query), `up` (1, or 0 when it lets nobody connect)."
    )
    database: Names | None = Field(
        None, description="Only of this database, or of these: a series for each (label `database`)."
    )
    user: Names | None = Field(None, description="Only of this role, or of these: a series for each (label `user`).")
    state: Names | None = Field(
        None,
        description="connections: only in this state of pg_stat_activity, such as `active`, `idle` or `idle in "
        "transaction`, or in these: a series for each (label `state`).",
    )
    by: tuple[Label, ...] = Field(
        (), description="A series for each `database`, `user` or `state`, or for each combination; default one series."
    )
    longer_than: Seconds | None = Field(
        None, description="slow_queries (default 1s), idle_in_transaction: only what has lasted longer."
    )
    query: Text | None = Field(
        None, description="query_time: only statements whose text contains this, in upper or lower case; a text."
    )
    per: Seconds | None = Field(
        None,
        description='Growing counts: the growth in this time (`"1m"`: a minute) instead of the count since the start.',
    )
    sql: Text | None = Field(
        None,
        description="sql: one SELECT, WITH or VALUES. The column `value` is the value, in the rule's unit, all others "
        "are labels; a single column is the value, whatever its name.",
    )
    max_rows: Annotated[int, Field(ge=1, le=10_000)] = Field(
        MAX_ROWS, description="sql: more rows than this are a failed poll; rows."
    )
    statement_timeout: Seconds | None = Field(None, description="sql: instead of the source's own.")

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and ask for the one that is needed."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if (self.measure == "sql") != (self.sql is not None):
            raise ValueError("`sql` needs `sql`, the statement to run")
        labels = {"database"} if self.measure in DATABASES else {"database", "user"}
        allowed = labels | {"state"} if self.measure in CONNECTIONS else labels
        for label in self.by:
            if label not in allowed:
                raise ValueError(f"`{self.measure}` has no label `{label}`")
        return self

    def split(self) -> dict[str, tuple[str, ...] | None]:
        """Return the labels of the series in a fixed order, each with the values that are meant; `None`: all."""
        found: dict[str, tuple[str, ...] | None] = {}
        for label in ("database", "user", "state"):
            names = getattr(self, label)
            if names is not None:
                found[label] = several(names)
            elif label in self.by:
                found[label] = None
        return found
