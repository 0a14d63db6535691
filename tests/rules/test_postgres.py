"""The shipped rules that ask PostgreSQL: a server killed and started again, and one whose slots are used up."""

import os
import signal
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from evaluator.engine.samples import Samples
from evaluator.testing import servers
from tests.rules.shipped import Watch, watch

USABLE = 12


def small() -> AbstractContextManager[str]:
    """A server with few slots: 12, and 3 that are kept for superusers."""
    return servers.postgres(max_connections="15", superuser_reserved_connections="3", max_wal_senders="0")


def at(url: str) -> dict[str, Any]:
    """Return the settings of the source for this server, instead of those that ship."""
    return {"url": url, "host": None, "user": None, "password": None, "timeout": "2s"}


def killed(url: str) -> None:
    """Kill the server with all its processes' memory, as a machine without memory does."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    pid = int((Path(row[0]) / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


def test_a_server_that_is_killed_opens_and_closes_when_it_is_back() -> None:
    port = servers.free_port()
    with ExitStack() as machines, servers.postgres(port) as url, watch("database-down", **at(url)) as watched:
        watched.is_quiet()
        killed(url)
        while servers.answers(port):
            time.sleep(0.01)
        # The connection that was held breaks: that is unknown first, and nothing opens of it.
        watched.look_until(watched.rule.tiers[0].limit, within=60)
        incident = watched.opens("P0")
        assert incident.title == "PostgreSQL does not answer"
        watched.stays_open_while_blind()
        # It ends after the watch: a server waits for its clients.
        machines.enter_context(servers.postgres(port))
        watched.closes()


def freed(watched: Watch, below: float = 80.0) -> None:
    """Return when the server has noticed that connections are closed: each takes it a moment."""
    end = time.monotonic() + 20.0
    while not (isinstance(answer := watched.poll(watched.now), Samples) and max(answer.values) < below):
        assert time.monotonic() < end, answer
        time.sleep(0.02)


def test_slots_that_are_used_up_open_and_close_and_are_not_a_server_that_is_down() -> None:
    with small() as url, ExitStack() as application:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE ROLE web LOGIN PASSWORD 'secret'")
            admin.execute("CREATE ROLE evaluator LOGIN PASSWORD 'secret'")
            admin.execute("GRANT pg_monitor TO evaluator")
        place = url.rpartition("@")[2]
        web, own = (f"postgresql://{role}:secret@{place}" for role in ("web", "evaluator"))
        pool = [application.enter_context(psycopg.connect(web)) for _ in range(USABLE // 2)]
        with (
            watch("connection-pool", **at(own)) as watched,
            watch("database-down", **at(own)) as down,
        ):
            watched.is_quiet()
            while True:
                try:
                    pool.append(application.enter_context(psycopg.connect(web)))
                except psycopg.OperationalError:
                    break
            incident = watched.opens("P2")
            assert incident.title == "100 % of PostgreSQL's connections are in use"
            down.look_for(300)
            assert not down.open, "it is full, and there"
            watched.stays_open_while_blind()
            pool.pop().close()
            pool.pop().close()
            freed(watched, below=85.0)
            watched.look_for(600)
            assert watched.values == [pytest.approx(100 * (USABLE - 2) / USABLE)]
            assert watched.open, "between the limits nothing changes"
            for connection in pool:
                connection.close()
            freed(watched)
            watched.closes()


def test_an_application_that_finds_no_slot_is_seen_by_a_monitor_that_finds_none_either() -> None:
    with small() as url, ExitStack() as application:
        for _ in range(USABLE + 3):
            application.enter_context(psycopg.connect(url))
        with watch("connection-pool", **at(url)) as watched:
            incident = watched.opens("P2", repeat=True)
            assert incident.value == 100.0
            application.close()
            freed(watched)
            watched.closes()


def test_statements_that_become_slower_open_and_close_when_they_become_no_slower() -> None:
    with (
        servers.postgres(shared_preload_libraries="pg_stat_statements", max_wal_senders="0") as url,
        psycopg.connect(url, autocommit=True) as application,
    ):
        application.execute("CREATE EXTENSION pg_stat_statements")
        took = [0.002]
        with watch("slow-queries-increasing", **at(url)) as watched:
            # Only these statements are counted: on an idle server the monitor's own would be the mean.
            watched.meanwhile = lambda: [application.execute("SELECT pg_sleep(%s)", took) for _ in range(1)]
            # A mean needs two readings that lie apart on the server's own clock, so that not every slot brings one.
            while watched.kept() < 3 * 3600:
                watched.look()
            assert not watched.incidents, "it is as always"
            took[0] = 0.1
            watched.look_for(30 * 60)
            incident = watched.opens("P3") if not watched.open else watched.open[0]
            watched.says(incident, "P3")
            watched.stays_open_while_blind()
            took[0] = 0.002
            watched.look_for(4 * 3600)
            assert not watched.open
