"""The one statement that asks a PostgreSQL server for all built-in measures of a poll.

This module knows the catalogue of PostgreSQL 12 and later. Each part is a subquery that gives one JSON document, and
only the parts that are needed are asked. It never talks to a server, and never knows what the values become.
"""

from collections.abc import Collection

from evaluator.sources.postgres_query import COUNTERS, REPLICATION, SESSIONS, SLOW, PostgresQuery

FACTS = "facts"
"""The part that every poll asks: who we are, and what the limits are."""

# `reserved_connections` is there from version 16 on; the second argument makes a missing one NULL.
_FACTS = """
select json_build_object(
  'version', current_setting('server_version_num')::int,
  'role', current_user,
  'superuser', (select rolsuper from pg_roles where rolname = current_user),
  'monitor', pg_has_role('pg_read_all_stats', 'usage'),
  'limit', (select rolconnlimit from pg_roles where rolname = current_user),
  'standby', pg_is_in_recovery(),
  'max', current_setting('max_connections')::int,
  'superuser_reserved', current_setting('superuser_reserved_connections')::int,
  'reserved', coalesce(current_setting('reserved_connections', true)::int, 0),
  'may_use_reserved', coalesce((select pg_has_role(oid, 'usage') from pg_roles
     where rolname = 'pg_use_reserved_connections'), false),
  'statements', (select json_build_object('schema', n.nspname, 'version', e.extversion)
     from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'))"""

# Sessions of other roles have no backend_type for a role without pg_monitor, but a database and a user: processes of
# the server have not both. Whoever waits for a lock is seen in pg_locks, which hides nothing. Our own sessions count as
# connections only: they must not be found slow or idle by themselves.
_SESSIONS = """
select coalesce(json_agg(s), '[]'::json) from (
  select database, "user", state, count(*) as connections,
    max(extract(epoch from now() - xact_start)) filter (where not own) as longest_transaction,
    max(extract(epoch from now() - query_start)) filter (where state = 'active' and not own) as longest_query,
    count(*) filter (where waiting) as locks_waiting{columns}
  from (
    select datname as database, usename as "user", state, xact_start, query_start, state_change,
      application_name = 'evaluator' and usename = current_user as own,
      {waiting} as waiting
    from pg_stat_activity
    where datid is not null and usesysid is not null and (backend_type = 'client backend' or backend_type is null)
  ) a group by 1, 2, 3) s"""

_DATABASES = """
select coalesce(json_agg(s), '[]'::json) from (
  select datname as database, datconnlimit as "limit" from pg_database where datallowconn) s"""

_ROLES = """
select coalesce(json_agg(s), '[]'::json) from (
  select rolname as "user", rolconnlimit as "limit" from pg_roles where rolcanlogin) s"""

_COUNTERS = """
select coalesce(json_agg(s), '[]'::json) from (
  select datname as database, deadlocks, xact_rollback as rollbacks, temp_bytes, blks_hit, blks_read,
    extract(epoch from stats_reset) as reset
  from pg_stat_database where datname is not null) s"""

_SIZES = """
select coalesce(json_agg(s), '[]'::json) from (
  select datname as database, case when pg_has_role('pg_read_all_stats', 'usage')
    or has_database_privilege(oid, 'connect') then pg_database_size(oid) end as size
  from pg_database where datallowconn {only}) s"""

# 2^31 is where transaction ids wrap around:
# https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
_AGES = """
select coalesce(json_agg(s), '[]'::json) from (
  select datname as database,
    100 * greatest(age(datfrozenxid), mxid_age(datminmxid)) / 2147483648.0 as percent
  from pg_database) s"""

# A standby that has replayed all it has received is not behind, as long as it is connected; the time since the last
# replayed transaction alone would grow while its primary is idle. One that has lost its primary receives nothing, and
# would look as if it were not behind.
_REPLICATION = """
select case when pg_is_in_recovery() then json_build_object(
  'connected', exists (select from pg_stat_wal_receiver where pid is not null),
  'age', extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()),
  'bytes', pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()))
else json_build_object('standbys', (select coalesce(json_agg(s), '[]'::json) from (
  select application_name as standby, extract(epoch from replay_lag) as lag,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as bytes, state
  from pg_stat_replication) s)) end"""

_STATEMENTS = """
select json_build_object('reset', {reset}, 'rows', (select coalesce(json_agg(s), '[]'::json) from (
  select d.datname as database, r.rolname as "user", sum(p.calls) as calls,
    sum(p.{time}) / 1000.0 as seconds{columns}
  from {source} p
    join pg_database d on d.oid = p.dbid join pg_roles r on r.oid = p.userid
  group by 1, 2) s))"""

_FIXED = {
    FACTS: _FACTS,
    "databases": _DATABASES,
    "roles": _ROLES,
    "counters": _COUNTERS,
    "ages": _AGES,
    "replication": _REPLICATION,
}
_PART_OF = {
    **dict.fromkeys(SESSIONS, "sessions"),
    **dict.fromkeys(REPLICATION, "replication"),
    **dict.fromkeys((*COUNTERS, "cache_hit_ratio"), "counters"),
    "database_size": "sizes",
    "xid_age_percent": "ages",
    "query_time": "statements",
}


def needs(query: PostgresQuery) -> list[str]:
    """Return the names of the parts that the query is answered from."""
    split = query.split()
    needed = [FACTS, _PART_OF[query.measure]] if query.measure in _PART_OF else [FACTS]
    needed += ["databases"] if "database" in split else []
    return needed + (["roles"] if "user" in split else [])


def parts(queries: Collection[PostgresQuery], statements: tuple[str, str] | None) -> dict[str, str]:
    """Return the parts that the queries need, by name.

    `statements`: the schema and the version of the extension pg_stat_statements, where the database has it.
    """
    needed = dict.fromkeys([FACTS, *(name for query in queries for name in needs(query))], "")
    if statements is None:
        needed.pop("statements", None)
    for name in needed:
        match name:
            case "sessions":
                needed[name] = _sessions(queries)
            case "sizes":
                needed[name] = _sizes(queries)
            case "statements" if statements is not None:
                needed[name] = _statements(queries, *statements)
            case _:
                needed[name] = _FIXED[name]
    return needed


def statement(needed: dict[str, str]) -> str:
    """Return one statement that asks for all of these parts, with a column for each."""
    return "select " + ", ".join(f'({part.strip()}) as "{name}"' for name, part in needed.items())


def duration_column(query: PostgresQuery) -> str:
    """Return the column with the count of what lasts longer than the rule says."""
    return f"{query.measure}_{threshold(query):g}"


def threshold(query: PostgresQuery) -> float:
    """Return the seconds that a slow query, or an idle transaction, must have lasted."""
    return query.longer_than if query.longer_than is not None else SLOW if query.measure == "slow_queries" else 0.0


def text_column(text: str, texts: Collection[str]) -> str:
    """Return the suffix of the columns with the statements that contain this text."""
    return f"_{sorted(texts).index(text)}"


def texts_of(queries: Collection[PostgresQuery]) -> list[str]:
    """Return the texts that statements are looked for, each once."""
    return sorted({query.query for query in queries if query.query is not None})


def _sessions(queries: Collection[PostgresQuery]) -> str:
    """Return the part of pg_stat_activity, with a column for each duration that a rule asks for."""
    columns = {}
    for query in queries:
        if query.measure in ("slow_queries", "idle_in_transaction"):
            since, states = ("query_start", "= 'active'")
            if query.measure == "idle_in_transaction":
                since, states = "state_change", "in ('idle in transaction', 'idle in transaction (aborted)')"
            columns[duration_column(query)] = (
                f"count(*) filter (where state {states} and not own "
                f"and now() - {since} >= {threshold(query):.6f} * interval '1 second')"
            )
    waiting = "false"
    if any(query.measure == "locks_waiting" for query in queries):
        waiting = "pid in (select l.pid from pg_locks l where not l.granted)"
    more = "".join(f',\n    {count} as "{name}"' for name, count in columns.items())
    return _SESSIONS.format(columns=more, waiting=waiting)


def _sizes(queries: Collection[PostgresQuery]) -> str:
    """Return the part of sizes; only of the databases that are meant, since each is a walk through its files."""
    meant = [query.split().get("database") for query in queries if query.measure == "database_size"]
    names = sorted({name for each in meant for name in each or ()})
    only = "" if None in meant else f"and datname in ({', '.join(map(literal, names))})"
    return _SIZES.format(only=only)


def _statements(queries: Collection[PostgresQuery], schema: str, version: str) -> str:
    """Return the part of pg_stat_statements; 1.8 has other columns than 1.7, and 1.9 says when it was reset."""
    numbers = tuple(int(number) for number in version.split(".")[:2] if number.isdecimal())
    time = "total_exec_time" if numbers >= (1, 8) else "total_time"
    place = '"' + schema.replace('"', '""') + '"'
    reset = f"(select extract(epoch from stats_reset) from {place}.pg_stat_statements_info)"  # noqa: S608 - quoted.
    columns = ""
    for number, text in enumerate(texts_of(queries)):
        contains = f"filter (where position({literal(text.lower())} in lower(p.query)) > 0)"
        columns += f', coalesce(sum(p.calls) {contains}, 0) as "calls_{number}"'
        columns += f', coalesce(sum(p.{time}) {contains}, 0) / 1000.0 as "seconds_{number}"'
    # Without a text to look for, the file with the texts is not read.
    source = f"{place}.pg_stat_statements({'true' if columns else 'false'})"
    return _STATEMENTS.format(reset=reset if numbers >= (1, 9) else "null", time=time, source=source, columns=columns)


def literal(text: str) -> str:
    """Return a text as an SQL literal that no setting of the server reads otherwise."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\x00", "")
    return f"E'{escaped}'"
