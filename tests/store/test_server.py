"""A server that goes away, freezes or never answers: every call ends, nothing is half written, all goes on after."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from evaluator.store import store as store_module
from evaluator.store.errors import CommitFailed, Reason, StoreUnavailable
from evaluator.store.store import Store, open_store
from tests.store.rows import NOW, an_alert, an_event, an_incident, changes
from tests.store.servers import PostgresServer, free_port


@pytest.fixture
def fragile(impatient: None, server: PostgresServer, fragile_url: str) -> Iterator[Store]:
    """Give a store that a daemon holds, on a server that runs again whatever the test does to it."""
    with open_store(fragile_url, instance="production") as opened:
        opened.commit(changes(alerts=(an_alert(reason="before"),)))
        yield opened


def took(begin: float) -> float:
    return time.perf_counter() - begin


def test_a_server_that_stops_and_comes_back(server: PostgresServer, fragile: Store) -> None:
    server.stop()
    try:
        begin = time.perf_counter()
        with pytest.raises(CommitFailed) as caught:
            fragile.commit(changes(alerts=(an_alert(reason="after"),)))
        assert caught.value.reason is Reason.UNREACHABLE
        with pytest.raises(StoreUnavailable) as unread:
            fragile.check()
        assert unread.value.reason is Reason.UNREACHABLE
        assert took(begin) < 5
    finally:
        server.start()
    fragile.commit(changes(alerts=(an_alert(reason="after"),)))
    assert fragile.load(NOW).alerts == [an_alert(reason="after")]


def test_a_restart_between_two_commits_is_not_noticed(server: PostgresServer, fragile: Store) -> None:
    fragile.check()
    server.stop()
    server.start()
    fragile.check()
    fragile.commit(changes(alerts=(an_alert(reason="after"),)))
    assert fragile.load(NOW).alerts == [an_alert(reason="after")]


def test_after_a_restart_it_is_still_the_only_writer(server: PostgresServer, fragile: Store, fragile_url: str) -> None:
    server.stop()
    server.start()
    fragile.commit(changes(alerts=(an_alert(reason="after"),)))
    with pytest.raises(StoreUnavailable, match="already used by evaluator production"):
        open_store(fragile_url, instance="other")


def test_who_lost_the_hold_cannot_write(server: PostgresServer, fragile: Store, fragile_url: str) -> None:
    server.stop()
    server.start()
    with open_store(fragile_url, instance="successor") as successor:
        with pytest.raises(CommitFailed, match="took over") as caught:
            fragile.commit(changes(alerts=(an_alert(reason="late"),)))
        assert caught.value.reason is Reason.LOCKED
        assert successor.load(NOW).alerts == [an_alert(reason="before")]


def test_a_frozen_server_ends_every_wait(
    server: PostgresServer, fragile: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "COMMIT_SECONDS", 1.0)
    monkeypatch.setattr(store_module, "READ_SECONDS", 1.0)
    server.freeze()
    try:
        begin = time.perf_counter()
        with pytest.raises(CommitFailed) as caught:
            fragile.commit(changes(alerts=(an_alert(reason="after"),)))
        with pytest.raises(StoreUnavailable) as unread:
            fragile.check()
        assert took(begin) < 9
    finally:
        server.thaw()
    assert caught.value.reason is Reason.TIMEOUT
    assert unread.value.reason is Reason.TIMEOUT
    fragile.commit(changes(alerts=(an_alert(reason="later"),)))
    assert fragile.load(NOW).alerts == [an_alert(reason="later")]


def test_a_server_that_dies_within_a_commit_keeps_none_of_it(server: PostgresServer, fragile: Store) -> None:
    many = changes(
        incidents=(an_incident(),),
        events=tuple(an_event(text=f"line {number}") for number in range(20_000)),
        alerts=(an_alert(reason="after"),),
    )
    killer = threading.Timer(0.3, server.kill_sessions)
    killer.start()
    # The sessions end in the middle, and the commit is repeated by itself; whichever way, it is whole or absent.
    with contextlib.suppress(CommitFailed):
        fragile.commit(many)
    killer.join()
    found = fragile.incident(an_incident().id)
    (alert,) = fragile.load(NOW).alerts
    assert (alert.reason, len(found[1]) if found else 0) in {("before", 0), ("after", 20_000)}


def test_a_row_that_another_session_keeps_locked_ends_the_wait(fragile: Store, fragile_url: str) -> None:
    with psycopg.connect(fragile_url.replace("+psycopg", "")) as other:
        other.execute("UPDATE alerts SET reason = 'mine'")
        begin = time.perf_counter()
        with pytest.raises(CommitFailed) as caught:
            fragile.commit(changes(alerts=(an_alert(reason="after"),)))
        assert caught.value.reason is Reason.LOCKED
        assert took(begin) < 8
        other.rollback()
    fragile.commit(changes(alerts=(an_alert(reason="after"),)))


def test_a_role_without_rights_is_told_so(fragile_url: str) -> None:
    with psycopg.connect(fragile_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'hunter22'")
        try:
            with pytest.raises(StoreUnavailable, match="permission denied for schema public") as caught:
                open_store(fragile_url.replace("evaluator:correct-horse", "guest:hunter22"))
            assert caught.value.reason is Reason.READONLY
        finally:
            admin.execute("DROP ROLE guest")


def test_a_wrong_password_is_told_without_it(fragile_url: str) -> None:
    with pytest.raises(StoreUnavailable, match='password authentication failed for user "evaluator"') as caught:
        open_store(fragile_url.replace("correct-horse", "hunter22"))
    assert "hunter22" not in caught.value.message
    assert "\n" not in caught.value.message


def test_a_database_that_is_not_there(server: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        open_store(server.url("nowhere"))


def test_nobody_listens() -> None:
    begin = time.perf_counter()
    with pytest.raises(StoreUnavailable, match=r"[Cc]onnection refused") as caught:
        open_store(f"postgresql://u:hunter22@127.0.0.1:{free_port()}/x")
    assert caught.value.reason is Reason.UNREACHABLE
    assert "hunter22" not in caught.value.message
    assert took(begin) < 5


def test_a_server_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        begin = time.perf_counter()
        with pytest.raises(StoreUnavailable) as caught:
            open_store(f"postgresql://u:hunter22@127.0.0.1:{hole.getsockname()[1]}/x?connect_timeout=2")
        assert caught.value.reason is Reason.TIMEOUT
        assert took(begin) < 6


class Pooler(socketserver.BaseRequestHandler):
    """A pooler whose server is away: it lets everybody in, and never answers a question."""

    def handle(self) -> None:
        self.request.recv(1024)
        parameters = b"".join(
            b"S" + struct.pack("!I", 4 + len(pair)) + pair
            for pair in (b"server_version\x0015.0\x00", b"client_encoding\x00UTF8\x00")
        )
        self.request.sendall(b"R" + struct.pack("!II", 8, 0) + parameters + b"Z" + struct.pack("!I", 5) + b"I")
        while self.request.recv(1024):
            pass


def test_a_pooler_that_waits_for_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOAD_SECONDS", 1.0)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pooler) as pooler:
        pooler.daemon_threads = True
        threading.Thread(target=pooler.serve_forever, daemon=True).start()
        begin = time.perf_counter()
        with pytest.raises(StoreUnavailable) as caught:
            open_store(f"postgresql://u@127.0.0.1:{pooler.server_address[1]}/x?sslmode=disable&gssencmode=disable")
        assert caught.value.reason is Reason.TIMEOUT
        assert took(begin) < 5
        pooler.shutdown()


def test_a_commit_outlives_a_crash_of_a_server_that_is_careless(database: str) -> None:
    plain = database.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.rpartition('/')[2]} SET synchronous_commit = off".encode())
    with open_store(database) as store:
        assert store._backend.write(lambda it: it.execute(text("SHOW synchronous_commit")).scalar_one(), 5) == "on"


def test_the_server_is_told_to_end_what_lasts(fragile: Store) -> None:
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "tcp_keepalives_idle", "application_name")
    found = fragile._backend.write(
        lambda connection: [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names], 5
    )
    assert found == ["1s", "15s", "5", "evaluator production"]
