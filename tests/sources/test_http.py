"""The source `http` against real HTTP servers, and against bad weather."""

import asyncio
import gzip
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.http import HttpSource
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run
from evaluator.testing.wire import Heard, Reply, WireServer, drip, hang

SECRET = "s3cret-probe-token"


def ask(
    targets: Mapping[str, Any], *queries: Mapping[str, Any], now: float = 0.0, **settings: object
) -> list[PollResult]:
    source = build(HttpSource, {"targets": targets, "timeout": "4s", **settings})
    answers: list[list[PollResult]] = run(polled(source, [query(HttpSource, each) for each in queries], now))
    return answers[0]


def one(
    url: str, measure: str = "up", *, now: float = 0.0, more: Mapping[str, Any] | None = None, **target: object
) -> PollResult:
    (answer,) = ask({"a": {"url": url, **target}}, {"measure": measure, **(more or {})}, now=now)
    return answer


def rows(result: PollResult) -> dict[str, float]:
    assert isinstance(result, Samples), result
    return {row["target"]: value for row, value in zip(result.labels, result.values, strict=True)}


def down(result: PollResult) -> str:
    assert rows(result) == {"a": 0.0}
    assert isinstance(result, Samples)
    (warning,) = result.warnings
    return warning


def failed(result: PollResult, reason: FailureReason) -> str:
    assert isinstance(result, PollFailed), result
    assert result.reason is reason, result
    return result.message


def paths(heard: Heard) -> Reply:
    """A server with a page for each thing that a server may do."""
    path, _, rest = heard.path.partition("?")
    match path.strip("/").split("/"):
        case ["status", number]:
            return Reply(int(number), b"so it is")
        case ["to", number] if number != "0":
            return Reply(302, b"", {"Location": f"/to/{int(number) - 1}"})
        case ["loop"]:
            return Reply(301, b"", {"Location": "/loop"})
        case ["echo"]:
            return Reply(200, json.dumps({**heard.headers, "method": heard.method, "rest": rest}).encode())
        case ["json"]:
            return Reply(200, b'{"pool": {"out": 7, "size": 9.5, "full": false, "name": "x"}, "queues": [{"n": 3}]}')
        case ["cookie"]:
            return Reply(200, b"", {"Set-Cookie": "a=b; Path=/"})
        case ["elsewhere"]:
            return Reply(307, b"", {"Location": rest})
        case _:
            return Reply(200, b"all is ok")


@pytest.fixture(scope="module")
def server() -> Iterator[WireServer]:
    with WireServer(paths) as wire:
        yield wire


def saying(body: bytes) -> Callable[[Heard], Reply]:
    return lambda _: Reply(200, body)


class TestConformance(RemoteSourceConformance):
    kind = HttpSource
    queries = (
        {"measure": "status"},
        {"measure": "latency"},
        {"measure": "match"},
    )
    up = MappingProxyType({"measure": "up"})
    bad_query = MappingProxyType({"measure": "status", "target": "nobody"})
    secrets = (SECRET,)
    many = tuple({"measure": "latency", "target": ["one"] * number} for number in range(1, 101))
    most_requests = 1

    def settings(self, host: str, port: int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {SECRET}"}
        url = f"http://{host}:{port}/?token={SECRET}"
        return {"targets": {"one": {"url": url, "headers": headers, "match": "ok"}}}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with WireServer(paths) as wire:
            yield self.settings("127.0.0.1", int(wire.url.rpartition(":")[2]))

    def test_another_protocol_is_a_bad_answer(self) -> None:
        """A web page is what a probe asks for; what is no HTTP is down, and has no status."""
        with peer(b"\x00\x01\x02\r\n\r\n" * 10, "close") as other:
            failures = self.failures(other.host, other.port)
            assert {each.reason for each in failures} == {FailureReason.BAD_ANSWER}, failures
            up = self.is_up(other.host, other.port)
            assert isinstance(up, Samples)
            assert list(up.values) == [0.0]

    def test_doctor_says_how_to_mend_a_server_that_is_another(self) -> None:
        """To a probe another server is one whose body does not match: its rules are judged, so it is a warning."""
        with WireServer(saying(b"<html>Welcome</html>")) as other:
            lines = examined({"one": {"url": other.url, "match": "ok"}})
        assert [(each.grade, bool(each.mend)) for each in lines] == [(Grade.WARNING, True)]

    def test_a_server_that_drips_is_not_waited_for(self) -> None:
        """A status that has come is a fact, whatever becomes of the body; the latency is not known, and it is down."""
        with peer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "drip") as slow:
            url = f"http://{slow.host}:{slow.port}"
            start = time.monotonic()
            measures = ({"measure": "status"}, {"measure": "latency"}, {"measure": "up"})
            status, latency, up = ask({"a": {"url": url}}, *measures, timeout="500ms")
            assert time.monotonic() - start < 1
        assert rows(status) == {"a": 200.0}
        failed(latency, FailureReason.TIMEOUT)
        assert down(up)
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 10", b"\x00"):
            with peer(answer, "drip") as slow:
                assert {each.reason for each in self.failures(slow.host, slow.port)} <= {
                    FailureReason.TIMEOUT,
                    FailureReason.BAD_ANSWER,
                }

    def test_up_is_1_or_0_or_unknown(self) -> None:
        """What is unknown elsewhere, a connection that is reset, is what a probe is there to see."""
        seen: list[PollResult] = [self.is_up("127.0.0.1", nobody())]
        for broken in (peer(), peer(ending="reset"), peer(ending="close")):
            with broken as bad:
                seen.append(self.is_up(bad.host, bad.port))
        assert [rows_of(each) for each in seen] == [[({"target": "one"}, 0.0)]] * 4
        with self.fine() as settings:
            ((well,),) = run(polled(build(self.kind, settings), [query(self.kind, self.up)]))
        assert rows_of(well) == [({"target": "one"}, 1.0)]


def rows_of(result: PollResult) -> list[tuple[Mapping[str, str], float]]:
    assert isinstance(result, Samples), result
    return list(zip(result.labels, result.values, strict=True))


def test_up_says_why_it_is_0(server: WireServer) -> None:
    url = server.url
    assert rows(one(f"{url}/")) == {"a": 1.0}
    assert "HTTP 503 instead of 2xx" in down(one(f"{url}/status/503"))
    assert rows(one(f"{url}/status/503", expect_status=503)) == {"a": 1.0}
    assert rows(one(f"{url}/status/404", expect_status=["2xx", 404])) == {"a": 1.0}
    assert "HTTP 200 instead of 404" in down(one(f"{url}/", expect_status=404))
    assert rows(one(f"{url}/", match="^all .*ok$", not_match="error")) == {"a": 1.0}
    assert "`match` is not found in the body" in down(one(f"{url}/", match="fine"))
    assert "`not_match` is found in the body" in down(one(f"{url}/", not_match="is"))
    assert "nobody listens there" in down(one(f"http://127.0.0.1:{nobody()}/x?token={SECRET}"))


def test_each_measure_has_its_value(server: WireServer) -> None:
    targets = {
        "fine": {"url": server.url, "match": "ok"},
        "sick": {"url": f"{server.url}/status/500", "match": "ok"},
        "dead": {"url": f"http://127.0.0.1:{nobody()}", "match": "ok"},
        "bare": {"url": server.url},
    }
    phases = [{"measure": "latency", "phase": each} for each in ("connect", "first_byte", "total")]
    status, match, *latencies, alone = ask(
        targets, {"measure": "status"}, {"measure": "match"}, *phases, {"measure": "status", "target": "dead"}
    )
    seen = rows(status)
    assert {**seen, "dead": None} == {"fine": 200.0, "sick": 500.0, "dead": None, "bare": 200.0}
    assert math.isnan(seen["dead"])
    assert isinstance(status, Samples)
    assert [each for each in status.warnings if "dead" in each and "nobody listens there" in each]
    matched = rows(match)
    assert (matched["fine"], matched["sick"]) == (1.0, 0.0)
    assert math.isnan(matched["dead"])
    assert "bare" not in matched
    connect, first, total = (rows(each)["fine"] for each in latencies)
    assert 0 < connect < first < total < 1
    failed(alone, FailureReason.REFUSED)


def test_a_number_in_json_is_a_value(server: WireServer) -> None:
    targets = {
        "app": {"url": f"{server.url}/json"},
        "page": {"url": server.url},
        "sick": {"url": f"{server.url}/status/500"},
    }
    names = ("pool.out", "pool.size", "pool.full", "queues.0.n", "queues.1.n", "pool.name", "nothing", "pool")
    found = ask(targets, *({"measure": "value", "path": each, "target": "app"} for each in names))
    assert [rows(each)["app"] for each in found[:4]] == [7.0, 9.5, 0.0, 3.0]
    for answer, words in zip(found[4:], ("nothing at 1", "no number", "no nothing", "no number"), strict=True):
        assert words in failed(answer, FailureReason.BAD_ANSWER)
    page, sick = ask(targets, *({"measure": "value", "path": "a", "target": each} for each in ("page", "sick")))
    assert "no JSON" in failed(page, FailureReason.BAD_ANSWER)
    assert "HTTP 500" in failed(sick, FailureReason.UNAVAILABLE)
    for body in (b"[" * 100_000, b'{"a": 1' + b"0" * 400 + b"}", b'{"a": "1"}', b"null", b"\xff"):
        with WireServer(saying(body)) as odd:
            failed(one(odd.url, "value", more={"path": "a"}), FailureReason.BAD_ANSWER)


def test_a_target_that_is_not_there_is_a_bad_query_that_says_what_was_meant(server: WireServer) -> None:
    targets = {"auth": {"url": server.url}, "shop-eu": {"url": server.url}, "shop-us": {"url": server.url}}
    wrong, several, vain, plain, pattern, listed, bare = ask(
        targets,
        {"measure": "up", "target": "auht"},
        {"measure": "up", "target": ["auth", "nothing-like-it"]},
        {"measure": "up", "target": "x*"},
        {"measure": "tls_days_left", "target": "auth"},
        {"measure": "up", "target": "shop-*"},
        {"measure": "up", "target": ["auth", "shop-us", "auth"]},
        {"measure": "match"},
    )
    assert 'did you mean "auth"?' in failed(wrong, FailureReason.BAD_QUERY)
    assert "declared are auth, shop-eu, shop-us" in failed(several, FailureReason.BAD_QUERY)
    failed(vain, FailureReason.BAD_QUERY)
    assert "https://" in failed(plain, FailureReason.BAD_QUERY)
    assert rows(pattern) == {"shop-eu": 1.0, "shop-us": 1.0}
    assert rows(listed) == {"auth": 1.0, "shop-us": 1.0}
    assert "`match` or `not_match`" in failed(bare, FailureReason.BAD_QUERY)


def test_a_target_is_requested_once_a_poll_and_on_a_new_connection() -> None:
    with WireServer(paths) as wire:
        targets = {name: {"url": f"{wire.url}/cookie", "match": "x"} for name in ("a", "b")}
        measures = [
            {"measure": each, "target": name}
            for each in ("up", "status", "latency", "match")
            for name in ("a", "b", "*")
        ]
        source = build(HttpSource, {"targets": targets})
        run(polled(source, [query(HttpSource, each) for each in measures] * 20, times=3))
        assert len(wire.log) == 6
        assert wire.connections == 6
        assert not [each for each in wire.log if "cookie" in each.headers]
        assert source.usage() == {"requests": 6.0, "probes": 6.0}  # type: ignore[attr-defined]


def test_what_is_sent_is_what_the_settings_say(server: WireServer) -> None:
    headers = {"X-Key": SECRET, "user-agent": "mine", "Host": "shop.example.com"}
    place = len(server.log)
    assert rows(one(f"{server.url}/echo?a=1", method="POST", headers=headers, body="{}")) == {"a": 1.0}
    heard = server.log[place]
    assert (heard.method, heard.path, heard.body) == ("POST", "/echo?a=1", b"{}")
    assert heard.headers["x-key"] == SECRET
    assert (heard.headers["user-agent"], heard.headers["host"]) == ("mine", "shop.example.com")
    assert heard.headers["accept-encoding"] == "identity"
    assert rows(one(server.url.replace("127.0.0.1", "shop.invalid"), resolve="127.0.0.1")) == {"a": 1.0}
    assert server.log[-1].headers["host"] == server.url.replace("http://127.0.0.1", "shop.invalid")


def test_redirects_are_followed_as_far_as_allowed(server: WireServer) -> None:
    assert rows(one(f"{server.url}/to/5")) == {"a": 1.0}
    assert "more than 5 times" in down(one(f"{server.url}/to/6"))
    assert "more than 5 times" in down(one(f"{server.url}/loop"))
    assert rows(one(f"{server.url}/loop", follow_redirects=0, expect_status=301)) == {"a": 1.0}
    for hostile in (
        "ftp://x/",
        "http://",
        "http://[",
        "javascript:1",
        "http://" + "x" * 300,
        "http://a..b/",
        "//:99999/",
    ):
        assert down(one(f"{server.url}/elsewhere?{hostile}"))


def test_credentials_do_not_follow_to_another_place(server: WireServer) -> None:
    with WireServer(paths) as other:
        headers = {"Authorization": f"Bearer {SECRET}", "X-Key": SECRET}
        assert rows(one(f"{server.url}/elsewhere?{other.url}/echo", headers=headers)) == {"a": 1.0}
        assert SECRET not in str(other.log[-1].headers)
        assert rows(one(f"{server.url}/elsewhere?{server.url}/echo", headers=headers)) == {"a": 1.0}
        assert server.log[-1].headers["x-key"] == SECRET


def test_a_body_does_not_follow_to_another_place(server: WireServer) -> None:
    def moved(heard: Heard) -> Reply:
        return Reply(307, headers={"Location": heard.path.partition("?")[2]}) if "?" in heard.path else Reply(200)

    body: dict[str, Any] = {"method": "POST", "body": SECRET}
    with WireServer(moved) as first, WireServer(moved) as other:
        assert "on to 127.0.0.1, which is another place" in down(one(f"{first.url}/?{other.url}/", **body))
        assert not other.log
        assert rows(one(f"{first.url}/?{first.url}/", **body)) == {"a": 1.0}
        assert first.log[-1].body.decode() == SECRET
        assert rows(one(f"{first.url}/?{other.url}/", method="POST")) == {"a": 1.0}


def test_a_redirect_to_a_name_that_is_not_known_names_it(server: WireServer) -> None:
    text = down(one(f"{server.url}/elsewhere?http://no-such-host.invalid/"))
    assert "it sends us to no-such-host.invalid, and that name does not resolve" in text


def test_a_body_that_is_packed_wrongly_is_said_to_be() -> None:
    with peer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nplain", "close") as packer:
        assert "not packed as its Content-Encoding says" in down(one(f"http://127.0.0.1:{packer.port}/"))


def test_a_body_is_read_to_the_limit_packed_or_not() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 3
    with peer(chunks, "hang") as endless:
        url = f"http://127.0.0.1:{endless.port}"
        start = time.monotonic()
        answer = ask({"a": {"url": url, "match": "y"}}, {"measure": "up"}, max_size="100kB")[0]
        assert time.monotonic() - start < 1
        assert "not found in the first 100000 bytes" in down(answer)
    bomb = gzip.compress(b"\0" * 100_000_000)
    with WireServer(lambda _: Reply(200, bomb, {"Content-Encoding": "gzip"})) as wire:
        start = time.process_time()
        assert rows(ask({"a": {"url": wire.url, "match": "\0"}}, {"measure": "up"}, max_size="10kB")[0]) == {"a": 1.0}
        assert time.process_time() - start < 0.5
    small = gzip.compress(b"all is ok")
    with WireServer(lambda _: Reply(200, small, {"Content-Encoding": "gzip"})) as wire:
        assert rows(one(wire.url, match="^all is ok$")) == {"a": 1.0}
    with WireServer(lambda _: Reply(200, b"not packed", {"Content-Encoding": "gzip"})) as wire:
        assert down(one(wire.url))


def test_a_target_that_is_slow_fails_alone_and_delays_nobody() -> None:
    with WireServer(paths) as wire, peer() as hole, peer(ending="reset") as broken, WireServer(paths) as drips:
        drips.always = drip(every=0.05)
        targets = {f"fine-{number}": {"url": wire.url} for number in range(20)}
        targets |= {
            "hole": {"url": f"http://{hole.host}:{hole.port}"},
            "broken": {"url": f"http://{broken.host}:{broken.port}"},
        }
        targets |= {"drips": {"url": drips.url}}
        source = build(
            HttpSource, {"targets": targets, "timeout": "2s", "target_timeout": "300ms", "max_concurrency": 5}
        )
        start = time.monotonic()
        ((answer, latency),) = run(polled(source, [query(HttpSource, {"measure": each}) for each in ("up", "latency")]))
        assert time.monotonic() - start < 1.5
    seen = rows(answer)
    assert {name for name, value in seen.items() if value == 0.0} == {"hole", "broken", "drips"}
    assert isinstance(answer, Samples)
    assert len([each for each in answer.warnings if "no answer within 0.3 s" in each]) == 2
    assert all(value < 0.3 for value in rows(latency).values() if not math.isnan(value))


def test_targets_that_had_no_turn_are_not_down_and_come_first_next_time() -> None:
    with peer() as hole:
        url = f"http://{hole.host}:{hole.port}"
        settings = {
            "targets": {f"t{number}": {"url": url} for number in range(4)},
            "timeout": "500ms",
            "target_timeout": "300ms",
            "max_concurrency": 1,
        }
        ups = [query(HttpSource, {"measure": "up", "target": f"t{number}"}) for number in range(4)]
        polls = run(polled(build(HttpSource, settings), ups, times=4))
    for number, answers in enumerate(polls):
        (known,) = [each for each in answers if isinstance(each, Samples)]
        assert rows(known) == {f"t{number}": 0.0}
        for each in answers:
            if isinstance(each, PollFailed):
                assert "since others took too long" in failed(each, FailureReason.TIMEOUT)


def test_a_loop_that_is_held_up_blames_itself_and_no_target() -> None:
    def answer(heard: Heard) -> Reply:
        return Reply(200, b"")

    async def story(url: str, hole: str) -> list[PollResult]:
        source = build(HttpSource, {"targets": {"a": {"url": hole}}, "timeout": "1s", "target_timeout": "500ms"})
        await source.open()
        task = asyncio.create_task(source.poll([query(HttpSource, {"measure": "up"})], 0))
        await asyncio.sleep(0.1)
        # As if the machine had slept.
        time.sleep(0.6)
        held = await task
        well = await source.poll([query(HttpSource, {"measure": "up"})], 0)
        await source.close()
        return [*held, *well]

    with WireServer(answer) as wire, peer() as hole:
        held, well = run(story(wire.url, f"http://{hole.host}:{hole.port}"))
    assert "this process was itself held up" in failed(held, FailureReason.TIMEOUT)
    assert rows(well) == {"a": 0.0}


def resolver(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Any]) -> None:
    """Have the system answer for names; an exception is raised, a number of seconds is waited."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int | None, *, type: int) -> Any:  # noqa: A002, ANN401  # As the system's own.
        found = answers.get(host)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, threading.Event):
            found.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "late")
        if found is not None:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in found]
        return real(host, port, type=type)

    monkeypatch.setattr("evaluator.sources.http_names.socket.getaddrinfo", look_up)


SILENT = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_resolver_that_is_gone_is_our_own_blindness(monkeypatch: pytest.MonkeyPatch, server: WireServer) -> None:
    resolver(
        monkeypatch, {"a.test": SILENT, "b.test": SILENT, "c.test": NO_NAME, "d.test": NO_NAME, "e.test": ["192.0.2.1"]}
    )
    port = server.url.rpartition(":")[2]
    targets = {name: {"url": f"http://{name}.test:{port}"} for name in "abcd"}
    for measure in ("up", "status"):
        (all_of_them,) = ask(targets, {"measure": measure})
        assert "resolver has no answer" in failed(all_of_them, FailureReason.REFUSED)
    # Addresses without a name, and this machine's own, say nothing of the resolver.
    seen = rows(ask({**targets, "home": {"url": server.url}}, {"measure": "up"})[0])
    assert seen.pop("home") == 1.0
    assert all(math.isnan(value) for value in seen.values())
    # One name that nobody has is a fact.
    assert rows(ask({"c": targets["c"]}, {"measure": "up"})[0]) == {"c": 0.0}
    # Where the resolver knows another name, it is not the resolver.
    other = {**targets, "e": {"url": f"http://e.test:{port}", "timeout": "100ms"}}
    assert rows(ask(other, {"measure": "up", "target": "*"})[0]) == dict.fromkeys("abcde", 0.0)


def test_no_way_to_any_other_machine_is_our_own_blindness(monkeypatch: pytest.MonkeyPatch, server: WireServer) -> None:
    loops = asyncio.selector_events.BaseSelectorEventLoop
    real = loops.sock_connect

    async def connect(loop: asyncio.selector_events.BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:  # noqa: ANN401  # As the loop's own.
        if address[0].startswith("192.0.2."):
            raise OSError(101, "Network is unreachable")
        if address[0].startswith("198.51.100."):
            raise OSError(24, "Too many open files")
        await real(loop, sock, address)

    monkeypatch.setattr(loops, "sock_connect", connect)
    port = server.url.rpartition(":")[2]
    away = {name: {"url": f"http://192.0.2.{number}:{port}"} for number, name in enumerate("ab", 1)}
    (blind,) = ask(away, {"measure": "up"})
    assert "network is unreachable" in failed(blind, FailureReason.UNAVAILABLE)
    (mend, *_) = [each.mend for each in examined(away) if each.grade is Grade.WRONG]
    assert "resolv.conf" in mend
    (mend, *_) = [each.mend for each in examined({"full": {"url": f"http://198.51.100.1:{port}"}})]
    assert "LimitNOFILE" in mend
    (mixed,) = ask({**away, "home": {"url": server.url}}, {"measure": "up"})
    assert rows(mixed)["home"] == 1.0
    assert math.isnan(rows(mixed)["a"])
    (ours,) = ask({"full": {"url": f"http://198.51.100.1:{port}"}}, {"measure": "up"})
    assert isinstance(ours, PollFailed)
    assert "too many open files" in ours.message.lower()


def test_a_witness_that_is_silent_too_makes_targets_unknown(server: WireServer) -> None:
    with peer() as hole:
        dead = {"url": f"http://{hole.host}:{hole.port}", "timeout": "150ms"}
        for witness, known in ((server.url, True), (dead["url"], False)):
            targets = {
                "a": dead,
                "w": {"url": witness, "timeout": "150ms"},
                "sick": {"url": f"{server.url}/status/500"},
            }
            (up,) = ask(targets, {"measure": "up", "target": ["a", "sick"]}, witness="w")
            assert rows(up)["sick"] == 0.0
            assert math.isnan(rows(up)["a"]) is not known


def test_a_name_that_hangs_delays_no_other(monkeypatch: pytest.MonkeyPatch, server: WireServer) -> None:
    late = threading.Event()
    resolver(monkeypatch, {"slow.test": late, "fine.test": ["127.0.0.1"]})
    port = server.url.rpartition(":")[2]
    targets = {f"slow-{number}": {"url": f"http://slow.test:{port}"} for number in range(40)}
    targets["fine"] = {"url": f"http://fine.test:{port}"}
    try:
        (answer, first) = ask(
            targets, {"measure": "up"}, {"measure": "latency", "target": "fine"}, target_timeout="300ms"
        )
        seen = rows(answer)
        assert seen.pop("fine") == 1.0
        assert set(seen.values()) == {0.0}
        assert rows(first)["fine"] < 0.25
        assert len([each for each in threading.enumerate() if each.name.startswith("evaluator-conformance")]) <= 3
    finally:
        late.set()


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch, server: WireServer) -> None:
    resolver(monkeypatch, {"two.test": ["127.0.0.77", "127.0.0.1"]})
    assert rows(one(server.url.replace("127.0.0.1", "two.test"))) == {"a": 1.0}


def test_the_environment_gives_no_proxy_and_a_proxy_that_is_gone_is_our_blindness(
    monkeypatch: pytest.MonkeyPatch, server: WireServer
) -> None:
    proxy = f"http://user:{SECRET}@127.0.0.1:{nobody()}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert rows(one(server.url)) == {"a": 1.0}
    for url in (server.url, server.url.replace("http:", "https:")):
        message = failed(one(url, proxy=proxy), FailureReason.REFUSED)
        assert "the proxy is not reached" in message
        assert SECRET not in message
    with WireServer(paths) as between:
        assert rows(one("http://shop.invalid/x", proxy=between.url)) == {"a": 1.0}
        assert between.log[-1].path == "http://shop.invalid/x"
    for status, known in (("502 Bad Gateway", True), ("407 Proxy Authentication Required", False)):
        with peer(http(b"", status), "close") as says:
            answer = one("https://shop.invalid/", proxy=f"http://127.0.0.1:{says.port}")
            assert isinstance(answer, Samples if known else PollFailed), answer


@contextmanager
def canned() -> Iterator[int]:
    """A server in a thread of its own that answers whatever it is asked, cheaply; gives its port."""
    ready: list[int] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b"ok"))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        ready.append(server.sockets[0].getsockname()[1])
        started.set()
        await stop.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait(5)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def test_a_thousand_targets_are_asked_in_one_poll() -> None:
    with canned() as port, peer() as hole:
        targets = {f"t{number}": {"url": f"http://127.0.0.1:{port}/{number}"} for number in range(990)}
        targets |= {f"h{number}": {"url": f"http://127.0.0.1:{hole.port}"} for number in range(10)}
        queries = [query(HttpSource, {"measure": "up", "target": name}) for name in targets]
        # On a machine with other things to do the process may be held up, and then a poll says that it knows nothing.
        for _ in range(3):
            source = build(HttpSource, {"targets": targets, "timeout": "30s", "target_timeout": "4s"})
            wall, cpu = time.monotonic(), time.thread_time()
            ((*answers,),) = run(polled(source, queries))
            assert time.monotonic() - wall < 30
            assert time.thread_time() - cpu < 20
            if not any(isinstance(answer, PollFailed) for answer in answers):
                break
    values = [value for answer in answers for value in rows(answer).values()]
    assert (values.count(1.0), values.count(0.0)) == (990, 10)
    assert source.usage()["requests"] == 1000  # type: ignore[attr-defined]


def examined(
    targets: Mapping[str, Any], *queries: Mapping[str, Any], now: float = 0.0, **settings: object
) -> list[Checkup]:
    async def story() -> list[Checkup]:
        source: Any = build(HttpSource, {"targets": targets, "timeout": "1s", **settings})
        await source.open()
        try:
            found: list[Checkup] = await source.examine([query(HttpSource, each) for each in queries], now)
        finally:
            await source.close()
        return found

    found: list[Checkup] = run(story())
    return found


def test_a_checkup_tries_each_target_and_each_query(server: WireServer) -> None:
    with peer() as hole:
        targets = {
            "fine": {"url": f"{server.url}/?key={SECRET}"},
            "sick": {"url": f"{server.url}/status/500"},
            "hole": {"url": f"http://{hole.host}:{hole.port}"},
            "wrong": {"url": "https://127.0.0.1", "ca": "/nowhere/ca.pem"},
        }
        lines = examined(
            targets, {"measure": "up", "target": ["fine", "sick", "hole"]}, {"measure": "up", "target": "fien"}
        )
    found = {each.subject: each for each in lines}
    assert [found[f"target {name}"].grade for name in targets] == [Grade.FINE, Grade.WARNING, Grade.WRONG, Grade.WRONG]
    assert "HTTP 500 instead of 2xx" in found["target sick"].found
    assert "/nowhere/ca.pem" in found["target wrong"].found
    assert found["query up of fien"].grade is Grade.WRONG
    assert 'did you mean "fine"?' in found["query up of fien"].found
    assert "wrong" in found["targets"].found
    assert all(each.mend for each in lines if each.grade is not Grade.FINE)
    assert SECRET not in str(lines)


def test_settings_that_cannot_work_are_refused() -> None:
    fine = {"url": "http://localhost"}
    bad: list[dict[str, Any]] = [
        {"targets": {}},
        {"targets": {"a*": fine}},
        {"targets": {"": fine}},
        {"targets": {"a": {"url": "localhost"}}},
        {"targets": {"a": {"url": f"http://user:{SECRET}@localhost"}}},
        {"targets": {"a": {"url": "http://localhost:99999"}}},
        {"targets": {"a": {"url": "http://local host"}}},
        {"targets": {"a": {**fine, "method": "get"}}},
        {"targets": {"a": {**fine, "expect_status": []}}},
        {"targets": {"a": {**fine, "expect_status": "20x"}}},
        {"targets": {"a": {**fine, "expect_status": 99}}},
        {"targets": {"a": {**fine, "expect_status": True}}},
        {"targets": {"a": {**fine, "match": "("}}},
        {"targets": {"a": {**fine, "headers": {"a b": "c"}}}},
        {"targets": {"a": {**fine, "headers": {"a": f"{SECRET}\r\nx: y"}}}},
        {"targets": {"a": {**fine, "resolve": "localhost"}}},
        {"targets": {"a": {**fine, "resolve": "::1", "proxy": "http://proxy"}}},
        {"targets": {"a": {**fine, "proxy": f"socks5://{SECRET}@x"}}},
        {"targets": {"a": {**fine, "key": "k"}}},
        {"targets": {"a": {**fine, "ca": "k", "verify": False}}},
        {"targets": {"a": {**fine, "timeout": "11s"}}},
        {"targets": {"a": {**fine, "follow_redirects": 21}}},
        {"targets": {"a": fine}, "target_timeout": "11s"},
        {"targets": {"a": fine}, "witness": "b"},
    ]
    build(HttpSource, {"targets": {"a": fine}})
    for settings in bad:
        with pytest.raises(ValueError, match=r".+") as caught:
            build(HttpSource, settings)
        assert SECRET not in str(caught.value), settings
    wrong: list[dict[str, Any]] = [
        {"measure": "value"},
        {"measure": "up", "path": "a"},
        {"measure": "up", "phase": "tls"},
        {"measure": "up", "target": []},
        {"measure": "up", "target": ""},
    ]
    for fields in wrong:
        with pytest.raises(ValueError, match=r".+"):
            query(HttpSource, fields)


def test_a_hang_in_the_middle_of_an_answer_is_down(server: WireServer) -> None:
    with WireServer(paths) as wire:
        for weather in (hang(), drip(head=True, every=0.2)):
            wire.forecast(weather)
            assert "no answer within 0.3 s" in down(one(wire.url, timeout="300ms"))
    for broken in (http(b"abc", length=100), b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 999999 x\r\n\r\n"):
        with peer(broken, "close") as cut:
            assert down(one(f"http://127.0.0.1:{cut.port}"))
    many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % number for number in range(100_000))
    with peer(many, "hang") as chatty:
        assert down(one(f"http://127.0.0.1:{chatty.port}", timeout="1s"))


def test_a_pattern_that_runs_for_ever_holds_up_nobody_and_is_no_verdict(server: WireServer) -> None:
    async def story(url: str) -> tuple[PollResult, PollResult, float]:
        targets = {
            "odd": {"url": url, "match": '"status".*"ok"'},
            "fine": {"url": server.url, "match": "ok"},
        }
        source = build(HttpSource, {"targets": targets})
        await source.open()
        asked = [query(HttpSource, {"measure": "up", "target": each}) for each in ("odd", "*")]
        poll = asyncio.create_task(source.poll(asked, 0))
        longest = 0.0
        while not poll.done():
            begin = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - begin)
        await source.close()
        odd, every = await poll
        return odd, every, longest

    with WireServer(saying(b'"status"' * 60_000)) as hostile:
        odd, every, longest = run(story(hostile.url))
    assert "`match` takes too long" in failed(odd, FailureReason.BAD_QUERY)
    assert rows(every)["fine"] == 1.0
    assert math.isnan(rows(every)["odd"])
    assert longest < 0.3
