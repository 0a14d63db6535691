"""The daemon's time never goes back and follows the wall clock forward; judging goes on whatever that does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.daemon.clock import TOLERANCE, Clock, Jump
from evaluator.testing import servers
from evaluator.testing.pagerduty import PagerDuty
from tests.daemon.metrics import Metrics
from tests.daemon.running import House, rule, until

BEGIN = 1_790_000_000.0


class Hands:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.wall, self.tick = BEGIN, 50.0
        self.clock = Clock(lambda: self.wall, lambda: self.tick)

    def go(self, seconds: float, jump: float = 0.0) -> float:
        """Let time pass, and set the wall clock."""
        self.tick += seconds
        self.wall += seconds + jump
        return self.clock.now()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-10_000, 10_000) | st.just(0.0)), max_size=40))
def test_time_never_goes_back_never_stands_still_and_ends_at_the_wall(steps: list[tuple[float, float]]) -> None:
    hands = Hands()
    for seconds, jump in steps:
        before = hands.clock.now()
        now = hands.go(seconds, jump)
        assert now >= before
        # It may stand for as long as it is within the tolerance of the wall clock, no longer.
        assert now - before >= seconds - TOLERANCE - 1e-3
        assert now >= hands.wall - 1e-3
        assert hands.clock.behind == pytest.approx(max(0.0, now - hands.wall), abs=TOLERANCE + 1e-3)
    ahead = hands.clock.now() - hands.wall
    hands.go(0.0, max(0.0, ahead))
    assert hands.clock.now() == pytest.approx(hands.wall, abs=1e-3)


@given(st.lists(st.floats(0, 10), max_size=40))
def test_without_jumps_it_is_the_wall_clock(waits: list[float]) -> None:
    hands = Hands()
    for wait in waits:
        assert hands.go(wait) == pytest.approx(hands.wall)
        assert hands.clock.jump() is None
        assert hands.clock.behind == 0.0


def test_a_wall_clock_set_back_leaves_the_daemons_time_going_on_until_it_has_caught_up() -> None:
    hands = Hands()
    assert hands.go(10.0, -3600.0) == BEGIN + 10
    assert hands.clock.jump() is Jump.BACK
    assert hands.clock.jump() is None, "each jump is told once"
    assert hands.clock.behind == 3600
    assert hands.go(60.0) == BEGIN + 70
    assert hands.clock.wall().timestamp() == BEGIN + 70 - 3600
    assert hands.go(1.0, 3600.0) == BEGIN + 71
    assert hands.clock.jump() is Jump.FORWARD
    assert hands.clock.behind == 0.0


def test_a_machine_that_slept_has_missed_that_time() -> None:
    hands = Hands()
    assert hands.go(1.0, 7200.0) == BEGIN + 7201
    assert hands.clock.jump() is Jump.FORWARD


@pytest.fixture
def faketime(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment in which the wall clock is what a file says, and that file."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise servers.MissingComponentError("libfaketime is not installed here (apt-get install faketime)")
    ahead = tmp_path / "ahead"
    ahead.write_text("+0")
    environ = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(ahead),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # Files' times stay what they are.
        "NO_FAKE_STAT": "1",
    }
    return environ, ahead


def move(path: Path, seconds: int) -> None:
    """Set the wall clock, at once: a file that is half written would be no time."""
    beside = path.with_suffix(".new")
    beside.write_text(f"{seconds:+d}")
    beside.replace(path)


def test_a_wall_clock_set_back_and_forward_pauses_nothing_and_fires_nothing_early(
    house: House, pagerduty: PagerDuty, metrics: Metrics, faketime: tuple[dict[str, str], Path]
) -> None:
    environ, ahead = faketime
    house.rule(rule("errors", for_='"1s"') + rule("slow", for_='"10m"'))
    daemon = house.run(environ=environ, fork=False)
    metrics["slow"] = 20.0
    until(lambda: daemon.status()["pending"])

    def jump(seconds: int, direction: str) -> None:
        before = daemon.metric("rule_evaluations_total", rule="errors")
        move(ahead, seconds)
        until(lambda: daemon.metric("clock_jumps_total", direction=direction) >= 1)
        until(lambda: daemon.metric("rule_evaluations_total", rule="errors") >= before + 3)
        metrics["errors"] = 20.0
        (found,) = until(pagerduty.open_incidents)
        assert found.payload["payload"]["class"] == "errors"
        metrics["errors"] = 0.0
        until(lambda: not found.open)

    jump(-3600, "back")
    jump(3600, "forward")
    (pending,) = daemon.status()["pending"]
    assert pending["rule"] == "slow"
    assert 500 < pending["opens_in"] <= 600, "the hours that nobody saw do not count"
    assert pagerduty.account.pages == 2
    assert daemon.stop() < 10
