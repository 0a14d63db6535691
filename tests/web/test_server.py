import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from evaluator.incidents.incident import Event, Incident
from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.server import Server, WebUnavailable, listen, parse_listen
from tests.web.snapshots import NIGHT, OPEN, FrozenView


class Stuck(FrozenView):
    """A daemon whose store never answers."""

    async def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
        await asyncio.sleep(3600)
        return None


def app(view: FrozenView | None = None) -> Starlette:
    return make_app(view or FrozenView(NIGHT), Metrics(), token=None)


@asynccontextmanager
async def serving(view: FrozenView | None = None, at: str = "127.0.0.1:0") -> AsyncIterator[Server]:
    server = await listen(app(view), at)
    try:
        yield server
    finally:
        await server.close()


async def closed_within(server: Server) -> float:
    start = time.monotonic()
    await server.close()
    return time.monotonic() - start


async def test_port_0_is_any_free_one_and_the_real_one_is_told() -> None:
    async with serving() as server, httpx.AsyncClient() as client:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        response = await client.get(f"{server.url}/api/v1/status")
        assert response.json()["data"]["counts"]["open"] == 4
        assert "server" not in response.headers


async def test_a_name_is_bound_as_its_addresses() -> None:
    async with serving(at="localhost:0") as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.url}/healthz")).text == "ok\n"


async def test_a_taken_port_is_one_clear_sentence() -> None:
    async with serving() as server:
        with pytest.raises(WebUnavailable) as found:
            await listen(app(), f"127.0.0.1:{server.port}")
        expected = f"127.0.0.1:{server.port} is taken by another program; change [web] listen or stop it"
        assert str(found.value) == expected


async def test_a_port_that_is_bound_but_not_listened_on_is_taken_as_well() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(WebUnavailable, match="is taken by another program"):
            await listen(app(), f"127.0.0.1:{other.getsockname()[1]}")


async def test_an_address_of_another_machine() -> None:
    with pytest.raises(WebUnavailable, match=r"192\.0\.2\.1:9464 is not an address of this machine"):
        await listen(app(), "192.0.2.1:9464")


async def test_a_name_that_is_none() -> None:
    with pytest.raises(WebUnavailable, match='"no such host" is not an address of this machine'):
        await listen(app(), "no such host:9464")


@pytest.mark.parametrize(
    "text", ["9464", "localhost", "127.0.0.1:", "127.0.0.1:http", "::1:9464", "127.0.0.1:70000", ""]
)
async def test_what_is_no_address_is_answered_with_one(text: str) -> None:
    with pytest.raises(WebUnavailable, match=r'write "127\.0\.0\.1:9464"'):
        await listen(app(), text)


def test_the_forms_of_an_address() -> None:
    assert parse_listen("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse_listen("[::1]:80") == ("::1", 80)
    assert parse_listen(" :9464 ") == ("", 9464)


async def test_the_port_is_free_after_closing() -> None:
    async with serving() as server:
        port = server.port
    async with serving(at=f"127.0.0.1:{port}") as again:
        assert again.port == port


async def test_signals_stay_with_the_daemon() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    async with serving():
        await asyncio.sleep(0.05)
        assert {number: signal.getsignal(number) for number in before} == before
    assert {number: signal.getsignal(number) for number in before} == before


async def test_it_closes_at_once_while_clients_keep_their_connections() -> None:
    server = await listen(app(), "127.0.0.1:0")
    async with httpx.AsyncClient() as client:
        for _ in range(5):
            await client.get(f"{server.url}/healthz")
        assert await closed_within(server) < 1.0


async def test_it_closes_within_two_seconds_while_a_request_is_stuck() -> None:
    server = await listen(app(Stuck(NIGHT)), "127.0.0.1:0")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET /incidents/{OPEN[0].id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    assert await closed_within(server) < 2.0
    await asyncio.wait_for(reader.read(), 1)
    writer.close()


async def test_it_closes_within_two_seconds_while_a_request_is_half_sent() -> None:
    server = await listen(app(), "127.0.0.1:0")
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: loc")
    await writer.drain()
    await asyncio.sleep(0.1)
    assert await closed_within(server) < 2.0
    writer.close()


async def test_it_closes_within_two_seconds_while_a_client_does_not_read() -> None:
    server = await listen(app(), "127.0.0.1:0")
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
    await asyncio.sleep(0.2)
    assert await closed_within(server) < 2.0
    writer.transport.abort()


async def test_closing_twice_is_closing_once() -> None:
    server = await listen(app(), "127.0.0.1:0")
    await server.close()
    assert await closed_within(server) < 0.2


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
    ],
)
async def test_garbage_is_refused_and_the_next_one_is_served(garbage: bytes) -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(garbage)
        answer = await asyncio.wait_for(reader.read(200), 5)
        assert answer.startswith(b"HTTP/1.1 4")
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{server.url}/healthz")).status_code == 200


async def test_waiting_ends_with_the_server() -> None:
    server = await listen(app(), "127.0.0.1:0")
    waiting = asyncio.create_task(server.wait())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await server.close()
    await asyncio.wait_for(waiting, 1)
