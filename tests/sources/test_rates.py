"""Growing counts, the threads of adapters, and the words for bad weather."""

import asyncio
import socket
import ssl
import threading
import time

import pytest

from evaluator.engine.samples import FailureReason
from evaluator.sources.rates import FORGET_AFTER, Rates, Reading
from evaluator.sources.threads import Threads
from evaluator.sources.weather import place, reason_of, said

A, B = (("i", "a"),), (("i", "b"),)


def test_a_series_that_is_new_has_no_rate_yet() -> None:
    rates = Rates()
    assert rates.advance("q", {A: Reading(5, 0)}, 0) == {}
    assert rates.advance("q", {A: Reading(25, 10), B: Reading(7, 10)}, 10) == {A: 2.0}
    assert rates.advance("q", {A: Reading(25, 20), B: Reading(8, 20)}, 20) == {A: 0.0, B: 0.1}


def test_a_count_that_began_anew_counts_from_zero() -> None:
    rates = Rates()
    rates.advance("q", {A: Reading(1000, 0)}, 0)
    assert rates.advance("q", {A: Reading(30, 10)}, 10) == {A: 3.0}


def test_a_series_that_was_away_begins_anew() -> None:
    rates = Rates()
    rates.advance("q", {A: Reading(0, 0)}, 0)
    assert rates.advance("q", {}, 10) == {}
    assert rates.advance("q", {A: Reading(100, 20)}, 20) == {}


def test_readings_too_close_repeat_the_last_rate_and_lose_nothing() -> None:
    rates = Rates()
    rates.advance("q", {A: Reading(0, 0)}, 0)
    assert rates.advance("q", {A: Reading(10, 10)}, 10) == {A: 1.0}
    assert rates.advance("q", {A: Reading(11, 10.1)}, 10.1) == {A: 1.0}
    assert rates.advance("q", {A: Reading(30, 20)}, 20) == {A: 2.0}


def test_a_clock_that_went_back_begins_anew() -> None:
    rates = Rates()
    rates.advance("q", {A: Reading(0, 100)}, 100)
    assert rates.advance("q", {A: Reading(10, 50)}, 50) == {}
    assert rates.advance("q", {A: Reading(20, 60)}, 60) == {A: 1.0}


def test_queries_do_not_share_a_memory_and_are_forgotten_when_nobody_asks() -> None:
    rates = Rates()
    rates.advance("q", {A: Reading(0, 0)}, 0)
    assert rates.advance("other", {A: Reading(10, 10)}, 10) == {}
    rates.advance("third", {}, FORGET_AFTER + 20)
    assert rates.advance("q", {A: Reading(10, FORGET_AFTER + 30)}, FORGET_AFTER + 30) == {}


def test_a_hung_call_does_not_hold_up_close_and_others_have_their_turn() -> None:
    threads, free = Threads("hung", 2), threading.Event()

    async def story() -> int:
        hung = asyncio.wrap_future(threads.submit(lambda: free.wait(20)))
        result = await asyncio.wrap_future(threads.submit(lambda: 7))
        hung.cancel()
        return result

    start = time.monotonic()
    assert asyncio.run(story()) == 7
    waiting = [threads.submit(lambda: free.wait(20)), threads.submit(lambda: free.wait(20))]
    threads.close()
    threads.close()
    assert time.monotonic() - start < 2
    assert waiting[1].cancelled()
    assert threads.submit(lambda: 1).cancelled()
    free.set()
    deadline = time.monotonic() + 2
    while any(each.name.startswith("hung") for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_call_that_raises_leaves_its_thread_alive() -> None:
    threads = Threads("raises", 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(2)
    assert threads.submit(lambda: 1).result(2) == 1
    threads.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "refused"), FailureReason.REFUSED),
        (socket.gaierror(-2, "Name or service not known"), FailureReason.REFUSED),
        (OSError(113, "No route to host"), FailureReason.REFUSED),
        (TimeoutError(), FailureReason.TIMEOUT),
        (ConnectionResetError(104, "reset"), FailureReason.RESET),
        (BrokenPipeError(32, "pipe"), FailureReason.RESET),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), FailureReason.TLS),
    ],
)
def test_the_cause_is_found_however_it_is_wrapped(error: OSError, reason: FailureReason) -> None:
    wrapped = RuntimeError("outside", ValueError(error))
    again = RuntimeError("further outside")
    again.__cause__ = wrapped
    for each in (error, wrapped, again):
        known = reason_of(each)
        assert known is not None
        assert known[0] is reason
    assert reason_of(ValueError("no weather")) is None


def test_what_a_server_says_becomes_one_short_line_without_secrets() -> None:
    assert said("bad\n\x1b[31m token  abc, abcdef!", ["abc", "abcdef"]) == "bad [31m token ***, ***!"
    assert len(said("x" * 1000)) == 300


def test_places_have_no_credentials() -> None:
    assert place("redis://user:pw@host:6379/0?x=y") == "redis://host:6379/0"
    assert place("https://[::1]:9090/prometheus") == "https://[::1]:9090/prometheus"
    assert place("unix:///run/redis.sock") == "unix:///run/redis.sock"
