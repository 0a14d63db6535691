"""The source `self`: what it makes of the daemon's books, and what it says where there is no daemon."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from evaluator.engine.samples import FailureReason, PollFailed, Samples, series_of
from evaluator.sources.checkup import Grade
from evaluator.sources.reader import Health, NeedsReader, RuleHealth, SourceHealth
from evaluator.sources.self_query import SelfSettings
from evaluator.sources.self_source import SelfSource
from evaluator.testing.sources import NOW, Fields, SourceConformance, build, polled, query, run

HEALTH = Health(
    uptime=90.0,
    sources={
        "db": SourceHealth(silent=360.0, error="db:5432: nobody listens there", lag=2.5, missed=3.0),
        "cache": SourceHealth(silent=45.0, error="no answer within 5 s", own_rule=True, lag=0.1),
        "host": SourceHealth(silent=0.0, lag=0.2),
        "new": SourceHealth(),
    },
    former_sources=frozenset({"removed"}),
    rules={
        "slow": RuleHealth("db"),
        "typo": RuleHealth("host", 700.0, "no such function: rat"),
        "cpu": RuleHealth("host", 0.0),
    },
    former_rules=frozenset({"old"}),
    deliveries_pending=4,
    deliveries_refused=1,
    delivery_age=61.0,
    services_unpaged=2,
    config_errors=5,
    store_failing=12.0,
    mistakes=7.0,
    memory=1e8,
)


class Books:
    """A daemon whose health a test sets."""

    def __init__(self) -> None:
        self.now = HEALTH
        self.looks = 0

    def health(self) -> Health:
        self.looks += 1
        return self.now


class Attached(SelfSource):
    """As the daemon makes it."""

    def __init__(self, name: str, settings: SelfSettings) -> None:
        super().__init__(name, settings)
        self.books = Books()
        self.attach(self.books)


class TestSelf(SourceConformance):
    kind: ClassVar[Any] = Attached
    counts = False  # It costs nothing: the daemon knows it already.
    queries: ClassVar[Any] = (
        *({"measure": name} for name in ("up", "uptime", "source_silent", "rule_blind", "cycle_lag", "memory_used")),
        {"measure": "source_silent", "unwatched": True},
        {"measure": "rule_blind", "rule": "typo"},
        *({"measure": f"deliveries_{name}"} for name in ("pending", "refused")),
        *({"measure": name} for name in ("delivery_age", "services_unpaged", "config_problems", "store_failing")),
    )

    @contextmanager
    def fine(self) -> Iterator[Fields]:
        yield {}


def asked(**fields: object) -> Samples:
    (answers,) = run(polled(build(Attached, {}), [query(Attached, fields)]))
    assert isinstance(answers[0], Samples)
    return answers[0]


def rows(answer: Samples, label: str) -> dict[str, float]:
    return {labels[label]: value for labels, value in zip(answer.labels, answer.values, strict=True)}


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("up", 1.0),
        ("uptime", 90.0),
        ("deliveries_pending", 4.0),
        ("deliveries_refused", 1.0),
        ("delivery_age", 61.0),
        ("services_unpaged", 2.0),
        ("config_problems", 5.0),
        ("store_failing", 12.0),
        ("memory_used", 1e8),
    ],
)
def test_what_is_one_number(measure: str, value: float) -> None:
    answer = asked(measure=measure)
    assert (list(answer.labels), list(answer.values)) == ([{}], [value])


def test_memory_that_the_system_does_not_tell_is_no_row() -> None:
    source = Attached("self", SelfSettings())
    source.books.now = Health()
    (answers,) = run(polled(source, [query(Attached, {"measure": "memory_used"})]))
    assert isinstance(answers[0], Samples)
    assert len(answers[0]) == 0


def test_each_source_is_a_series_once_it_was_asked() -> None:
    answer = asked(measure="source_silent")
    assert rows(answer, "source") == {"db": 360.0, "cache": 45.0, "host": 0.0}, "nothing is known of `new` yet"
    assert answer.gone == {series_of({"source": "removed"})}, "what is new is not gone"
    assert answer.notes == {
        series_of({"source": "db"}): "db:5432: nobody listens there",
        series_of({"source": "cache"}): "no answer within 5 s",
    }
    assert rows(asked(measure="cycle_lag"), "source") == {"db": 2.5, "cache": 0.1, "host": 0.2}
    assert rows(asked(measure="source_silent", source="host"), "source") == {"host": 0.0}


def test_what_has_a_rule_of_its_own_is_no_longer_ours() -> None:
    answer = asked(measure="source_silent", unwatched=True)
    assert rows(answer, "source") == {"db": 360.0, "host": 0.0}
    assert answer.gone == {series_of({"source": "removed"}), series_of({"source": "cache"})}


def test_each_rule_is_a_series_while_its_source_answers() -> None:
    answer = asked(measure="rule_blind")
    assert rows(answer, "rule") == {"typo": 700.0, "cpu": 0.0}
    assert answer.gone == {series_of({"rule": "old"})}, "a rule whose source is down is not gone"
    assert answer.notes == {series_of({"rule": "typo"}): "no such function: rat"}
    assert rows(asked(measure="rule_blind", rule="cpu"), "rule") == {"cpu": 0.0}


def test_growing_counts_are_rates() -> None:
    async def twice(source: Attached) -> list[Samples]:
        wanted = [query(Attached, {"measure": name, "per": "1h"}) for name in ("missed_slots", "mistakes")]
        first = await source.poll(wanted, NOW)
        source.books.now = Health(sources={"db": SourceHealth(missed=8.0)}, mistakes=8.0)
        second = await source.poll(wanted, NOW + 60)
        return [answer for answer in (*first, *second) if isinstance(answer, Samples)]

    empty, also, missed, mistakes = run(twice(Attached("self", SelfSettings())))
    assert len(empty) == len(also) == 0, "growth needs two readings"
    assert rows(missed, "source") == {"db": pytest.approx(5 * 60)}
    assert list(mistakes.values) == [pytest.approx(60.0)]


def test_one_poll_is_one_look() -> None:
    source = Attached("self", SelfSettings())
    wanted = [query(Attached, {"measure": name}) for name in ("up", "memory_used", "source_silent")] * 100
    run(polled(source, wanted))
    assert source.books.looks == 1


def test_without_a_daemon_it_says_where_to_look() -> None:
    source = build(SelfSource, {})
    assert isinstance(source, NeedsReader)
    (answers,) = run(polled(source, [query(SelfSource, {"measure": name}) for name in ("up", "memory_used")]))
    for answer in answers:
        assert isinstance(answer, PollFailed)
        assert answer.reason is FailureReason.UNAVAILABLE
        assert "evaluator status" in answer.message
    (found,) = run(build(SelfSource, {}).examine([], NOW))  # type: ignore[attr-defined]
    assert found.grade is Grade.FINE
    assert "running daemon" in found.found


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"measure": "uptim"}, "uptime"),
        ({"measure": "missed_slots"}, "only grows"),
        ({"measure": "up", "per": "1h"}, "`per` is for counts that grow"),
        ({"measure": "memory_used", "source": "db"}, "`source` is for measures of sources"),
        ({"measure": "cycle_lag", "unwatched": True}, "`unwatched` is for"),
        ({"measure": "source_silent", "rule": "x"}, "`rule` is for"),
    ],
)
def test_what_would_do_nothing_is_refused(fields: Fields, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SelfSource.Query.model_validate(dict(fields))
