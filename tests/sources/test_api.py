"""What every source keeps to that asks a vendor's JSON API: limits, waits, errors in words."""

import asyncio
import ssl
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import httpx
import msgspec
import pytest
import trustme

from evaluator.engine.samples import FailureReason, Samples
from evaluator.sources.api import ApiClient, AskError, Round
from evaluator.sources.api_limits import FIRST_WAIT, LONGEST_GUESS, LONGEST_WAIT, Budget, Gates, instant, told_to_wait
from evaluator.sources.api_refusals import complaint, did_you_mean, reason_of_error
from evaluator.sources.api_settings import ApiSettings, Terms
from evaluator.sources.weather import up_after
from evaluator.testing.sources import NOW, run
from evaluator.testing.wire import Heard, Reply, WireServer, drip, hang

DATE = formatdate(NOW, usegmt=True)
LATER = formatdate(NOW + 90, usegmt=True)


class Body(msgspec.Struct):
    fine: bool


def reply(_: Heard) -> Reply:
    return Reply(200, b'{"fine": true}', {"Date": DATE})


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer(reply) as wire:
        yield wire


def client(url: str, *, most: int = 100, seconds: float = 1.0, timeout: float = 1.0, concurrency: int = 4) -> ApiClient:
    terms = Terms("Vendor", url, {}, ["s3cret"], most, seconds, concurrency, "x-left", ("x-reset",))
    return ApiClient(terms, ApiSettings.model_validate({"timeout": f"{timeout * 1000:.0f}ms"}))


async def get(vendor: ApiClient, times: int = 1) -> list[FailureReason | None]:
    """Ask at once, and return what came of each request: nothing is fine."""
    await vendor.open()
    try:
        round_ = Round(vendor, NOW)
        messages: list[str] = []

        async def one() -> FailureReason | None:
            try:
                await round_.get("/", (), Body)
            except AskError as error:
                messages.append(error.failed.message)
                return error.failed.reason
            return None

        found = list(await asyncio.gather(*(one() for _ in range(times))))
        assert "s3cret" not in "".join(messages)
        return found
    finally:
        await vendor.close()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "1e9"}, LONGEST_WAIT),
        ({"retry-after": LATER, "date": DATE}, 90.0),
        ({"retry-after": LATER}, 40.0),
        ({"retry-after": DATE, "date": LATER}, 1.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan", "x-reset": "7"}, 7.0),
        ({"retry-after": "-5"}, None),
        ({"x-reset": str(NOW + 30), "date": DATE}, 30.0),
        ({"x-reset": str(NOW + 60)}, 10.0),
        ({"x-reset": "", "date": "yesterday"}, None),
    ],
)
def test_what_an_answer_tells_us_to_wait(headers: dict[str, str], wait: float | None) -> None:
    # Our clock is 50 s ahead of theirs, which counts only where they do not say their own.
    assert told_to_wait(headers, NOW + 50, ("x-reset",)) == wait


def test_an_http_date_without_a_zone_is_utc() -> None:
    assert instant("Tue, 14 Nov 2023 22:13:20 -0000") == NOW
    assert instant("") is None


def test_a_budget_is_a_sliding_window() -> None:
    budget = Budget(2, 10.0)
    for at in (0.0, 4.0):
        assert budget.delay(at) == 0.0
        budget.take(at)
    assert (budget.delay(5.0), budget.left(5.0)) == (5.0, 0)
    assert (budget.delay(10.0), budget.left(10.0)) == (0.0, 1)


def test_guesses_double_to_a_bound_and_begin_anew_after_an_answer() -> None:
    gates = Gates()
    assert [gates.refused("a", 0.0, None) for _ in range(20)][:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert gates.refused("a", 0.0, None) == LONGEST_GUESS
    assert gates.left("a", 100.0) == LONGEST_GUESS - 100
    assert gates.left("b", 0.0) == 0.0
    gates.answered("a")
    assert gates.refused("a", 0.0, None) == FIRST_WAIT
    gates.pause("a", 0.0, 5.0)
    assert gates.left("a", 0.0) == FIRST_WAIT


def test_requests_beyond_the_budget_wait_their_turn(server: WireServer) -> None:
    assert run(get(client(server.url, most=5, seconds=0.5), 10)) == [None] * 10
    times = sorted(heard.at for heard in server.log)
    assert times[5] - times[0] >= 0.3


def test_requests_that_would_wait_too_long_are_not_sent(server: WireServer) -> None:
    found = run(get(client(server.url, most=3, seconds=60.0), 5))
    assert found == [None] * 3 + [FailureReason.RATE_LIMITED] * 2
    assert len(server.log) == 3


def test_no_more_are_under_way_than_agreed() -> None:
    with WireServer(reply) as server:
        server.always = hang()
        assert run(get(client(server.url, concurrency=2, timeout=0.3), 8)) == [FailureReason.TIMEOUT] * 8
        assert len(server.log) == 2


def test_a_limit_that_is_used_up_is_waited_for() -> None:
    def last(_: Heard) -> Reply:
        return Reply(200, b'{"fine": true}', {"X-Left": "0", "X-Reset": "0.1"})

    with WireServer(last) as server:
        vendor = client(server.url, timeout=5.0, concurrency=1)
        assert run(get(vendor, 2)) == [None, None]
        assert server.log[1].at - server.log[0].at >= 0.9
        assert vendor.limits == {}


def test_a_server_that_drips_is_a_timeout(server: WireServer) -> None:
    server.always = drip(every=0.5)
    assert run(get(client(server.url, timeout=0.3))) == [FailureReason.TIMEOUT]


def test_a_certificate_that_nobody_vouches_for_is_tls() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def serve() -> list[FailureReason | None]:
        def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            writer.close()

        listener = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            return await get(client(f"https://127.0.0.1:{port}"))

    assert run(serve()) == [FailureReason.TLS]


@pytest.mark.parametrize("text", ["", "no certificate", None])
def test_authorities_that_cannot_be_read_are_tls_and_no_crash(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    terms = Terms("Vendor", "https://127.0.0.1:1", {}, [], 5, 1.0)
    vendor = ApiClient(terms, ApiSettings.model_validate({"ca": str(file)}))
    assert run(get(vendor)) == [FailureReason.TLS]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, FailureReason.BAD_ANSWER),
        (400, FailureReason.BAD_QUERY),
        (401, FailureReason.AUTH),
        (403, FailureReason.AUTH),
        (408, FailureReason.TIMEOUT),
        (418, FailureReason.BAD_ANSWER),
        (429, FailureReason.RATE_LIMITED),
        (500, FailureReason.UNAVAILABLE),
        (503, FailureReason.UNAVAILABLE),
    ],
)
def test_each_status_has_a_reason_and_repeats_no_secret(status: int, reason: FailureReason) -> None:
    with WireServer(lambda _: Reply(status, b'{"detail": "no s3cret\\nhere"}', {"Location": "/s3cret"})) as server:
        assert run(get(client(server.url))) == [reason]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "a"}', "a"),
        (b'{"detail": {"message": "b", "code": 5}}', "b"),
        (b'{"error": {"message": "c"}}', "c"),
        (b'{"message": ["d", "e", 5]}', "d; e"),
        (b'{"error": {"error": {"error": {"error": {"error": "deep"}}}}}', ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
        (b"5", ""),
        (b"", ""),
    ],
)
def test_the_words_of_an_error_are_found(body: bytes, words: str) -> None:
    assert complaint(body) == words


def test_hints_for_names() -> None:
    assert did_you_mean("apl", ["api", "web"]) == "; did you mean api?"
    assert did_you_mean("x", ["api", "web"]) == "; there are 2: api, web"
    assert did_you_mean("x", []) == "; there are none"


def test_an_error_without_a_cause_is_a_reset() -> None:
    assert reason_of_error(httpx.ReadError("x"))[0] is FailureReason.RESET
    assert reason_of_error(httpx.DecodingError("x"))[0] is FailureReason.BAD_ANSWER
    assert reason_of_error(httpx.RemoteProtocolError("illegal status line"))[0] is FailureReason.BAD_ANSWER
    group = OSError("All connection attempts failed")
    group.__cause__ = ExceptionGroup("x", [OSError(), ConnectionRefusedError(111, "no")])
    assert reason_of_error(group)[0] is FailureReason.REFUSED


def test_packed_answers_are_unpacked_and_still_bounded() -> None:
    import gzip

    packed = gzip.compress(b'{"fine": true, "more": "' + b"x" * 20_000_000 + b'"}')
    with WireServer(lambda _: Reply(200, packed, {"Content-Encoding": "gzip"})) as server:
        assert run(get(client(server.url, timeout=5.0))) == [FailureReason.TOO_BIG]
    with WireServer(lambda _: Reply(200, b"no gzip", {"Content-Encoding": "gzip"})) as server:
        assert run(get(client(server.url))) == [FailureReason.BAD_ANSWER]


def test_down_is_0_only_where_nobody_is_there() -> None:
    from evaluator.engine.samples import PollFailed

    gone = up_after(PollFailed(FailureReason.REFUSED, "x"))
    assert isinstance(gone, Samples)
    assert list(gone.values) == [0.0]
    assert isinstance(up_after(PollFailed(FailureReason.AUTH, "x")), PollFailed)
