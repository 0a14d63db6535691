"""What a rule may ask of a PgBouncer, and the settings of the source `pgbouncer`.

This module knows the words. It never talks to a server.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluator.sources.fields import Options, Strict, refuse_idle_options
from evaluator.sources.names import Names
from evaluator.sources.pgwire_settings import ServerSettings

Measure = Literal[
    "up",
    "pool_waiting",
    "pool_wait",
    "pool_percent",
    "pool_clients",
    "clients",
    "clients_percent",
    "query_time",
    "wait_time",
]

POOLS = frozenset({"pool_waiting", "pool_wait", "pool_percent", "pool_clients"})
"""Measures with a series for each pool: a database and the user that its connections have."""
TIMES = frozenset({"query_time", "wait_time"})
"""Means between two polls, with a series for each database."""


_OPTIONS: Options = {
    "database": (POOLS | TIMES, "measures of pools and times"),
    "user": (POOLS, "measures of pools"),
}


class PgBouncerSettings(ServerSettings):
    """Settings of `type = "pgbouncer"`."""

    default_port: ClassVar[int] = 6432
    default_database: ClassVar[str] = "pgbouncer"


class PgBouncerQuery(Strict):
    """What a rule asks: `query = { measure = "pool_waiting", database = "shop" }`, or `query = "clients_percent"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `pool_waiting` (clients that wait for a server connection), `pool_wait` (seconds "
        "that the longest of them has waited), `pool_percent` (percent of the pool's size in use, 0 to 100), "
        "`pool_clients`, `clients` (connections), `clients_percent` (percent of max_client_conn, 0 to 100), "
        "`query_time`, `wait_time` (mean seconds of a query, and of a transaction's wait, between two polls), "
        "`up` (1, or 0 when it lets nobody connect)."
    )
    database: Names | None = Field(None, description="Only this database of PgBouncer, or these; default all.")
    user: Names | None = Field(None, description="Only the pools of this user, or of these; default all.")

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        return self

    def means(self, label: str, name: str) -> bool:
        """Return whether the rule means this database or this user."""
        names = getattr(self, label)
        return names is None or name == names or (not isinstance(names, str) and name in names)
