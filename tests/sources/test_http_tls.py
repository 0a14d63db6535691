"""Probes of real TLS servers: what is trusted is up, what is not is down, and every certificate's end is known."""

import asyncio
import datetime as dt
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.http import HttpSource
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.sources import build, polled, query, run

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
SECRET = "s3cret-probe-token"

Target = Mapping[str, Any]


class TlsServer:
    """A server that says `ok` over TLS, in a thread of its own."""

    def __init__(self, certificate: trustme.LeafCert, client: trustme.CA | None) -> None:
        self.heard: list[bytes] = []
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        if client is not None:
            client.configure_trust(self._context)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()))
        self._thread.start()
        self._ready.wait(5)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()

    async def _main(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http(b"ok"))
        await writer.drain()
        writer.close()


@contextmanager
def tls(certificate: trustme.LeafCert, client: trustme.CA | None = None) -> Iterator[TlsServer]:
    server = TlsServer(certificate, client)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def leaf(authority: trustme.CA, begins: float, ends: float, name: str = "127.0.0.1") -> trustme.LeafCert:
    """A certificate that is good from and until so many days from now."""
    return authority.issue_cert(name, not_before=NOW + begins * DAY, not_after=NOW + ends * DAY)


def ask(target: Target, *measures: str, **settings: object) -> list[PollResult]:
    source = build(HttpSource, {"targets": {"a": target}, "timeout": "4s", **settings})
    queries = [query(HttpSource, {"measure": each}) for each in measures]
    answers: list[list[PollResult]] = run(polled(source, queries, NOW.timestamp()))
    return answers[0]


def value(result: PollResult) -> float:
    assert isinstance(result, Samples), result
    assert list(result.labels) == [{"target": "a"}]
    return result.values[0]


def test_a_certificate_that_is_good_is_up_and_has_days(authority: trustme.CA, trusted: Path) -> None:
    with tls(leaf(authority, -1, 90)) as server:
        url = f"https://127.0.0.1:{server.port}"
        up, days, status = ask({"url": url, "ca": trusted, "match": "ok"}, "up", "tls_days_left", "status")
        (phase,) = run(
            polled(
                build(HttpSource, {"targets": {"a": {"url": url, "ca": trusted}}}),
                [query(HttpSource, {"measure": "latency", "phase": "tls"})],
            )
        )[0]
        assert len(server.heard) == 2
    assert (value(up), value(days), value(status)) == pytest.approx((1.0, 90, 200.0))
    assert 0 < value(phase) < 1


@pytest.mark.parametrize(
    ("begins", "ends", "name", "words"),
    [
        (-30, -3, "127.0.0.1", "certificate has expired"),
        (2, 30, "127.0.0.1", "not yet valid"),
        (-1, 30, "shop.example.com", "IP address mismatch"),
    ],
)
def test_a_certificate_that_is_bad_is_down_and_has_days(
    authority: trustme.CA, trusted: Path, begins: float, ends: float, name: str, words: str
) -> None:
    with tls(leaf(authority, begins, ends, name)) as server:
        target = {
            "url": f"https://127.0.0.1:{server.port}/?key={SECRET}",
            "ca": trusted,
            "headers": {"X-Key": SECRET},
        }
        up, days, status, latency = ask(target, "up", "tls_days_left", "status", "latency")
        assert not server.heard, "a server that is not trusted was sent something"
    assert value(up) == 0.0
    assert isinstance(up, Samples)
    assert words in up.warnings[0]
    assert SECRET not in up.warnings[0]
    assert value(days) == pytest.approx(ends)
    for answer in (status, latency):
        assert isinstance(answer, PollFailed)
        assert answer.reason is FailureReason.TLS


def test_a_certificate_of_an_unknown_authority_is_down_unless_that_is_said(authority: trustme.CA) -> None:
    with tls(leaf(authority, -1, 10)) as server:
        url = f"https://127.0.0.1:{server.port}"
        up, days = ask({"url": url}, "up", "tls_days_left")
        assert (value(up), value(days)) == pytest.approx((0.0, 10))
        up, days = ask({"url": url, "verify": False}, "up", "tls_days_left")
        assert (value(up), value(days)) == pytest.approx((1.0, 10))
        assert len(server.heard) == 1


def test_the_name_of_the_url_counts_also_where_the_address_is_given(authority: trustme.CA, trusted: Path) -> None:
    with tls(leaf(authority, -1, 10, "shop.example.com")) as server:
        url = f"https://shop.example.com:{server.port}"
        up, days = ask({"url": url, "ca": trusted, "resolve": "127.0.0.1"}, "up", "tls_days_left")
        assert (value(up), value(days)) == pytest.approx((1.0, 10))
        assert f"host: shop.example.com:{server.port}".encode() in server.heard[0].lower()
        (other,) = ask({"url": url.replace("shop", "mail"), "ca": trusted, "resolve": "127.0.0.1"}, "up")
        assert value(other) == 0.0


def test_a_client_certificate_is_shown(authority: trustme.CA, trusted: Path, tmp_path: Path) -> None:
    mine = authority.issue_cert("monitor")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    mine.cert_chain_pems[0].write_to_path(str(cert))
    mine.private_key_pem.write_to_path(str(key))
    with tls(leaf(authority, -1, 10), client=authority) as server:
        url = f"https://127.0.0.1:{server.port}"
        (up,) = ask({"url": url, "ca": trusted, "cert": cert, "key": key}, "up")
        assert value(up) == 1.0
        (without,) = ask({"url": url, "ca": trusted}, "up")
        assert value(without) == 0.0


def test_a_client_certificate_that_was_renewed_is_read_again(
    authority: trustme.CA, trusted: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.pem"

    def issue(issuer: trustme.CA) -> None:
        mine, new = issuer.issue_cert("monitor"), tmp_path / "new.pem"
        new.write_bytes(mine.private_key_pem.bytes() + mine.cert_chain_pems[0].bytes())
        new.rename(file)

    async def story(url: str) -> list[PollResult]:
        source = build(HttpSource, {"targets": {"a": {"url": url, "ca": trusted, "cert": file}}, "timeout": "4s"})
        await source.open()
        asked = [query(HttpSource, {"measure": "up"})]
        issue(trustme.CA())
        answers = await source.poll(asked, 0.0)
        issue(authority)
        answers += await source.poll(asked, 0.0)
        await source.close()
        return answers

    with tls(leaf(authority, -1, 10), client=authority) as server:
        before, after = run(story(f"https://127.0.0.1:{server.port}"))
    assert (value(before), value(after)) == (0.0, 1.0)


def test_a_file_that_is_missing_is_our_mistake_and_no_target_is_down(tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_text("garbage")
    for files in ({"ca": "/nowhere/ca.pem"}, {"ca": tmp_path / "garbage.pem"}, {"cert": tmp_path / "garbage.pem"}):
        (answer,) = ask({"url": f"https://127.0.0.1:{nobody()}", **files}, "up")
        assert isinstance(answer, PollFailed), answer
        assert answer.reason is FailureReason.TLS
        assert ".pem cannot be used" in answer.message


def test_a_handshake_that_hangs_or_is_none_is_down_in_time() -> None:
    with peer() as hole:
        start = time.monotonic()
        up, days = ask({"url": f"https://127.0.0.1:{hole.port}", "timeout": "400ms"}, "up", "tls_days_left")
        assert time.monotonic() - start < 1
    assert value(up) == 0.0
    assert isinstance(days, PollFailed)
    assert days.reason is FailureReason.TIMEOUT
    with peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close") as plain:
        up, days = ask({"url": f"https://127.0.0.1:{plain.port}"}, "up", "tls_days_left")
    assert value(up) == 0.0
    assert isinstance(days, PollFailed)
    assert days.reason is FailureReason.TLS


def test_a_redirect_from_http_to_a_bad_certificate_is_down(authority: trustme.CA) -> None:
    with tls(leaf(authority, -30, -3)) as server:
        head = f"HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1:{server.port}/\r\nContent-Length: 0\r\n\r\n"
        with peer(head.encode(), "close") as plain:
            (up,) = ask({"url": f"http://127.0.0.1:{plain.port}"}, "up")
    assert value(up) == 0.0
    assert isinstance(up, Samples)
    assert "certificate is not acceptable" in up.warnings[0]


def test_a_checkup_warns_of_a_certificate_that_ends_soon(authority: trustme.CA, trusted: Path) -> None:
    async def story(targets: Mapping[str, Target]) -> list[Checkup]:
        source = build(HttpSource, {"targets": targets})
        await source.open()
        try:
            found: list[Checkup] = await source.examine([], NOW.timestamp())  # type: ignore[attr-defined]
        finally:
            await source.close()
        return found

    with (
        tls(leaf(authority, -1, 10)) as soon,
        tls(leaf(authority, -9, -2)) as late,
        tls(leaf(authority, -1, 90)) as fine,
    ):
        servers = {"soon": soon, "late": late, "fine": fine}
        targets = {name: {"url": f"https://127.0.0.1:{each.port}", "ca": trusted} for name, each in servers.items()}
        lines = {each.subject: each for each in run(story(targets))}
    assert lines["target fine"].grade is Grade.FINE
    assert lines["target soon"].grade is Grade.FINE
    assert lines["certificate of soon"].found == "ends in 10 days"
    assert lines["target late"].grade is Grade.WRONG
    assert lines["certificate of late"].found == "ended 2 days ago"
    assert "certificate of fine" not in lines
