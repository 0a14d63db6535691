"""The shipped rule that probes the login service: a real HTTP server that fails in the ways in which services fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evaluator.testing.weather import Heard, Reply, Weather, answer, hang
from evaluator.testing.wire import WireServer
from tests.rules.shipped import Watch, watch


def well(heard: Heard) -> Reply:
    return Reply(200, b'{"status": "ok"}')


@contextmanager
def probed(**target: str) -> Iterator[tuple[WireServer, Watch]]:
    """Watch a login service that is well."""
    with WireServer(well) as server:
        targets = {"auth": {"url": f"{server.url}/health", "timeout": "2s", **target}}
        with watch("auth-down", targets=targets) as watched:
            watched.is_quiet()
            yield server, watched


def test_a_login_service_that_is_gone_opens_and_closes_when_it_is_back() -> None:
    with probed() as (server, watched):
        with server.refusing():
            incident = watched.opens("P0")
            assert incident.group == (("target", "auth"),)
            watched.stays_open_while_blind()
        watched.closes()


@pytest.mark.parametrize(
    "weather",
    [answer(503, b"the session store does not answer"), answer(200, b"<html>Sorry!</html>"), hang()],
    ids=["error", "another page", "silence"],
)
def test_a_login_service_that_fails_opens_and_closes_when_it_is_well(weather: Weather) -> None:
    with probed(match='"status": "ok"') as (server, watched):
        server.always = weather
        # Silence takes as long as the target's timeout, so the source is asked once.
        watched.opens("P0", repeat=True)
        server.always = None
        watched.closes()


def test_one_bad_answer_is_no_incident() -> None:
    with probed() as (server, watched):
        server.forecast(answer(502))
        watched.look_for(300)
        assert not watched.incidents
