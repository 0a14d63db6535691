"""Whoever reaches the port can open connections; nobody may thereby keep probes out or take our file descriptors."""

import asyncio
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from evaluator.telemetry.metrics import Metrics
from evaluator.web import guard
from evaluator.web.app import make_app
from evaluator.web.connections import Patience, most_connections
from evaluator.web.server import Server, listen
from tests.web.asking import ask
from tests.web.snapshots import NIGHT, FrozenView

HALF = b"GET / HTTP/1.1\r\nHost: loc"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMIT = 1024
CROWD = 1500
_SERVE = f"""
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
from tests.web.test_connections import serve
async def main():
    server = await serve()
    print(server.port, flush=True)
    await server.wait()
asyncio.run(main())
"""


async def serve(**patience: float) -> Server:
    """Serve a quiet night."""
    return await listen(make_app(FrozenView(NIGHT), Metrics(), token=None), "127.0.0.1:0", Patience(**patience))


@contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """Run a server with few file descriptors, and yield its process id and its port."""
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    """Let this process hold both ends of a crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, 2 * CROWD)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(process: int) -> int:
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


@pytest.mark.usefixtures("_many_descriptors")
@pytest.mark.parametrize("first", [HALF, WHOLE, b""])
def test_a_crowd_that_finishes_nothing_keeps_no_probe_out_and_takes_few_descriptors(first: bytes) -> None:
    with server_process() as (process, port):
        crowd = []
        most = 0
        try:
            for number in range(CROWD):
                crowd.append(socket.create_connection(("127.0.0.1", port), 5))
                crowd[-1].send(first)
                if number % 50 == 0:
                    most = max(most, descriptors(process))
            for path in ("/healthz", "/readyz"):
                begin = time.monotonic()
                assert httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
                assert time.monotonic() - begin < 2
            assert max(most, descriptors(process)) < LIMIT // 2
        finally:
            for each in crowd:
                each.close()


async def ended(reader: asyncio.StreamReader) -> float:
    """Return the seconds until the connection is closed."""
    begin = time.monotonic()
    try:
        while await asyncio.wait_for(reader.read(1000), 5):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begin


@pytest.mark.parametrize("first", [HALF, b""])
async def test_headers_have_a_deadline(first: bytes) -> None:
    server = await serve(headers=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(first)
    assert 0.2 < await ended(reader) < 2
    writer.close()
    await server.close()


async def test_headers_that_drip_gain_no_time() -> None:
    server = await serve(headers=0.4)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    ending = asyncio.create_task(ended(reader))
    for letter in HALF:
        writer.write(bytes([letter]))
        await asyncio.sleep(0.05)
        if ending.done():
            break
    assert ending.done()
    writer.close()
    await server.close()


async def test_the_next_request_has_the_same_deadline_and_an_idle_one_a_longer() -> None:
    server = await serve(headers=0.3, idle=0.8)
    for second, least, most in ((b"", 0.6, 3.0), (HALF, 0.2, 0.7)):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(WHOLE)
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        writer.write(second)
        assert least < await ended(reader) < most
        writer.close()
    await server.close()


async def test_a_body_that_never_ends_gains_no_time() -> None:
    server = await serve(headers=0.4, idle=0.4)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    ending = asyncio.create_task(ended(reader))
    for _ in range(40):
        writer.write(b"1\r\na\r\n")
        await asyncio.sleep(0.05)
        if ending.done():
            break
    assert ending.done()
    writer.close()
    await server.close()


async def test_a_client_that_takes_nothing_of_its_answers_is_left() -> None:
    server = await serve(stalled=0.3)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    held = server._server.server_state.connections
    writer.write(WHOLE.replace(b"/healthz", b"/") * 2000)
    await asyncio.sleep(0.2)
    assert len(held) == 1
    begin = time.monotonic()
    while held and time.monotonic() - begin < 10:
        await asyncio.sleep(0.05)
    assert not held
    writer.transport.abort()
    await server.close()


async def test_the_longest_idle_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.web.server.most_connections", lambda: 2)
    server = await serve()
    streams = []
    for _ in range(3):
        streams.append(await asyncio.open_connection("127.0.0.1", server.port))
        await asyncio.sleep(0.05)
    assert await ended(streams[0][0]) < 1
    for reader, writer in streams[1:]:
        writer.write(WHOLE)
        assert (await asyncio.wait_for(reader.readuntil(b"ok\n"), 2)).startswith(b"HTTP/1.1 200")
    for _, writer in streams:
        writer.close()
    await server.close()


def test_how_many_are_held_follows_from_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((65536, 256), (1024, 256), (400, 100), (40, 16), (resource.RLIM_INFINITY, 256)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_connections() == most


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_bad_chunk_is_refused_without_a_word(
    method: str, apart: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve()
    with caplog.at_level(logging.INFO):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"{method} / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        if apart:
            await asyncio.sleep(0.2)
        writer.write(b"ZZZ\r\n")
        answer = await asyncio.wait_for(reader.read(), 2)
        writer.close()
        await asyncio.sleep(0.1)
    assert answer.startswith(b"HTTP/1.1 4" if method == "POST" or not apart else b"HTTP/1.1 200")
    if not apart:
        assert answer.startswith(b"HTTP/1.1 400")
    assert [each for each in caplog.records if each.exc_info or each.levelno > logging.WARNING] == []
    await server.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_probe_of_http_1_0_needs_no_host(path: str) -> None:
    server = await serve()
    for asked, status in ((path, b"200"), ("/", b"421")):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {asked} HTTP/1.0\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.read(), 2)).split(b" ")[1] == status
        writer.close()
    assert (await ask(path, headers={"Host": "evil.example"})).status_code == 421
    await server.close()


async def test_too_many_requests_get_503_but_probes_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_REQUESTS", 0)
    refused = await ask("/api/v1/status")
    assert (refused.status_code, refused.json()["errorType"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    assert (await ask("/healthz")).status_code == 200
    assert (await ask("/readyz")).status_code == 200
