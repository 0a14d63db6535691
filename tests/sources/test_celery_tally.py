"""What is counted of Celery's events, and what is not believed."""

import math
from typing import Any

import pytest

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources import celery_tally
from evaluator.sources.celery_tally import Tally
from evaluator.sources.celery_workers import Crew, Roll


def task(tally: Tally, kind: str, at: float, name: str | None = None, uuid: str = "u", host: str = "a@h") -> None:
    event: dict[str, Any] = {"type": f"task-{kind}", "uuid": uuid, "hostname": host, "timestamp": at}
    tally.event(event if name is None else {**event, "name": name}, at)


def beat(tally: Tally, at: float, processed: int, host: str = "a@h") -> None:
    tally.event({"type": "worker-heartbeat", "hostname": host, "processed": processed}, at)


def test_a_window_slides() -> None:
    tally = Tally()
    for second in range(0, 600, 10):
        task(tally, "received", second, "t", str(second))
        task(tally, "failed" if second < 300 else "succeeded", second, uuid=str(second))
    assert tally.results(300, 599.0).failed == 1
    assert tally.results(300, 599.0).succeeded == 30
    assert tally.results(3600, 599.0, "t").failed == 30
    assert tally.results(3600, 599.0, "other").finished == 0
    assert tally.results(60, 3000.0).finished == 0


def test_a_retry_is_no_failure_and_a_name_that_nobody_told_counts_in_all() -> None:
    tally = Tally()
    task(tally, "received", 1.0, "t", "x")
    task(tally, "retried", 2.0, uuid="x")
    task(tally, "rejected", 2.0, uuid="z")
    task(tally, "failed", 3.0, uuid="unknown")
    assert tally.results(60, 4.0, "t").finished == 0
    assert tally.results(60, 4.0).failed == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_tally, "_MOST_COUNTS", 500)
    monkeypatch.setattr(celery_tally, "_MOST_UUIDS", 100)
    tally = Tally()
    tally.listening(0.0)
    tally.remember(["wanted"])
    for number in range(5000):
        task(tally, "received", number, f"t{number}", f"u{number}", f"w{number}")
        task(tally, "received", number, "open", f"o{number}")
        task(tally, "succeeded", number, uuid=f"u{number}")
        beat(tally, number, 1, f"w{number}")
    assert len(tally._names) <= 100
    assert len(tally._tasks) <= 301
    assert tally._counts <= 501
    # What was dropped for want of room is no longer claimed to be known.
    assert tally.covered(0.0, 5000.0) < 0.999
    task(tally, "received", 5000.0, "wanted", "w")
    task(tally, "failed", 5000.0, uuid="w")
    assert tally.results(60, 5000.0, "wanted").failed == 1
    beat(tally, 5000.0 + 2 * 86400, 1)
    tally.beating(5000.0 + 2 * 86400)
    assert len(tally._workers) == 1


def test_holes_are_known() -> None:
    tally = Tally()
    assert tally.covered(0.0, 10.0) == 0.0
    tally.listening(10.0)
    tally.deaf(20.0)
    tally.deaf(25.0)
    tally.listening(30.0, tasks=False)
    tally.deaf(40.0)
    tally.listening(40.0)
    assert tally.covered(10.0, 20.0) == 1.0
    assert tally.covered(0.0, 50.0) == pytest.approx(0.4)
    assert tally.since() == 40.0


def test_garbage_is_left_out() -> None:
    tally = Tally()
    bad: list[dict[str, Any]] = [
        {},
        {"type": 3, "hostname": "a"},
        {"type": "task-succeeded", "hostname": ["a"]},
        {"type": "task-received", "hostname": "a", "name": {"x": 1}, "uuid": None},
        {"type": "worker-heartbeat", "hostname": "a", "processed": "many"},
        {"type": "task-succeeded", "hostname": "a", "uuid": "n", "timestamp": math.nan},
        {"type": "task-succeeded", "hostname": "a", "uuid": "n", "timestamp": "yesterday"},
    ]
    for event in bad:
        tally.event(event, 1.0)
    assert tally.results(60, 2.0).succeeded == 2
    assert tally.succeeded("(other)") is None


def test_a_worker_that_told_of_its_last_task_and_rests_is_not_mute() -> None:
    """Measured: the heartbeat that counts a task comes up to 2 s after the task's own events."""
    tally = Tally()
    beat(tally, 0.0, 7)
    task(tally, "started", 0.5, "t")
    task(tally, "succeeded", 0.6)
    for at in (2.0, 4.0, 6.0, 8.0, 10.0):
        beat(tally, at, 8)
        assert tally.mute(at) == set()
    # What it does later without a word is noticed as before.
    for at in (12.0, 14.0, 16.0):
        beat(tally, at, 9)
    assert tally.mute(16.0) == {"a@h"}


def test_a_worker_is_mute_only_when_its_events_should_have_come() -> None:
    tally = Tally()
    tally.listening(0.0)
    beat(tally, 0.0, 5)
    beat(tally, 2.0, 6)
    beat(tally, 4.0, 6)
    assert tally.mute(4.0) == set()
    beat(tally, 6.0, 6)
    assert tally.mute(6.0) == {"a@h"}
    task(tally, "succeeded", 7.0)
    assert tally.mute(7.0) == set()
    # A worker that was started again counts from 0.
    beat(tally, 8.0, 0)
    beat(tally, 10.0, 0)
    beat(tally, 12.0, 0)
    assert tally.mute(12.0) == set()


def test_a_goodbye_is_believed_at_once() -> None:
    tally = Tally()
    beat(tally, 0.0, 0)
    assert tally.beating(29.0) == {"a@h"}
    assert tally.beating(31.0) == set()
    beat(tally, 40.0, 0)
    tally.event({"type": "worker-offline", "hostname": "a@h"}, 41.0)
    assert tally.beating(41.0) == set()


def counted(crew: Crew, queue: str | None, consumers: dict[str, int], at: float) -> int:
    found = crew.count(queue, consumers, at)
    assert not isinstance(found, PollFailed), found
    return found[0]


def test_who_answers_and_who_beats_is_online() -> None:
    crew, queues = Crew(900.0), {"a": frozenset({"q"}), "b": frozenset({"q", "r"})}
    crew.muster(Roll(queues, 3), set(), 0.0)
    assert [counted(crew, queue, {}, 0.0) for queue in (None, "q", "r", "s")] == [3, 2, 1, 0]
    # `a` misses a call, and beats; then it is only connected; then it is not.
    crew.muster(Roll({"b": queues["b"]}, 2), {"a"}, 10.0)
    assert counted(crew, "q", {}, 10.0) == 2
    crew.muster(Roll({"b": queues["b"]}, 2), set(), 40.0)
    assert counted(crew, "q", {}, 40.0) == 2
    assert counted(crew, "q", {}, 940.1) == 1
    crew.muster(Roll({"b": queues["b"]}, 1), set(), 50.0)
    assert counted(crew, "q", {}, 50.0) == 1


def test_nobody_who_is_known_and_somebody_who_is_silent_is_no_zero() -> None:
    crew = Crew(900.0)
    crew.muster(Roll({}, 1), set(), 0.0)
    found = crew.count("q", {}, 0.0)
    assert isinstance(found, PollFailed)
    assert found.reason is FailureReason.UNAVAILABLE


def test_rabbitmq_counts_consumers() -> None:
    crew = Crew(100.0)
    crew.muster(Roll({"a": frozenset({"q"})}, None), set(), 0.0)
    assert counted(crew, "q", {"q": 1}, 0.0) == 1
    # It answers, and consumes no more after a broker's restart.
    assert counted(crew, "q", {"q": 0}, 0.0) == 0
    crew.muster(Roll({}, None), set(), 10.0)
    assert [counted(crew, queue, {"q": 1}, 10.0) for queue in (None, "q")] == [1, 1]
    assert [counted(crew, queue, {"q": 1}, 111.0) for queue in (None, "q")] == [0, 0]
    assert crew.expected(120.0, 5) is None
