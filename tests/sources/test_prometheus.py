"""The source `prometheus` against a real server, and against bad weather."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.prometheus import PrometheusSource
from evaluator.testing import servers
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run
from evaluator.testing.wire import Heard, Reply, WireServer, drip, hang

TOKEN = "s3cret-prometheus-token"
BEGIN = 1_700_000_000
HISTORY = "".join(
    f'cpu{{host="web-{host}"}} {host * 10 + minute} {BEGIN + 60 * minute}\n'
    for host in range(3)
    for minute in range(61)
    if not (host == 1 and 20 <= minute < 40)
)


@pytest.fixture(scope="session")
def past_url() -> Iterator[str]:
    """A server with an hour of history in which one series has a hole."""
    with servers.prometheus(openmetrics=f"# TYPE cpu gauge\n{HISTORY}# EOF\n") as url:
        yield url


def ask(url: str, *queries: Mapping[str, Any] | str, now: float = BEGIN + 3600, **settings: object) -> list[PollResult]:
    source = build(PrometheusSource, {"url": url, "timeout": "5s", **settings})
    fields = [each if isinstance(each, Mapping) else {"promql": each} for each in queries]
    answers: list[list[PollResult]] = run(polled(source, [query(PrometheusSource, each) for each in fields], now))
    return answers[0]


def rows(result: PollResult) -> dict[str, float]:
    assert isinstance(result, Samples), result
    return {row.get("host", ""): value for row, value in zip(result.labels, result.values, strict=True)}


def failed(result: PollResult, reason: FailureReason) -> str:
    assert isinstance(result, PollFailed), result
    assert result.reason is reason, result
    return result.message


def success(data: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


VECTOR = success({"resultType": "vector", "result": [{"metric": {"host": "a"}, "value": [1, "5"]}]})


@contextmanager
def wire(answer: Callable[[Heard], Reply]) -> Iterator[WireServer]:
    """A server on the wire, for what a real one does not do on demand."""
    with WireServer(answer) as server:
        yield server


class TestConformance(RemoteSourceConformance):
    kind = PrometheusSource
    queries = ({"promql": "cpu"}, {"promql": "sum(cpu)"}, {"promql": "1 + 1"})
    now = BEGIN + 600.0
    up = MappingProxyType({"measure": "up"})
    bad_query = MappingProxyType({"promql": "sum("})
    many = tuple({"promql": f"cpu + {number}"} for number in range(100))
    secrets = (TOKEN, "s3cret-tenant")
    server: str

    @pytest.fixture(autouse=True)
    def _server(self, past_url: str) -> None:
        self.server = past_url

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"http://{host}:{port}", "token": TOKEN, "headers": {"X-Scope-OrgID": "s3cret-tenant"}}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        yield {"url": self.server, "token": TOKEN}


def test_vectors_and_scalars_have_values(past_url: str) -> None:
    vector, scalar, empty, odd = ask(past_url, "cpu", "2 * 3", "no_such_metric", "cpu / 0 * -1")
    assert rows(vector) == {"web-0": 60.0, "web-1": 70.0, "web-2": 80.0}
    assert rows(scalar) == {"": 6.0}
    assert rows(empty) == {}
    assert rows(odd) == dict.fromkeys(("web-0", "web-1", "web-2"), -math.inf)


def test_the_slot_is_the_time_of_the_query(past_url: str) -> None:
    assert rows(ask(past_url, "cpu", now=BEGIN + 125)[0])["web-2"] == 22.0


def test_what_cannot_be_a_value_is_a_bad_query(past_url: str) -> None:
    matrix, text, broken, many = ask(past_url, "cpu[5m]", '"text"', "sum(", "cpu * on() cpu")
    assert "rate() or max_over_time()" in failed(matrix, FailureReason.BAD_QUERY)
    assert "a text, not a number" in failed(text, FailureReason.BAD_QUERY)
    assert "parse error" in failed(broken, FailureReason.BAD_QUERY)
    assert "many-to-many" in failed(many, FailureReason.BAD_QUERY)


def test_a_long_query_is_no_long_address(past_url: str) -> None:
    expression = 'cpu{host=~"web-0|' + "x" * 200_000 + '"}'
    assert rows(ask(past_url, expression)[0]) == {"web-0": 60.0}


def test_a_server_that_scrapes_is_asked_as_of_now(prometheus_url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        (result,) = ask(prometheus_url, "up", now=time.time())
        if rows(result):
            break
        assert time.monotonic() < deadline, "it never scraped itself"
        time.sleep(0.2)
    assert rows(result) == {"": 1.0}


def test_history_is_what_instant_queries_would_have_said(past_url: str) -> None:
    async def both() -> None:
        source = build(PrometheusSource, {"url": past_url})
        await source.open()
        for expression in ("cpu", "max(cpu)", "7", "cpu > 40", "absent(cpu)"):
            asked = query(PrometheusSource, {"promql": expression})
            # A slot has any phase: the package alone would round it to whole seconds.
            past = await source.history(asked, BEGIN + 0.371, BEGIN + 3600, 137.0)
            assert past is not None
            assert len(past) == 27
            for at, then in past:
                (now,) = await source.poll([asked], at)
                assert isinstance(then, Samples)
                assert isinstance(now, Samples)
                assert _set(then) == _set(now), (expression, at)
        await source.close()

    run(both())


def _set(samples: Samples) -> set[tuple[object, float]]:
    return {(series_of(row), value) for row, value in zip(samples.labels, samples.values, strict=True)}


def test_history_longer_than_a_server_answers_at_once_is_cut(past_url: str) -> None:
    async def read(start: float, end: float, expression: str) -> list[tuple[float, PollResult]] | None:
        source = build(PrometheusSource, {"url": past_url})
        await source.open()
        try:
            return await source.history(query(PrometheusSource, {"promql": expression}), start, end, 1.0)
        finally:
            await source.close()

    past = run(read(BEGIN, BEGIN + 24_999, "cpu"))
    assert [at for at, _ in past] == [float(BEGIN + second) for second in range(25_000)]
    assert rows(past[3600][1]) == {"web-0": 60.0, "web-1": 70.0, "web-2": 80.0}
    assert rows(past[-1][1]) == {}
    broken = run(read(BEGIN, BEGIN + 24_999, "sum("))
    assert len(broken) == 25_000
    failed(broken[-1][1], FailureReason.BAD_QUERY)
    assert run(read(BEGIN, BEGIN - 1, "cpu")) == []


def test_history_that_is_too_big_is_read_in_halves(past_url: str) -> None:
    async def read(most: int) -> list[tuple[float, PollResult]] | None:
        source = build(PrometheusSource, {"url": past_url, "max_size": most})
        await source.open()
        try:
            return await source.history(query(PrometheusSource, {"promql": "cpu"}), BEGIN, BEGIN + 3600, 10.0)
        finally:
            await source.close()

    whole, halves = run(read(10**6)), run(read(1500))
    assert [(at, _set(result)) for at, result in halves] == [(at, _set(result)) for at, result in whole]
    for _, result in run(read(100)):
        failed(result, FailureReason.TOO_BIG)


def test_equal_queries_are_asked_once_and_connections_are_kept() -> None:
    heads: list[Heard] = []

    def answer(heard: Heard) -> Reply:
        heads.append(heard)
        return Reply(200, VECTOR, {"Content-Type": "application/json"})

    with wire(answer) as server:
        source = build(PrometheusSource, {"url": server.url, "max_concurrency": 2, "token": TOKEN})
        queries = [query(PrometheusSource, {"promql": f"m{number % 5}"}) for number in range(100)]
        run(polled(source, queries, BEGIN, times=3))
        assert len(heads) == 15
    first = heads[0]
    assert first.method == "POST"
    assert first.path == "/api/v1/query"
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert parse_qs(first.body.decode())["time"] == [f"{BEGIN}.000"]
    assert "timeout" in parse_qs(first.body.decode())


def test_basic_authentication_and_headers_are_sent() -> None:
    seen: list[Mapping[str, str]] = []

    def answer(heard: Heard) -> Reply:
        seen.append(heard.headers)
        return Reply(401, b"Unauthorized, dXNlcjpww6Rzcw== is wrong")

    with wire(answer) as server:
        (result,) = ask(server.url, "m", username="user", password="päss", headers={"X-Scope-OrgID": "s3cret-tenant"})
    assert seen[0]["authorization"] == "Basic dXNlcjpww6Rzcw=="
    assert seen[0]["x-scope-orgid"] == "s3cret-tenant"
    assert "dXNlcjpww6Rzcw==" not in failed(result, FailureReason.AUTH)


def test_warnings_are_kept() -> None:
    body = success({"resultType": "vector", "result": []}, warnings=["partial"], infos=["not a counter"])
    with wire(lambda _: Reply(200, body)) as server:
        (result,) = ask(server.url, "m")
    assert isinstance(result, Samples)
    assert result.warnings == ("partial", "not a counter")


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', "bad_query", "parse error"),
        (
            422,
            b'{"status":"error","errorType":"execution","error":"too many samples"}',
            "bad_query",
            "too many samples",
        ),
        (422, b'{"status":"error","errorType":"execution","error":"context deadline exceeded"}', "timeout", "too long"),
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', "timeout", "too long"),
        (503, b'{"status":"error","errorType":"execution","error":"no store"}', "unavailable", "no store"),
        (503, b"<html>Service Unavailable</html>", "unavailable", "HTTP 503"),
        (500, b"panic", "unavailable", "panic"),
        (504, b"", "timeout", "HTTP 504"),
        (401, b"", "auth", "other credentials"),
        (403, b"<html>", "auth", "do not allow"),
        (404, b"404 page not found", "bad_answer", "where the server's API begins"),
        (429, b'{"status":"error","errorType":"bad_data","error":"limit"}', "rate_limited", "later"),
        (302, b"", "bad_answer", "elsewhere (https://login.example.com/x)"),
        (418, b"teapot", "bad_answer", "teapot"),
        (200, b"<!DOCTYPE html><html>", "bad_answer", "web page"),
        (200, b"", "bad_answer", "empty"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"met', "bad_answer", "not what the API"),
        (200, b'{"status":"success"}', "bad_answer", "no data"),
        (200, b'{"status":"error","errorType":"bad_data","error":"so"}', "bad_query", "so"),
        (200, b"[1,2]", "bad_answer", "not what the API"),
        (200, b"\xff\xfe\x00", "bad_answer", "not what the API"),
        (200, VECTOR.replace(b'"a"', b'"a\\ud800"'), "bad_answer", "not valid Unicode"),
        (200, VECTOR.replace(b'"a"', b'"a\xed\xa0\x80"'), "bad_answer", "not valid Unicode"),
        (200, VECTOR.replace(b'"a"', b'"a\xff"'), "bad_answer", "not valid Unicode"),
        (
            200,
            success({"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]}),
            "bad_answer",
            "not what",
        ),
        (200, success({"resultType": "vector", "result": [{"metric": {}, "value": [1, 5]}]}), "bad_answer", "not what"),
        (
            200,
            success({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {"count": "1"}]}]}),
            "bad_query",
            "histogram_quantile()",
        ),
    ],
)
def test_every_other_answer_has_its_reason(status: int, body: bytes, reason: str, words: str) -> None:
    location = {"Location": "https://login.example.com/x?token=s3cret"} if status == 302 else {}
    with wire(lambda _: Reply(status, body, location)) as server:
        (result,) = ask(server.url, "m")
    assert words in failed(result, FailureReason(reason))


def test_an_answer_that_breaks_off_is_a_reset() -> None:
    with peer(http(VECTOR[:40], length=len(VECTOR)), "close") as cut:
        failed(ask(f"http://127.0.0.1:{cut.port}", "m")[0], FailureReason.RESET)


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    with peer(http(b" " * 1_000_000, length=10**9), "hang") as huge:
        start = time.monotonic()
        message = failed(ask(f"http://127.0.0.1:{huge.port}", "m", max_size="100kB")[0], FailureReason.TOO_BIG)
        assert time.monotonic() - start < 1
    assert "max_size (0.1 MB)" in message
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 10
    with peer(chunks, "hang") as endless:
        failed(ask(f"http://127.0.0.1:{endless.port}", "m", max_size="100kB")[0], FailureReason.TOO_BIG)


def test_a_server_that_drips_is_broken_off_at_the_timeout_and_its_thread_ends() -> None:
    async def poll(url: str) -> tuple[PollResult, float]:
        source = build(PrometheusSource, {"url": url, "timeout": "400ms"})
        await source.open()
        start = time.monotonic()
        (result,) = await source.poll([query(PrometheusSource, {"promql": "m"})], BEGIN)
        took = time.monotonic() - start
        await source.close()
        return result, took

    for weather in (drip(), drip(head=True), hang()):
        with wire(lambda _: Reply(200, VECTOR)) as server:
            server.forecast(weather)
            result, took = run(poll(server.url))
            failed(result, FailureReason.TIMEOUT)
            assert took < 1.0
            deadline = time.monotonic() + 3
            while any(each.name.startswith("evaluator-") for each in threading.enumerate()):
                assert time.monotonic() < deadline, "a thread still waits for the server"
                time.sleep(0.02)


def test_up_does_not_wait_behind_slow_queries() -> None:
    def answer(heard: Heard) -> Reply:
        if b"vector" not in heard.body:
            time.sleep(1.5)
        return Reply(200, VECTOR)

    with wire(answer) as server:
        *slow, up = ask(
            server.url,
            *(f"slow_{number}" for number in range(9)),
            {"measure": "up"},
            timeout="500ms",
            max_concurrency=2,
        )
        assert rows(up) == {"": 1.0}
        messages = [failed(each, FailureReason.TIMEOUT) for each in slow]
        assert sum("not asked within 0.5 s" in each for each in messages) >= 7


def test_where_time_is_short_other_queries_have_their_turn_first_next_time() -> None:
    """No rule stays blind behind the same slow ones, round after round."""
    names = [f"slow_{number}" for number in range(6)]

    def answer(heard: Heard) -> Reply:
        time.sleep(0.2)
        return Reply(200, VECTOR)

    async def polls(url: str) -> list[set[str]]:
        source = build(PrometheusSource, {"url": url, "timeout": "500ms", "max_concurrency": 1})
        queries = [query(PrometheusSource, {"promql": name}) for name in names]
        await source.open()
        answered = []
        for _ in range(4):
            results = await source.poll(queries, BEGIN)
            pairs = zip(names, results, strict=True)
            answered.append({name for name, result in pairs if isinstance(result, Samples)})
        await source.close()
        return answered

    with wire(answer) as server:
        answered = run(polls(server.url))
    assert all(0 < len(each) < len(names) for each in answered)
    assert set().union(*answered) == set(names)


def test_a_hundred_thousand_series_are_columns() -> None:
    result = [{"metric": {"host": f"web-{number}", "job": "x"}, "value": [1, str(number)]} for number in range(100_000)]
    body = success({"resultType": "vector", "result": result})
    with wire(lambda _: Reply(200, body)) as server:
        start = time.process_time()
        (samples,) = ask(server.url, "m", timeout="30s")
        assert time.process_time() - start < 3
    assert isinstance(samples, Samples)
    assert len(samples) == 100_000
    assert samples.values[99_999] == 99_999.0
    assert samples.labels[7] == {"host": "web-7", "job": "x"}


def test_the_environment_gives_no_credentials_and_no_proxy(monkeypatch: pytest.MonkeyPatch, past_url: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody()}")
    assert len(rows(ask(past_url, "cpu")[0])) == 3
    failed(ask(past_url, "cpu", proxy=f"http://127.0.0.1:{nobody()}")[0], FailureReason.REFUSED)


def test_settings_that_cannot_work_are_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"url": "localhost:9090"},
        {"url": "http://user:s3cret@localhost"},
        {"url": "http://localhost/?a=b"},
        {"url": "http://localhost", "username": "a"},
        {"url": "http://localhost", "username": "a", "password": "b", "token": "c"},
        {"url": "http://localhost", "key": "a"},
        {"url": "http://localhost", "timeout": 5},
        {"url": "http://localhost", "timeout": "0s"},
        {"url": "http://localhost", "max_size": "0"},
        {"url": "http://localhost", "max_concurrency": 0},
    ]
    for settings in bad:
        with pytest.raises(ValueError, match=r".+") as caught:
            build(PrometheusSource, settings)
        assert "s3cret" not in str(caught.value)
    for fields in ({}, {"promql": ""}, {"promql": " "}, {"promql": "a", "measure": "up"}):
        with pytest.raises(ValueError, match=r".+"):
            query(PrometheusSource, fields)


def test_a_poll_in_a_loop_that_is_busy_elsewhere_still_ends(past_url: str) -> None:
    async def poll() -> list[PollResult]:
        source = build(PrometheusSource, {"url": past_url})
        await source.open()
        polls = [source.poll([query(PrometheusSource, {"promql": "cpu"})], BEGIN + 60 * k) for k in range(20)]
        results = await asyncio.gather(*polls)
        await source.close()
        return [each for (each,) in results]

    assert [rows(each)["web-0"] for each in run(poll())] == [float(k) for k in range(20)]
