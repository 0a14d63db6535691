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
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.prometheus import PrometheusSource
from evaluator.sources.prometheus_report import compares
from evaluator.testing import servers
from evaluator.testing.http_sources import HttpSourceConformance
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.sources import build, polled, query, run
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


class TestConformance(HttpSourceConformance):
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
            # The server answers one request after the other; this one must not hold up the others.
            server.lock.release()
            time.sleep(1.5)
            server.lock.acquire()
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
        {"url": "http://localhost:99999"},
        {"url": "http://[localhost"},
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


def matrix(*series: Mapping[str, Any], **more: object) -> bytes:
    return success({"resultType": "matrix", "result": series}, **more)


def past_of(
    url: str, expression: str = "m", start: float = 0.0, end: float = 40.0, step: float = 10.0
) -> list[PollResult]:
    async def read() -> list[tuple[float, PollResult]] | None:
        source = build(PrometheusSource, {"url": url, "timeout": "2s"})
        await source.open()
        try:
            return await source.history(query(PrometheusSource, {"promql": expression}), start, end, step)
        finally:
            await source.close()

    past = run(read())
    assert [at for at, _ in past] == [start + step * index for index in range(len(past))]
    return [result for _, result in past]


def test_history_has_every_kind_of_number_its_holes_and_its_warnings() -> None:
    values = [[0, "NaN"], [10, "+Inf"], [30, "-Inf"], [40, "1e+300"]]
    body = matrix(
        {"metric": {"host": "a"}, "values": values},
        {"metric": {"host": "b"}, "values": [[20, "1"]]},
        warnings=["one store is gone"],
        infos=["not a counter"],
    )
    with wire(lambda _: Reply(200, body)) as server:
        past = past_of(server.url)
    assert all(isinstance(each, Samples) for each in past)
    assert {each.warnings for each in past if isinstance(each, Samples)} == {("one store is gone", "not a counter")}
    assert math.isnan(rows(past[0])["a"])
    assert [rows(each) for each in past[1:]] == [{"a": math.inf}, {"b": 1.0}, {"a": -math.inf}, {"a": 1e300}]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (matrix({"metric": {}, "histograms": [[0, {"count": "1"}]]}), "bad_query", "histogram_quantile()"),
        (
            matrix({"metric": {}, "values": [[0, "1"]], "histograms": [[10, {"count": "1"}]]}),
            "bad_query",
            "histogram_quantile()",
        ),
        (success({"resultType": "vector", "result": []}), "bad_answer", "no range"),
        (success({"resultType": "scalar", "result": [1, "2"]}), "bad_answer", "no range"),
        (b'{"status":"success"}', "bad_answer", "no range"),
        (matrix({"metric": {}, "values": [[0, "x"]]}), "bad_answer", "not what"),
        (matrix({"metric": {}, "values": [[5, "1"], [15, "1"]]}), "bad_answer", "align_queries_with_step"),
        (matrix({"metric": {}, "values": [[-10, "1"]]}), "bad_answer", "align_queries_with_step"),
        (matrix({"metric": {}, "values": [[50, "1"]]}), "bad_answer", "align_queries_with_step"),
    ],
)
def test_a_past_that_cannot_be_judged_says_why(body: bytes, reason: str, words: str) -> None:
    with wire(lambda _: Reply(200, body)) as server:
        past = past_of(server.url)
    assert len(past) == 5
    for each in past:
        assert words in failed(each, FailureReason(reason))


def test_history_keeps_what_was_read_before_the_server_went_away() -> None:
    def answer(heard: Heard) -> Reply:
        start = float(parse_qs(heard.body.decode())["start"][0])
        if start > 0:
            return Reply(503, b'{"status":"error","errorType":"unavailable","error":"no store"}')
        return Reply(200, matrix({"metric": {}, "values": [[0, "1"], [10_999, "2"]]}))

    with wire(answer) as server:
        past = past_of(server.url, end=24_999.0, step=1.0)
        assert len(server.log) == 2, "the rest of the past was asked for in vain"
    assert len(past) == 25_000
    assert (rows(past[0]), rows(past[1]), rows(past[10_999])) == ({"": 1.0}, {}, {"": 2.0})
    for each in (past[11_000], past[-1]):
        assert "no store" in failed(each, FailureReason.UNAVAILABLE)


def test_history_that_needs_too_many_samples_is_read_in_halves() -> None:
    asked: list[float] = []

    def answer(heard: Heard) -> Reply:
        form = {key: float(value) for key, (value,) in parse_qs(heard.body.decode()).items() if key != "query"}
        asked.append(form["end"] - form["start"])
        if asked[-1] > 10:
            error = "query processing would load too many samples into memory in query execution"
            return Reply(422, json.dumps({"status": "error", "errorType": "execution", "error": error}).encode())
        return Reply(200, matrix({"metric": {}, "values": [[form["start"], "1"]]}))

    with wire(answer) as server:
        past = past_of(server.url)
    assert asked == [40.0, 10.0, 20.0, 0.0, 10.0]
    assert [len(each) for each in past if isinstance(each, Samples)] == [1, 0, 1, 1, 0]


def examined(url: str, *expressions: str, now: float = BEGIN + 3600, **settings: object) -> list[Checkup]:
    async def story() -> list[Checkup]:
        source: Any = build(PrometheusSource, {"url": url, "timeout": "2s", **settings})
        await source.open()
        try:
            found: list[Checkup] = await source.examine(
                [query(PrometheusSource, {"promql": each}) for each in expressions], now
            )
        finally:
            await source.close()
        return found

    found: list[Checkup] = run(story())
    assert all(each.mend for each in found if each.grade is not Grade.FINE), found
    return found


def test_a_checkup_tells_the_version_and_asks_each_query(past_url: str) -> None:
    lines = examined(past_url, "cpu", "sum(", "no_such_metric", "cpu > 90", "cpu * 0 / 0", "cpu{host='web-0'} > bool 1")
    connection, fine, broken, empty, compared, unknown, switch = lines
    assert connection.grade is Grade.FINE
    assert "version " in connection.found
    assert "not told" not in connection.found
    assert (fine.subject, fine.grade) == ("query cpu", Grade.FINE)
    assert fine.found.startswith("3 series in ")
    assert broken.grade is Grade.WRONG
    assert "parse error" in broken.found
    assert (empty.grade, empty.found) == (Grade.WARNING, "has no series now")
    assert compared.grade is Grade.WARNING
    assert compared.mend == "give the limit to the rule"
    assert "3 of 3 values are NaN" in unknown.found
    assert switch.grade is Grade.FINE


def test_a_checkup_of_a_server_that_wants_other_credentials() -> None:
    with wire(lambda _: Reply(401, b"Unauthorized")) as server:
        (line,) = examined(server.url, "cpu", token=TOKEN)
    assert line.grade is Grade.WRONG
    assert "`token`" in line.mend
    assert TOKEN not in str(line)


def test_a_checkup_warns_of_what_is_slow_large_or_incomplete() -> None:
    large = [{"metric": {"n": str(number)}, "value": [1, "1"]} for number in range(10_001)]

    def answer(heard: Heard) -> Reply:
        if heard.path.endswith("buildinfo"):
            return Reply(404, b"404 page not found")
        if b"slow" in heard.body:
            time.sleep(0.6)
        if b"large" in heard.body:
            return Reply(200, success({"resultType": "vector", "result": large}, warnings=["one store is gone"]))
        return Reply(200, VECTOR)

    with wire(answer) as server:
        connection, slow = examined(server.url, "slow")
        _, partial, many = examined(server.url, "large", timeout="20s")
    assert connection.grade is Grade.FINE
    assert "its version is not told" in connection.found
    assert {each.grade for each in (slow, partial, many)} == {Grade.WARNING}
    assert slow.found.startswith("takes 0.6 s of 2 s")
    assert partial.found == "one store is gone"
    assert many.found == "has 10001 series"


@pytest.mark.parametrize(
    ("promql", "limit"),
    [
        ("up == 0", True),
        ("(sum(rate(a[5m])) / sum(rate(b[5m]))) > 0.05", True),
        ("((up < 1))", True),
        ("(a) > (b)", True),
        ('up{job!="a",host=~"b>c"}', False),
        ("count(up == 0)", False),
        ("up == bool 0", False),
        ("a / b and b > 5", False),
        ("sum(rate(a[5m])) # > 5", False),
        ("label_replace(up, 'a', '>', 'b', '')", False),
    ],
)
def test_a_comparison_at_the_end_is_a_limit(promql: str, limit: bool) -> None:
    assert compares(promql) is limit


def test_usage_counts_requests_and_bytes(past_url: str) -> None:
    source: Any = build(PrometheusSource, {"url": past_url})
    assert source.usage() == {"requests": 0.0, "bytes": 0.0}
    run(polled(source, [query(PrometheusSource, {"promql": f"cpu + {n % 5}"}) for n in range(100)], BEGIN, times=2))
    assert source.usage()["requests"] == 10
    assert source.usage()["bytes"] > 1000
