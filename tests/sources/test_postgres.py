"""The source `postgres` against a real server, and against bad weather."""

import asyncio
import errno
import os
import pwd
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, get_args
from urllib.parse import urlsplit

import psycopg
import pytest
import trustme

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources import pgwire, pgwire_faults, pgwire_held, postgres_query, postgres_statement
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.postgres import PostgresSource
from evaluator.testing import poolers, servers
from evaluator.testing.peers import nobody, peer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run

PASSWORD = "s3cret-postgres-password"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server with pg_stat_statements, few slots, and the role of the documentation."""
    with servers.postgres(
        shared_preload_libraries="pg_stat_statements", max_connections="20", max_wal_senders="2"
    ) as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
            admin.execute(f"CREATE ROLE evaluator LOGIN PASSWORD '{PASSWORD}'")
            admin.execute("GRANT pg_monitor TO evaluator")
            admin.execute("CREATE ROLE app LOGIN PASSWORD 'app' CONNECTION LIMIT 4")
            admin.execute("CREATE ROLE blind LOGIN PASSWORD 'blind'")
            admin.execute("CREATE DATABASE shop")
            admin.execute("CREATE TABLE orders (id int primary key, state text)")
            admin.execute("INSERT INTO orders VALUES (1, 'new'), (2, 'new'), (3, 'sent')")
            admin.execute("GRANT SELECT ON orders TO evaluator")
        yield url


@pytest.fixture
def admin(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def as_role(url: str, role: str, password: str | None = None, database: str = "postgres") -> str:
    place = urlsplit(url).netloc.rpartition("@")[2]
    return f"postgresql://{role}:{password or 'any-password'}@{place}/{database}"


def monitor(url: str) -> str:
    return as_role(url, "evaluator", PASSWORD)


def ask(url: str, *queries: Mapping[str, Any] | str, **settings: object) -> list[PollResult]:
    source = build(PostgresSource, {"url": url, "timeout": "3s", **settings})
    answers: list[list[PollResult]] = run(polled(source, asked(*queries)))
    return answers[0]


def asked(*queries: Mapping[str, Any] | str) -> list[Any]:
    return [query(PostgresSource, {"measure": each} if isinstance(each, str) else each) for each in queries]


def sql(text: str, **more: object) -> dict[str, Any]:
    return {"measure": "sql", "sql": text, **more}


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


def series(result: PollResult, *labels: str) -> dict[Any, float]:
    assert isinstance(result, Samples), result
    keys = [tuple(row[label] for label in labels) if len(labels) > 1 else row[labels[0]] for row in result.labels]
    return dict(zip(keys, result.values, strict=True))


def failure(result: PollResult) -> PollFailed:
    assert isinstance(result, PollFailed), result
    return result


class TestConformance(RemoteSourceConformance):
    kind = PostgresSource
    queries = (
        {"measure": "connections", "by": ["database", "state"]},
        {"measure": "connections_percent"},
        {"measure": "longest_transaction"},
        {"measure": "idle_in_transaction", "longer_than": "1m"},
        {"measure": "locks_waiting", "user": "app"},
        {"measure": "database_size", "database": ["postgres", "shop"]},
        {"measure": "deadlocks"},
        {"measure": "xid_age_percent"},
        {"measure": "sql", "sql": "SELECT state, count(*) AS value FROM orders GROUP BY state"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (PASSWORD,)
    bad_query = MappingProxyType({"measure": "sql", "sql": "SELECT nonsense FROM orders"})
    many = tuple({"measure": "slow_queries", "longer_than": f"{number}s"} for number in range(1, 101))
    most_requests = 1
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _server(self, server: str) -> None:
        type(self).url = server

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"postgresql://evaluator:{PASSWORD}@{host}:{port}/postgres"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        yield {"url": monitor(self.url)}


@contextmanager
def sessions(url: str, *urls: str) -> Iterator[list[psycopg.Connection]]:
    """Hold a connection to each address."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(each)) for each in (url, *urls)]


def connected(url: str) -> psycopg.Connection:
    """Connect; the server may still be ending the sessions of the test before."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def soon(look: Callable[[], PollResult], wanted: Callable[[list[float]], bool]) -> list[float]:
    """Look until it is as wanted, and return what was seen last."""
    deadline = time.monotonic() + 5
    while not wanted(seen := values(look())) and time.monotonic() < deadline:
        time.sleep(0.03)
    return seen


def test_connections_by_database_user_and_state(server: str) -> None:
    shop = as_role(server, "app", database="shop")
    with sessions(shop, shop, as_role(server, "app")):
        total, databases, users, one, both, idle = ask(
            monitor(server),
            "connections",
            {"measure": "connections", "by": ["database"]},
            {"measure": "connections", "by": ["user"]},
            {"measure": "connections", "database": "shop"},
            {"measure": "connections", "database": "shop", "user": ["app", "blind"]},
            {"measure": "connections", "user": "app", "state": ["idle", "active"]},
        )
    assert values(total) == [4.0]
    assert series(databases, "database") == {"postgres": 2.0, "shop": 2.0, "template1": 0.0}
    assert series(users, "user") == {"app": 3.0, "blind": 0.0, "evaluator": 1.0, "postgres": 0.0}
    assert series(one, "database") == {"shop": 2.0}
    assert series(both, "user") == {"app": 2.0, "blind": 0.0}
    assert series(idle, "state") == {"idle": 3.0, "active": 0.0}
    assert idle.labels[0] == {"user": "app", "state": "idle"}  # type: ignore[union-attr] # It is Samples.


def test_percent_is_of_what_ordinary_roles_may_use_or_of_a_tighter_limit(
    server: str, admin: psycopg.Connection
) -> None:
    app = as_role(server, "app")
    admin.execute("ALTER DATABASE shop CONNECTION LIMIT 2")
    with sessions(app, app, as_role(server, "app", database="shop")):
        total, limited, by, shop = ask(
            monitor(server),
            "connections_percent",
            {"measure": "connections_percent", "user": "app"},
            {"measure": "connections_percent", "by": ["user"]},
            {"measure": "connections_percent", "database": "shop"},
        )
    admin.execute("ALTER DATABASE shop CONNECTION LIMIT -1")
    # 20 slots, 3 of them for superusers; used: three of app, the admin's, our own.
    assert values(total) == [pytest.approx(100 * 5 / 17)]
    assert series(limited, "user") == {"app": 75.0}
    assert series(by, "user")["evaluator"] == pytest.approx(100 / 17)
    assert series(shop, "database") == {"shop": 50.0}


def test_names_that_the_server_does_not_have_are_warned_of(server: str) -> None:
    (answer,) = ask(monitor(server), {"measure": "connections", "database": ["shop", "nope"], "user": "who"})
    assert values(answer) == []
    assert answer.warnings == ("there is no database nope", "there is no role who")  # type: ignore[union-attr] # Samples.


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    """A server with four slots for ordinary roles, and two for superusers."""
    with servers.postgres(max_connections="6", superuser_reserved_connections="2", max_wal_senders="0") as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE ROLE evaluator LOGIN; GRANT pg_monitor TO evaluator; CREATE ROLE app LOGIN")
            admin.execute("CREATE ROLE lonely LOGIN CONNECTION LIMIT 1")
            admin.execute("CREATE DATABASE closed CONNECTION LIMIT 0")
        yield url


FULL = ("connections_percent", "up", "connections", {"measure": "connections_percent", "by": ["database"]})


@pytest.mark.parametrize("reserve", [False, True])
def test_when_all_slots_are_in_use_that_is_the_answer(small: str, reserve: bool) -> None:
    async def story() -> tuple[list[PollResult], list[PollResult], list[Checkup]]:
        source = build(PostgresSource, {"url": as_role(small, "evaluator"), "timeout": "3s"})
        await source.open()
        await source.poll(asked(*FULL), 0)
        app = as_role(small, "app")
        with sessions(app, app, app, *([small, small] if reserve else [])):
            held = await source.poll(asked(*FULL), 0)
            late = await asyncio.to_thread(ask, as_role(small, "evaluator"), *FULL)
            found = await source.examine([], 0)  # type: ignore[attr-defined] # The source has it.
        await source.close()
        return held, late, found

    held, late, (found,) = run(story())
    # Who holds a connection still sees everything.
    assert values(held[0]) == [150.0 if reserve else 100.0]
    assert values(held[2]) == [6.0 if reserve else 4.0]
    # Who comes now sees only that.
    assert values(late[0]) == [100.0]
    assert isinstance(late[0], Samples)
    assert ("too many clients" if reserve else "reserved") in late[0].warnings[0]
    assert values(late[1]) == [1.0]
    for answer in late[2:]:
        assert failure(answer).reason is FailureReason.UNAVAILABLE
        assert "all connections are in use" in failure(answer).message
    assert found.grade is Grade.WRONG
    assert "pg_use_reserved_connections" in found.mend


def test_a_limit_of_our_own_role_or_database_is_not_a_full_server(small: str) -> None:
    lonely = as_role(small, "lonely")
    with sessions(lonely):
        percent, up = ask(lonely, "connections_percent", "up")
    assert failure(percent).reason is FailureReason.UNAVAILABLE
    assert "our role may have no more connections" in failure(percent).message
    assert values(up) == [1.0]
    (percent,) = ask(as_role(small, "app", database="closed"), "connections_percent")
    assert "our database may have no more connections" in failure(percent).message


def refusing(sqlstate: str, text: str, routine: str) -> bytes:
    """Return how a server refuses a connection, in its own language."""
    body = f"SSCHWERWIEGEND\0VFATAL\0C{sqlstate}\0M{text}\0R{routine}\0\0".encode()
    return b"E" + (4 + len(body)).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("sqlstate", "routine", "percent", "up"),
    [
        ("53300", "InitProcess", [100.0], [1.0]),
        ("53300", "InitializeSessionUserId", FailureReason.UNAVAILABLE, [1.0]),
        ("57P03", "ProcessStartupPacket", FailureReason.UNAVAILABLE, [0.0]),
        ("28P01", "auth_failed", FailureReason.AUTH, FailureReason.AUTH),
        ("XX000", "whatever", FailureReason.UNAVAILABLE, FailureReason.UNAVAILABLE),
    ],
)
def test_what_a_server_says_is_understood_in_every_language(
    sqlstate: str, routine: str, percent: object, up: object
) -> None:
    with peer(refusing(sqlstate, "tut mir leid, schon zu viele Verbindungen", routine), "close") as german:
        url = f"postgresql://evaluator:{PASSWORD}@127.0.0.1:{german.port}/postgres?sslmode=disable"
        answers = ask(url, "connections_percent", "up")
    for answer, wanted in zip(answers, (percent, up), strict=True):
        seen = answer.reason if isinstance(answer, PollFailed) else values(answer)
        assert seen == wanted, answer
        said = answer.message if isinstance(answer, PollFailed) else answer.warnings[0]
        assert "schon zu viele Verbindungen" in said
        assert PASSWORD not in said


def test_what_the_last_address_of_a_name_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str) -> dict[str, str]:
        return {"host": f"{host},{host}", "hostaddr": "127.0.0.2,127.0.0.1"}

    monkeypatch.setattr(pgwire, "_addresses", both)
    with peer(refusing("53300", "désolé, trop de clients sont déjà connectés", "InitProcess"), "close") as french:
        answers = ask(f"postgresql://e@database:{french.port}/x?sslmode=disable", "connections_percent", "up")
    assert [values(each) for each in answers] == [[100.0], [1.0]]


@pytest.mark.parametrize("word", ["starting up", "shutting down", "in recovery mode", "not yet accepting connections"])
def test_a_server_that_lets_nobody_in_is_down(word: str) -> None:
    with peer(refusing("57P03", f"the database system is {word}", "ProcessStartupPacket"), "close") as busy:
        up, connections = ask(f"postgresql://e@127.0.0.1:{busy.port}/x?sslmode=disable", "up", "connections")
        assert busy.connections == 1
    assert values(up) == [0.0]
    assert word in up.warnings[0]  # type: ignore[union-attr] # It is Samples.
    assert failure(connections).reason is FailureReason.UNAVAILABLE


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ("nobody:pw@{place}/postgres", FailureReason.AUTH, "does not exist"),
        ("evaluator:pw@{place}/nope", FailureReason.UNAVAILABLE, "mend `database`"),
    ],
)
def test_settings_that_the_server_does_not_know_are_named(
    server: str, change: str, reason: FailureReason, said: str
) -> None:
    place = as_role(server, "x").partition("@")[2].partition("/")[0]
    for answer in ask(f"postgresql://{change.format(place=place)}", "up", "connections"):
        assert failure(answer).reason is reason
        assert said in failure(answer).message


def test_transactions_queries_and_locks(server: str, admin: psycopg.Connection) -> None:
    app = as_role(server, "app")
    admin.execute("GRANT ALL ON orders TO app")
    measures = (
        "longest_transaction",
        "idle_in_transaction",
        {"measure": "idle_in_transaction", "longer_than": "1h"},
        "longest_query",
        {"measure": "slow_queries", "longer_than": "100ms", "by": ["user"]},
        "slow_queries",
        {"measure": "locks_waiting", "by": ["database"]},
    )
    assert [values(each) for each in ask(monitor(server), *measures[:4])] == [[0.0], [0.0], [0.0], [0.0]]
    with sessions(app, app) as (first, second):
        first.execute("BEGIN")
        first.execute("UPDATE orders SET state = 'mine' WHERE id = 1")
        waits = threading.Thread(target=second.execute, args=("SELECT 1 FROM orders WHERE id = 1 FOR UPDATE",))
        waits.start()
        time.sleep(0.25)
        transaction, idle, idle_long, longest, slow, slow_default, locks = ask(monitor(server), *measures)
        first.execute("ROLLBACK")
        waits.join()
    assert 0.2 < values(transaction)[0] < 3
    assert values(idle) == [1.0]
    assert values(idle_long) == [0.0]
    assert 0.1 < values(longest)[0] < 3
    assert series(slow, "user")["app"] == 1.0
    assert values(slow_default) == [0.0]
    assert series(locks, "database") == {"postgres": 1.0, "shop": 0.0, "template1": 0.0}


def test_a_role_that_may_not_see_others_is_told_so_and_never_reads_too_low(server: str) -> None:
    app = as_role(server, "app")
    with sessions(app, app, as_role(server, "app", database="shop")) as (first, *_):
        first.execute("BEGIN")
        total, users, percent, state, longest, idle, locks, up, size = ask(
            as_role(server, "blind"),
            "connections",
            {"measure": "connections", "by": ["user"]},
            "connections_percent",
            {"measure": "connections", "by": ["state"]},
            "longest_transaction",
            "idle_in_transaction",
            "locks_waiting",
            "up",
            "database_size",
        )
        first.execute("ROLLBACK")
    assert values(total) == [4.0]
    assert series(users, "user")["app"] == 3.0
    assert values(percent) == [pytest.approx(100 * 4 / 17)]
    for answer in (total, users, percent, locks):
        assert "GRANT pg_monitor TO blind" in answer.warnings[0]  # type: ignore[union-attr] # It is Samples.
    for answer in (state, longest, idle):
        assert failure(answer).reason is FailureReason.AUTH
        assert "GRANT pg_monitor TO blind" in failure(answer).message
    assert values(locks) == [0.0]
    assert values(up) == [1.0]
    assert values(size)[0] > 1_000_000


async def polls(
    url: str, queries: list[Any], *between: Callable[[], object], **settings: object
) -> list[list[PollResult]]:
    """Poll, and again after each of these happened."""
    source = build(PostgresSource, {"url": url, "timeout": "3s", **settings})
    await source.open()
    found = [await source.poll(queries, 0)]
    for happen in between:
        await asyncio.to_thread(happen)
        await asyncio.sleep(0.55)
        found.append(await source.poll(queries, 0))
    await source.close()
    return found


def test_query_time_is_the_mean_between_two_polls(server: str, admin: psycopg.Connection) -> None:
    app = as_role(server, "app")

    def work(seconds: float) -> None:
        with psycopg.connect(app, autocommit=True) as connection:
            for _ in range(3):
                connection.execute(f"SELECT pg_sleep({seconds})")

    def reset() -> None:
        admin.execute("SELECT pg_stat_statements_reset()")
        work(0.01)

    wanted = asked(
        {"measure": "query_time", "query": "PG_SLEEP", "user": "app"},
        {"measure": "query_time", "query": "no such text"},
        {"measure": "query_time", "by": ["database"]},
    )
    steps = (lambda: work(0.05), lambda: None, lambda: work(0.1), reset, lambda: work(0.02))
    found = run(polls(monitor(server), wanted, *steps))
    sleeps = [values(each[0]) for each in found]
    # The first poll has nothing before it; nothing was called before the third; the fifth follows a reset.
    assert sleeps[0] == sleeps[2] == sleeps[4] == []
    for seconds, (mean,) in zip((0.05, 0.1, 0.02), (sleeps[1], sleeps[3], sleeps[5]), strict=True):
        assert seconds <= mean < seconds + 0.2
    assert isinstance(found[1][0], Samples)
    assert found[1][0].labels == [{"user": "app"}]
    assert [values(each[1]) for each in found] == [[]] * 6
    assert series(found[1][2], "database")["postgres"] > 0


def test_without_pg_stat_statements_a_rule_is_told_how_to_make_it(server: str, postgres_url: str) -> None:
    nowhere, up = ask(as_role(server, "evaluator", PASSWORD, "shop"), "query_time", "up")
    assert failure(nowhere).reason is FailureReason.BAD_QUERY
    assert "CREATE EXTENSION pg_stat_statements" in failure(nowhere).message
    assert values(up) == [1.0]
    # The extension is there, but the server has not loaded it: only who needs it fails.
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        try:
            unloaded, up = ask(postgres_url, "query_time", "up")
        finally:
            admin.execute("DROP EXTENSION pg_stat_statements")
    assert "shared_preload_libraries" in failure(unloaded).message
    assert values(up) == [1.0]


def test_an_extension_that_is_made_later_is_found(server: str, admin: psycopg.Connection) -> None:
    def make() -> None:
        with psycopg.connect(as_role(server, "postgres", database="shop"), autocommit=True) as connection:
            connection.execute('CREATE SCHEMA "Odd"; CREATE EXTENSION pg_stat_statements SCHEMA "Odd"')
            connection.execute('GRANT USAGE ON SCHEMA "Odd" TO evaluator')

    def drop() -> None:
        with psycopg.connect(as_role(server, "postgres", database="shop"), autocommit=True) as connection:
            connection.execute('DROP SCHEMA "Odd" CASCADE')

    shop = as_role(server, "evaluator", PASSWORD, "shop")
    found = run(polls(shop, asked("query_time", "connections"), make, lambda: None, drop))
    assert isinstance(found[0][0], PollFailed)
    assert isinstance(found[1][0], Samples)
    assert values(found[2][0])[0] > 0
    assert isinstance(found[3][0], PollFailed)
    assert all(isinstance(each[1], Samples) for each in found)


def test_counts_grow_between_polls(server: str, admin: psycopg.Connection) -> None:
    def roll_back() -> None:
        with psycopg.connect(as_role(server, "app", database="shop"), autocommit=True) as connection:
            for _ in range(5):
                connection.execute("BEGIN")
                connection.execute("SELECT 1")
                connection.execute("ROLLBACK")
            connection.execute("SET work_mem = '64kB'")
            connection.execute("SELECT count(*) FROM (SELECT g FROM generate_series(1, 50000) g ORDER BY -g) s")

    wanted = asked(
        {"measure": "rollbacks", "per": "1h", "database": ["shop", "template1"]},
        {"measure": "temp_bytes", "per": "1h"},
        {"measure": "rollbacks"},
        {"measure": "cache_hit_ratio"},
        {"measure": "deadlocks", "by": ["database"]},
    )
    first, second = run(polls(monitor(server), wanted, roll_back))
    assert values(first[0]) == values(first[1]) == values(first[3]) == []
    assert series(second[0], "database")["shop"] > 1000
    assert series(second[0], "database")["template1"] == 0
    assert values(second[1])[0] > 1_000_000
    assert values(second[2])[0] >= values(first[2])[0] + 5
    assert 0.5 < values(second[3])[0] <= 1
    assert series(second[4], "database")["shop"] == 0


def test_sizes_and_ages(server: str) -> None:
    size, sizes, age, ages = ask(
        monitor(server),
        {"measure": "database_size", "database": "shop"},
        "database_size",
        "xid_age_percent",
        {"measure": "xid_age_percent", "by": ["database"]},
    )
    assert 1_000_000 < values(size)[0] < values(sizes)[0]
    assert 0 <= values(age)[0] < 1
    assert set(series(ages, "database")) == {"postgres", "shop", "template0", "template1"}


def test_own_sql_gives_a_value_and_labels(server: str) -> None:
    states, one, empty, odd, kinds, unicode = ask(
        monitor(server),
        sql("SELECT state, count(*) AS value FROM orders GROUP BY state;"),
        sql("SELECT count(*) FROM orders WHERE state LIKE '%s%' -- a comment"),
        sql("SELECT id::text AS id, 1 AS value FROM orders WHERE false"),
        sql("SELECT NULL::float"),
        sql("SELECT true AS value, NULL AS nothing, 1.5::numeric AS number, now()::date > '2020-01-01' AS truth"),
        sql("VALUES (7)"),
    )
    assert series(states, "state") == {"new": 2.0, "sent": 1.0}
    assert values(one) == [1.0]
    assert values(empty) == []
    assert len(values(odd)) == 1
    assert values(odd)[0] != values(odd)[0]
    assert kinds.labels == [{"nothing": "", "number": "1.5", "truth": "t"}]  # type: ignore[union-attr] # It is Samples.
    assert values(kinds) == [1.0]
    assert values(unicode) == [7.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 AS a, 2 AS b", "must be called `value`"),
        ("SELECT 1 AS value, 2 AS value", "must be called `value`"),
        ("SELECT 1 AS value, 2 AS a, 3 AS a", "the same name"),
        ("SELECT 'abc' AS value", "not a number"),
        ("SELECT state, 1 AS value FROM orders", "same labels"),
        ("SELECT 1/0", "division by zero"),
        ("SELECT FROM orders", "gives no column"),
        # Attempts to write.
        ("DELETE FROM orders", "syntax error"),
        ("DELETE FROM orders RETURNING id", "syntax error"),
        ("SELECT 1; DELETE FROM orders", "multiple commands"),
        ("SELECT 1; COMMIT; DELETE FROM orders", "multiple commands"),
        ("COMMIT", "syntax error"),
        ("WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone", "data-modifying"),
        ("DO $$ BEGIN DELETE FROM orders; END $$", "syntax error"),
        ("CALL anything()", "syntax error"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "read-write mode"),
        ("SELECT deletes()", "read-only transaction"),
        ("SELECT nextval('numbers')", "read-only transaction"),
        ("SELECT id FROM orders FOR UPDATE", "read-only transaction"),
    ],
)
def test_a_statement_that_cannot_be_judged_or_would_write_is_refused(
    server: str, admin: psycopg.Connection, text: str, said: str
) -> None:
    admin.execute(
        "CREATE OR REPLACE FUNCTION deletes() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS "
        "$$ BEGIN DELETE FROM orders; RETURN 1; END $$"
    )
    admin.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
    # As a superuser, so that nothing but the transaction is in the way.
    wrong, right, up = ask(server, sql(text), sql("SELECT count(*) FROM orders"), "up")
    assert failure(wrong).reason is FailureReason.BAD_QUERY, wrong
    assert said in failure(wrong).message
    assert values(right) == [3.0]
    assert values(up) == [1.0]
    assert admin.execute("SELECT count(*) FROM orders").fetchone() == (3,)


def test_what_a_statement_sets_does_not_outlive_it(server: str) -> None:
    setting = sql("SELECT set_config('default_transaction_read_only', 'off', false)::bool::int AS value")
    now = sql("SELECT (current_setting('default_transaction_read_only') = 'on')::int AS value")
    first, second = run(polls(server, asked(setting, now), lambda: None))
    assert values(first[0]) == [0.0]
    assert values(first[1]) == values(second[1]) == [1.0]


def test_a_statement_that_the_role_may_not_run_names_what_is_missing(server: str, admin: psycopg.Connection) -> None:
    admin.execute("CREATE TABLE IF NOT EXISTS secrets (id int)")
    (answer,) = ask(monitor(server), sql("SELECT count(*) FROM secrets"))
    assert failure(answer).reason is FailureReason.AUTH
    assert "permission denied for table secrets" in failure(answer).message


def test_rows_are_bounded(server: str) -> None:
    many = "SELECT g::text AS g, g AS value FROM generate_series(1, {}) g"
    begin = time.monotonic()
    fits, too_many, endless = ask(
        monitor(server),
        sql(many.format(50), max_rows=50),
        sql(many.format(51), max_rows=50),
        sql(many.format(10**9), statement_timeout="300ms"),
    )
    assert len(values(fits)) == 50
    for answer in (too_many, endless):
        assert failure(answer).reason in (FailureReason.TOO_BIG, FailureReason.TIMEOUT)
    assert failure(too_many).reason is FailureReason.TOO_BIG
    assert time.monotonic() - begin < 4


def test_a_slow_statement_is_a_timeout_for_itself_only(server: str) -> None:
    slow, other, up = ask(
        monitor(server), sql("SELECT pg_sleep(30)", statement_timeout="200ms"), sql("SELECT 5"), "connections"
    )
    assert failure(slow).reason is FailureReason.TIMEOUT
    assert "statement timeout" in failure(slow).message
    assert "0.2 s" in failure(slow).message
    assert values(other) == [5.0]
    assert isinstance(up, Samples)


def test_slow_statements_keep_neither_the_measures_nor_each_other_waiting_for_ever(server: str) -> None:
    naps = [sql(f"SELECT pg_sleep(0.35)::text IS NULL AS value, '{number}' AS n") for number in range(4)]

    async def story() -> tuple[list[list[PollResult]], float]:
        source = build(PostgresSource, {"url": monitor(server), "timeout": "900ms"})
        await source.open()
        begin = time.monotonic()
        found = [await source.poll(asked("connections", *naps), 0) for _ in range(2)]
        took = time.monotonic() - begin
        await source.close()
        return found, took

    found, took = run(story())
    assert took < 2 * 0.9 + 0.5
    for answers in found:
        assert isinstance(answers[0], Samples)
        late = [failure(each) for each in answers[1:] if isinstance(each, PollFailed)]
        assert {each.reason for each in late} == {FailureReason.TIMEOUT}
        assert "before this one" in " ".join(each.message for each in late)
    # Two fit into a poll; the next poll begins with the one that was not reached.
    assert all(isinstance(each, Samples) for each in found[0][1:3])
    assert isinstance(found[1][4], Samples)


def test_a_connection_that_was_cut_is_made_again_within_the_poll(server: str, admin: psycopg.Connection) -> None:
    def cut() -> None:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'evaluator'")

    wanted = asked("up", "connections", sql("SELECT 1"))
    for answers in run(polls(monitor(server), wanted, cut, cut)):
        assert all(isinstance(each, Samples) for each in answers), answers


def test_a_statement_that_kills_its_own_connection_spoils_only_itself(server: str) -> None:
    dies, lives, up = ask(server, sql("SELECT pg_terminate_backend(pg_backend_pid())::int"), sql("SELECT 1"), "up")
    assert failure(dies).reason is FailureReason.RESET
    assert values(lives) == [1.0]
    assert values(up) == [1.0]


def test_a_server_that_was_killed_and_started_again_is_asked_at_once() -> None:
    port = nobody()

    async def story() -> list[float]:
        source = build(PostgresSource, {"url": f"postgresql://postgres@127.0.0.1:{port}/postgres", "timeout": "3s"})
        await source.open()
        seen = []
        for _ in range(2):
            with servers.postgres(port=port) as url:
                seen += values((await source.poll(asked("up", sql("SELECT 1")), 0))[0])
                with psycopg.connect(url, autocommit=True) as admin:
                    ours = admin.execute(
                        "SELECT pid FROM pg_stat_activity WHERE application_name = 'evaluator'"
                    ).fetchall()
                for (pid,) in ours:
                    os.kill(pid, signal.SIGKILL)
                # The whole server recovers from that, and lets nobody in meanwhile.
                deadline = time.monotonic() + 10
                states = []
                while time.monotonic() < deadline:
                    (up,) = await source.poll(asked("up"), 0)
                    states += values(up)
                    if states[-1:] == [1.0]:
                        break
                    await asyncio.sleep(0.01)
                assert set(states) <= {0.0, 1.0}
                seen += states[-1:]
            seen += values((await source.poll(asked("up"), 0))[0])
        await source.close()
        return seen

    assert run(story()) == [1.0, 1.0, 0.0] * 2


def test_a_server_that_hangs_is_a_timeout_and_nothing_late_is_taken_for_an_answer(
    server: str, admin: psycopg.Connection
) -> None:
    ours = "SELECT pid FROM pg_stat_activity WHERE usename = 'evaluator'"

    async def story() -> list[list[PollResult]]:
        source = build(PostgresSource, {"url": monitor(server), "timeout": "600ms"})
        await source.open()
        wanted = asked("up", "connections", sql("SELECT 1"))
        found = [await source.poll(wanted, 0)]
        stopped = [pid for (pid,) in admin.execute(ours)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        try:
            found.append(await source.poll(wanted, 0))
            assert time.monotonic() - begin < 1
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        found.append(await source.poll(wanted, 0))
        await source.close()
        return found

    before, hung, after = run(story())
    assert values(hung[0]) == [0.0]
    assert {failure(each).reason for each in hung[1:]} == {FailureReason.TIMEOUT}
    for answers in (before, after):
        assert values(answers[0]) == [1.0]
        assert values(answers[2]) == [1.0]


def test_a_poll_is_one_round_trip_however_many_rules_there_are(server: str) -> None:
    async def story() -> list[Mapping[str, float]]:
        source = build(PostgresSource, {"url": monitor(server)})
        await source.open()
        every = [each for each in get_args(postgres_query.Measure) if each != "sql"]
        wanted = asked(*every, *({"measure": "connections", "database": f"d{number}"} for number in range(500)))
        used = []
        for _ in range(3):
            answers = await source.poll(wanted, 0)
            assert all(isinstance(each, Samples) for each in answers), answers
            used.append(source.usage())  # type: ignore[attr-defined] # The source has it.
        await source.close()
        return used

    first, second, third = run(story())
    # The first poll does not know yet where pg_stat_statements is.
    assert first == {"requests": 2.0, "connections": 1.0}
    assert second["requests"] - first["requests"] == third["requests"] - second["requests"] == 1.0
    assert third["connections"] == 1.0


def documented(language: str) -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "sources" / "postgres.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_role_of_the_page_may_do_everything() -> None:
    (block,) = documented("sql")
    with servers.postgres(shared_preload_libraries="pg_stat_statements") as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id int)")
            admin.execute(block.encode())
            admin.execute("GRANT SELECT ON orders TO evaluator")
        wanted: list[dict[str, Any]] = [
            *({"measure": measure} for measure in get_args(postgres_query.Measure) if measure != "sql"),
            sql("SELECT count(*) FROM orders"),
            {"measure": "query_time", "query": "select", "by": ["user"]},
            {"measure": "connections", "by": ["database", "user", "state"]},
        ]
        role = as_role(url, "evaluator", "PASSWORD")
        for one, answer in zip(wanted, ask(role, *wanted), strict=True):
            assert isinstance(answer, Samples), (one, answer)
            assert not answer.warnings, (one, answer)
        found = examined(role, *wanted)
    assert {each.grade for each in found} == {Grade.FINE}, found
    assert any("evaluator is no superuser" in each.found for each in found)


def examined(url: str, *queries: Mapping[str, Any] | str, **settings: object) -> list[Checkup]:
    async def look() -> list[Checkup]:
        source = build(PostgresSource, {"url": url, "timeout": "3s", **settings})
        await source.open()
        try:
            return await source.examine(asked(*queries), 0)  # type: ignore[attr-defined,no-any-return] # It has it.
        finally:
            await source.close()

    found: list[Checkup] = run(look())
    return found


def test_doctor_says_what_to_grant(server: str, admin: psycopg.Connection) -> None:
    admin.execute("CREATE TABLE IF NOT EXISTS secrets (id int)")
    found = {
        each.subject: each
        for each in examined(
            as_role(server, "blind", database="postgres"),
            "longest_transaction",
            sql("SELECT count(*) FROM secrets"),
            sql("SELECT 1 AS a, 2 AS b"),
            sql("SELECT pg_sleep(60)"),
        )
    }
    assert found["connection"].grade is Grade.FINE
    assert "PostgreSQL 1" in found["connection"].found
    assert found["permission pg_monitor"].grade is Grade.WRONG
    assert found["permission pg_monitor"].mend == "GRANT pg_monitor TO blind"
    assert found["query SELECT count(*) FROM secrets"].mend == "GRANT SELECT on what it reads TO blind"
    assert "called `value`" in found["query SELECT 1 AS a, 2 AS b"].found
    # It is planned, and not run.
    assert found["query SELECT pg_sleep(60)"].grade is Grade.FINE
    assert "17 of max_connections = 20" in found["slots"].found


def test_doctor_warns_of_a_superuser_and_asks_for_the_extension(server: str, small: str) -> None:
    found = {each.subject: each for each in examined(server, "query_time")}
    assert found["role"].grade is Grade.WARNING
    assert "CREATE ROLE evaluator" in found["role"].mend
    assert found["extension pg_stat_statements"].grade is Grade.FINE
    without = {each.subject: each for each in examined(small, "query_time")}
    assert without["extension pg_stat_statements"].grade is Grade.WRONG
    assert "CREATE EXTENSION" in without["extension pg_stat_statements"].mend
    lonely = {each.subject: each for each in examined(as_role(small, "lonely"))}
    assert lonely["role"].mend == "ALTER ROLE lonely CONNECTION LIMIT 3"
    assert lonely["permission pg_monitor"].grade is Grade.WARNING


@contextmanager
def standby(primary: str) -> Iterator[str]:
    """Run a streaming replica of a server."""
    place = urlsplit(primary)
    folders = [str(each) for each in Path("/usr/lib/postgresql").glob("*/bin")]
    backup, program = (servers.binary(name, "postgresql", folders) for name in ("pg_basebackup", "postgres"))
    become: list[str] = []
    with servers.folder() as home:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(home, owner.pw_uid, owner.pw_gid)
            become = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        target = f"host=127.0.0.1 port={place.port} user=postgres application_name=standby-1"
        copy = [*become, backup, "-D", str(home / "data"), "-R", "-X", "stream", "-c", "fast", "-d", target]
        subprocess.run(copy, check=True, capture_output=True, timeout=30, cwd=home)
        port = nobody()
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "hot_standby=on"]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

        def ready() -> bool:
            try:
                psycopg.connect(url, connect_timeout=1).close()
            except psycopg.OperationalError:
                return False
            return True

        with servers.process(
            [*become, program, "-D", str(home / "data"), *options], ready, home / "log", signal.SIGINT
        ):
            yield url


def test_a_standby_and_its_primary_know_how_far_it_is_behind() -> None:
    lags = ("replication_lag", "replication_lag_bytes", "up")
    with (
        servers.postgres(wal_level="replica", max_wal_senders="4") as primary,
        psycopg.connect(primary, autocommit=True) as admin,
    ):
        assert [values(each) for each in ask(primary, *lags)] == [[], [], [1.0]]
        with standby(primary) as replica:
            # Else what is committed is written a little later.
            admin.execute("SET synchronous_commit = local")
            admin.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)")
            assert soon(lambda: ask(replica, "replication_lag")[0], lambda seen: seen == [0.0]) == [0.0]
            assert soon(lambda: ask(primary, "replication_lag_bytes")[0], lambda seen: seen == [0.0]) == [0.0]
            seconds, size, _ = ask(primary, *lags)
            assert series(seconds, "standby")["standby-1"] < 5
            assert list(series(size, "standby")) == ["standby-1"]
            # It receives, and does not replay.
            with psycopg.connect(replica, autocommit=True) as other:
                other.execute("SELECT pg_wal_replay_pause()")
                admin.execute("INSERT INTO t SELECT generate_series(1, 5000)")
                assert soon(lambda: ask(replica, "replication_lag_bytes")[0], lambda seen: seen > [0.0]) > [0.0]
                assert values(ask(replica, "replication_lag")[0])[0] > 0
                assert soon(lambda: ask(primary, "replication_lag_bytes")[0], lambda seen: seen > [0.0]) > [0.0]
                other.execute("SELECT pg_wal_replay_resume()")
            assert soon(lambda: ask(replica, "replication_lag")[0], lambda seen: seen == [0.0]) == [0.0]
            # A standby without a primary receives nothing, and is not fine for that.
            with psycopg.connect(replica, autocommit=True) as other:
                other.execute("ALTER SYSTEM SET primary_conninfo = ''")
                other.execute("SELECT pg_reload_conf()")
            assert soon(lambda: ask(replica, "replication_lag")[0], lambda seen: seen > [0.0]) > [0.0]
            lag, size = ask(replica, "replication_lag", "replication_lag_bytes")
            assert "not connected to its primary" in lag.warnings[0]  # type: ignore[union-attr] # It is Samples.
            assert values(size)[0] != values(size)[0]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of 127.0.0.1, and the file with its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    with servers.folder() as home:
        authority.cert_pem.write_to_path(str(home / "ca.pem"))
        issued.private_key_and_cert_chain_pem.write_to_path(str(home / "server.pem"))
        (home / "server.pem").chmod(0o600)
        home.chmod(0o755)
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(home / "server.pem", owner.pw_uid, owner.pw_gid)
        files = {"ssl_cert_file": str(home / "server.pem"), "ssl_key_file": str(home / "server.pem")}
        with servers.postgres(nobody(), ssl="on", **files) as url:
            yield url, home / "ca.pem"


def test_tls_is_checked_where_it_is_asked_for(tls: tuple[str, Path], server: str) -> None:
    url, ca = tls
    encrypted = sql("SELECT ssl::int AS value FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    for settings in ({"ca": ca}, {"sslmode": "require"}, {"ca": ca, "sslmode": "verify-ca"}, {}):
        assert values(ask(url, encrypted, **settings)[0]) == [1.0], settings
    assert values(ask(f"{url}?sslmode=disable", encrypted)[0]) == [0.0]
    other = trustme.CA()
    with servers.folder() as home:
        other.cert_pem.write_to_path(str(home / "other.pem"))
        answers = [
            *ask(url, "up", "connections", ca=home / "other.pem"),
            *ask(url.replace("127.0.0.1", "localhost"), "up", ca=ca),
            *ask(server, "up", sslmode="require"),
        ]
    assert {failure(each).reason for each in answers} == {FailureReason.TLS}, answers


def test_addresses_that_cannot_work_or_hide_options_are_refused_without_being_repeated() -> None:
    secret = f"postgresql://u:{PASSWORD}@h"
    bad: list[dict[str, Any]] = [
        {},
        {"url": f"mysql://u:{PASSWORD}@h/db"},
        {"url": f"{secret}:99999/db"},
        {"url": f"{secret},g/db"},
        {"url": f"{secret}/db?options=-csearch_path%3Devil"},
        {"url": f"{secret}/db?host=elsewhere"},
        {"url": f"{secret}/db?sslmode=sometimes"},
        {"url": f"{secret}/db?sslmode=require&service=x"},
        {"url": f"{secret}/db?sslmode=verify-full"},
        {"url": f"{secret}/db#x"},
        {"url": f"{secret}/db/more"},
        {"url": f"postgresql://u:[{PASSWORD}@h/db"},
        {"url": f"{secret}/db", "host": "h"},
        {"url": f"{secret}/db", "password": PASSWORD},
        {"url": f"{secret}/db", "user": "v"},
        {"url": f"{secret}/db", "key": "k.pem"},
        {"url": f"{secret}/db?sslmode=require", "sslmode": "require"},
        {"host": "h", "sslmode": "disable", "ca": "ca.pem"},
        {"host": ""},
        {"host": "h", "port": 0},
    ]
    for settings in bad:
        with pytest.raises(ValueError, match=r".+") as caught:
            build(PostgresSource, settings)
        assert PASSWORD not in str(caught.value), settings


def test_an_address_may_be_given_in_parts(server: str) -> None:
    place = urlsplit(server)
    parts = {"host": "localhost", "port": place.port, "user": "evaluator", "password": "p w'\\", "database": "shop"}
    source = build(PostgresSource, {**parts, "timeout": "3s"})
    name = sql("SELECT (current_database() = 'shop' AND current_user = 'evaluator')::int AS value")
    assert values(run(polled(source, asked(name)))[0][0]) == [1.0]


def test_what_the_environment_says_is_no_part_of_the_settings(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "PGOPTIONS": "-c nonsense=1",
        "PGDATABASE": "x",
        "PGSSLMODE": "verify-full",
        "PGPORT": "1",
    }.items():
        monkeypatch.setenv(name, text)
    assert values(ask(server, "up")[0]) == [1.0]


def test_what_does_not_fit_together_is_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"measure": "sql"},
        {"measure": "connections", "sql": "SELECT 1"},
        {"measure": "connections", "longer_than": "1s"},
        {"measure": "connections", "per": "1m"},
        {"measure": "longest_query", "by": ["state"]},
        {"measure": "longest_query", "state": "active"},
        {"measure": "deadlocks", "user": "app"},
        {"measure": "deadlocks", "by": ["user"]},
        {"measure": "up", "database": "x"},
        {"measure": "connections", "query": "x"},
        {"measure": "connections", "database": []},
        {"measure": "sql", "sql": "SELECT 1", "max_rows": 0},
    ]
    for fields in bad:
        with pytest.raises(ValueError, match=r".+"):
            query(PostgresSource, fields)


def test_a_session_that_has_outlived_its_role_is_made_again(server: str, admin: psycopg.Connection) -> None:
    def drop() -> None:
        admin.execute("DROP OWNED BY passing")
        admin.execute("DROP ROLE passing")

    def make() -> None:
        admin.execute("CREATE ROLE passing LOGIN PASSWORD 'passing'")
        admin.execute("GRANT pg_monitor TO passing")
        admin.execute("GRANT SELECT ON orders TO passing")

    make()
    queries = asked("up", "connections", sql("SELECT count(*) FROM orders"))
    first, gone, refused, back = run(
        polls(as_role(server, "passing", "passing"), queries, drop, lambda: None, make, timeout="3s")
    )
    drop()
    assert values(first[0]) == values(back[0]) == [1.0]
    assert values(first[2]) == values(back[2]) == [3.0]
    assert all(isinstance(answer, PollFailed) for answer in gone)
    assert {failure(answer).reason for answer in refused} == {FailureReason.AUTH}


def test_a_slow_measure_is_a_timeout_for_itself_and_no_server_that_is_down(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "select to_json(count(*)) from pg_sleep(20)"
    monkeypatch.setattr(postgres_statement, "_sizes", lambda _queries: slow)
    up, percent, size, age = ask(
        monitor(server), "up", "connections_percent", "database_size", "xid_age_percent", timeout="1s"
    )
    assert values(up) == [1.0]
    assert values(percent)[0] > 0
    assert values(age)[0] > 0
    assert failure(size).reason is FailureReason.TIMEOUT
    assert "took longer than 0.5 s" in failure(size).message
    monkeypatch.setitem(postgres_statement._FIXED, "ages", slow)
    up, age = ask(monitor(server), "up", "xid_age_percent", timeout="1s")
    assert values(up) == [1.0]
    assert failure(age).reason is FailureReason.TIMEOUT


def test_a_poll_that_waits_for_the_slow_ones_of_other_intervals_calls_nobody_down(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_statement, "_sizes", lambda _queries: "select '[]'::json from pg_sleep(0.4)")
    source = build(PostgresSource, {"url": monitor(server), "timeout": "1s"})

    async def both() -> list[PollResult]:
        await source.open()
        slow = [asyncio.create_task(source.poll(asked("database_size"), 0.0)) for _ in range(3)]
        await asyncio.sleep(0)
        answers = await source.poll(asked("up"), 0.0)
        await asyncio.gather(*slow)
        await source.close()
        return answers

    (up,) = run(both())
    assert values(up) == [1.0]


def test_an_own_query_leaves_no_lock_behind(server: str, admin: psycopg.Connection) -> None:
    seen: list[Any] = []
    taking = asked(sql("SELECT 1 FROM pg_advisory_lock(7)"), sql("SELECT 1 / (1 - pg_try_advisory_lock(8)::int)"))

    def look() -> None:
        seen.extend(admin.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchall())

    (taken, broken), _ = run(polls(monitor(server), taking, look))
    assert values(taken) == [1.0]
    assert failure(broken).reason is FailureReason.BAD_QUERY
    assert seen == [(0,)]


def test_a_text_that_is_no_name_is_no_label(server: str) -> None:
    long, interval = ask(
        monitor(server), sql("SELECT repeat('x', 1001) AS note, 1 AS value"), sql("SELECT interval '1 hour'")
    )
    assert failure(long).reason is FailureReason.TOO_BIG
    assert "`note` has 1001 characters" in failure(long).message
    assert "extract(epoch from" in failure(interval).message


@pytest.mark.parametrize("host", ["a..b", "a" * 70])
def test_a_host_that_cannot_be_a_name_does_not_resolve(host: str) -> None:
    source = build(PostgresSource, {"host": host, "timeout": "1s"})
    ((up, connections),) = run(polled(source, asked("up", "connections")))
    assert values(up) == [0.0]
    assert failure(connections).reason is FailureReason.REFUSED


def test_a_connection_that_is_idle_is_kept_alive() -> None:
    parameters = postgres_query.PostgresSettings(host="db.internal").parameters()
    assert int(parameters["keepalives_idle"]) < 350


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "late"), FailureReason.UNAVAILABLE),
        (socket.gaierror(socket.EAI_NONAME, "none"), FailureReason.REFUSED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), FailureReason.UNAVAILABLE),
        (OSError(errno.EHOSTUNREACH, "No route to host"), FailureReason.REFUSED),
    ],
)
def test_a_resolver_or_a_network_that_is_gone_is_our_own_blindness(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: FailureReason
) -> None:
    def look_up(*_: object, **_more: object) -> Any:  # noqa: ANN401 - as the system's own.
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    up, connections = ask("postgresql://evaluator@db.internal/shop", "up", "connections")
    assert failure(connections).reason is reason
    assert (values(up) == [0.0]) if reason is FailureReason.REFUSED else up == connections


def test_what_libpq_says_of_our_own_network_is_no_server_that_is_down() -> None:
    text = f'connection to server at "db" (10.0.0.1), port 5432 failed: {os.strerror(errno.ENETUNREACH)}'
    failed = pgwire_faults.failure_of(pgwire.RefusedError(text, None), "here")
    assert failed.reason is FailureReason.UNAVAILABLE
    assert "this machine does not get out" in failed.message


@pytest.mark.parametrize("more", [{}, {"ignore_startup_parameters": "options"}])
def test_a_pgbouncer_between_is_said_to_be_one_and_its_pool_is_not_spoiled(server: str, more: dict[str, Any]) -> None:
    with poolers.pgbouncer(server, "postgres", default_pool_size="1", **more) as console:
        pooled = console.replace("/pgbouncer", "/postgres")
        up, own = ask(pooled, "up", sql("SELECT count(*) FROM orders"))
        (first, *_) = examined(pooled)
        if more:
            assert values(up) == [1.0]
        else:
            assert "this is a PgBouncer" in failure(up).message
            assert failure(own).reason is FailureReason.BAD_ANSWER
            assert (first.grade, "this is a PgBouncer" in first.found) == (Grade.WRONG, True)
        with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as app:
            for setting, usual in (("default_transaction_read_only", "off"), ("statement_timeout", "0"), ("jit", "on")):
                assert app.execute(f"SHOW {setting}").fetchall() == [(usual,)]
            assert app.execute("SHOW search_path").fetchall() == [('"$user", public',)]


def test_a_name_that_points_to_another_server_by_now_is_followed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ["127.0.0.1"]

    async def look_up(_host: str) -> tuple[str, ...]:
        return tuple(where)

    async def story(url: str) -> list[float]:
        source = build(PostgresSource, {"url": url, "timeout": "3s"})
        await source.open()
        made = []
        # A look takes two polls: one begins it, the next hears of it.
        for address in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.9", "127.0.0.9", "127.0.0.9"):
            where[:] = [address]
            await source.poll(asked("up"), 0.0)
            await asyncio.sleep(0)
            made.append(source.usage()["connections"])  # type: ignore[attr-defined]  # It is `Metered`.
        await source.close()
        return made

    monkeypatch.setattr(pgwire_held, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(pgwire, "_look_up", look_up)
    made: list[float] = run(story(monitor(server).replace("127.0.0.1", "db.internal")))
    assert made[:4] == [1.0] * 4
    assert made[-1] > 1.0
