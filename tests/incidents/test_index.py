"""Finding incidents by what decisions ask for: openings, ends, storms and resolves by hand."""

from dataclasses import replace

import pytest

from evaluator.engine.rules import Severity
from evaluator.engine.samples import Series
from evaluator.incidents.incident import STORM, Caught, CloseReason, Incident, IncidentState
from evaluator.incidents.index import LONGEST_SPAN, ByHand, Index, InStorm
from tests.stories import WEB, labels

OTHER = labels(host="web-2")
BASE = Incident(
    id="i1",
    rule="cpu",
    group=WEB,
    service="web",
    severity=Severity.P1,
    state=IncidentState.OPEN,
    opened_at=100.0,
    active_at=100.0,
    updated_at=100.0,
    title="",
    why="",
)


def made(name: str, opened_at: float = 100.0, **fields: object) -> Incident:
    return replace(BASE, id=name, opened_at=opened_at, **fields)  # type: ignore[arg-type]


def over(incident: Incident, at: float, reason: CloseReason = CloseReason.RECOVERED, by: str = "") -> Incident:
    return replace(incident, state=IncidentState.RESOLVED, closed_at=at, close_reason=reason, closed_by=by)


def index_of(*incidents: Incident) -> Index:
    index = Index()
    for each in incidents:
        index.put(None, each)
    return index


def caught(group: Series = WEB, name: str = "cpu", severity: Severity = Severity.P1) -> Caught:
    return Caught(name, group, severity, 50.0)


def storm(name: str = "s1", *found: Caught, service: str = "web") -> Incident:
    return made(name, rule=STORM, group=(("service", service),), service=service, caught=found)


@pytest.mark.parametrize(("now", "count"), [(99.9, 0), (100.0, 1), (200.0, 2), (699.9, 2), (700.0, 1), (800.0, 0)])
def test_openings_of_a_group_count_for_so_many_seconds(now: float, count: int) -> None:
    index = index_of(made("a", 100.0), made("b", 200.0), made("c", 150.0, group=OTHER), made("d", 150.0, rule="disk"))
    assert index.opens("cpu", WEB, 600.0, now) == count
    assert index.opens("cpu", OTHER, 600.0, 200.0) == 1
    assert index.opens("cpu", labels(host="web-3"), 600.0, 200.0) == 0
    assert index.opens("ram", WEB, 600.0, 200.0) == 0


def test_an_incident_that_changes_is_counted_once_under_the_group_that_it_has() -> None:
    index = index_of(made("a"))
    index.put(made("a"), made("a", severity=Severity.P0))
    assert (index.opens("cpu", WEB, 600.0, 100.0), index.openings("web", 600.0, 100.0)) == (1, 1)
    index.put(made("a"), made("a", group=OTHER))
    assert (index.opens("cpu", WEB, 600.0, 100.0), index.opens("cpu", OTHER, 600.0, 100.0)) == (0, 1)
    assert index.openings("web", 600.0, 100.0) == 1


@pytest.mark.parametrize(("now", "count"), [(99.9, 0), (100.0, 2), (200.0, 3), (699.9, 3), (700.0, 1), (800.0, 0)])
def test_openings_of_a_service_count_for_so_many_seconds_storms_apart(now: float, count: int) -> None:
    index = index_of(
        made("b", 200.0),
        made("a", 100.0),
        made("c", 100.0, rule="disk"),
        made("d", 100.0, service="db"),
        storm(),
    )
    assert index.openings("web", 600.0, now) == count
    assert index.openings("mail", 600.0, now) == 0


def test_what_ended_after_a_time_is_found_the_latest_first() -> None:
    index = Index()
    for number, at in enumerate((300.0, 100.0, 200.0)):
        before = made(f"i{number}")
        index.put(None, before)
        index.put(before, over(before, at))
        # That it is over is taken in once.
        index.put(over(before, at), replace(over(before, at), title="later"))
    assert list(index.ended_since("cpu", 0.0)) == ["i0", "i2", "i1"]
    assert list(index.ended_since("cpu", 100.0)) == ["i0", "i2"]
    assert list(index.ended_since("cpu", 199.9)) == ["i0", "i2"]
    assert list(index.ended_since("cpu", 300.0)) == []
    assert list(index.ended_since("disk", 0.0)) == []


def test_what_is_found_over_at_a_start_has_ended_too() -> None:
    assert list(index_of(over(made("a"), 200.0)).ended_since("cpu", 0.0)) == ["a"]
    assert list(index_of(made("a")).ended_since("cpu", 0.0)) == []


def test_a_storm_has_what_it_caught_until_it_lets_it_go() -> None:
    both = storm("s1", caught(), caught(OTHER), caught(name="disk"))
    index = index_of(both)
    assert index.caught("cpu") == {WEB: InStorm("s1", "web", caught()), OTHER: InStorm("s1", "web", caught(OTHER))}
    assert index.caught("disk") == {WEB: InStorm("s1", "web", caught(name="disk"))}
    assert (index.caught("ram"), sorted(index.caught_rules())) == ({}, ["cpu", "disk"])
    fewer = storm("s1", caught(severity=Severity.P0), caught(OTHER))
    index.put(both, fewer)
    assert index.caught("cpu")[WEB] == InStorm("s1", "web", caught(severity=Severity.P0))
    assert (index.caught("disk"), index.caught_rules()) == ({}, ["cpu"])
    index.put(fewer, over(fewer, 200.0))
    assert (index.caught("cpu"), index.caught_rules()) == ({}, [])
    assert list(index.ended_since("cpu", 0.0)) == ["s1"]
    index.put(over(fewer, 200.0), replace(over(fewer, 200.0), title="later"))
    assert list(index.ended_since("cpu", 0.0)) == ["s1"]


def test_a_storm_that_is_over_at_a_start_has_nothing() -> None:
    index = index_of(over(storm("s1", caught(), caught(OTHER)), 200.0))
    assert (index.caught("cpu"), index.caught_rules()) == ({}, [])
    assert list(index.ended_since("cpu", 0.0)) == ["s1"]


HAND = CloseReason.RESOLVED_BY_HUMAN


def test_the_last_resolve_by_hand_is_known_for_each_group_that_it_was_about() -> None:
    index = index_of(over(made("a"), 200.0, HAND, "ann"))
    assert index.by_hand("cpu", WEB) == ByHand("a", 200.0, "ann")
    assert index.by_hand("cpu", OTHER) is None
    assert index.by_hand("disk", WEB) is None
    index.put(None, over(storm("s1", caught(), caught(OTHER, "disk")), 300.0, HAND, "bob"))
    assert index.by_hand("cpu", WEB) == index.by_hand("disk", OTHER) == ByHand("s1", 300.0, "bob")
    index.put(None, over(made("b"), 400.0))
    assert index.by_hand("cpu", WEB) == ByHand("s1", 300.0, "bob")


def test_what_ended_long_ago_is_forgotten_and_nothing_else() -> None:
    # Upper case, as ids are: what ended exactly a day ago is kept whatever its id.
    old, young = over(made("A", 100.0), 200.0, HAND), over(made("B", 150.0), 300.0)
    index = index_of(old, young, over(made("x", rule="disk"), 200.0, HAND))
    now = 200.1 + LONGEST_SPAN
    index.forget(old, now)
    assert index.by_hand("cpu", WEB) is None
    assert index.by_hand("disk", WEB) is not None
    assert index.opens("cpu", WEB, 600.0, 200.0) == 1
    assert list(index.ended_since("cpu", 0.0)) == ["B"]
    assert index.openings("web", LONGEST_SPAN, now) == 0
    index.forget(young, 300.0 + LONGEST_SPAN)
    assert index.opens("cpu", WEB, 600.0, 200.0) == 0
    assert list(index.ended_since("cpu", 0.0)) == ["B"]
    index.forget(over(made("x", rule="disk"), 200.0), now)
    # What nobody asks for is not held either.
    assert index._opens == {"cpu": {}, "disk": {}}
    assert index._openings == {"web": []}


def test_openings_that_may_still_be_counted_are_kept() -> None:
    index = index_of(over(made("a", 100.0), 150.0), made("b", 200.0))
    index.forget(over(made("a", 100.0), 150.0), 200.0 + LONGEST_SPAN)
    assert index.openings("web", LONGEST_SPAN, 200.0 + LONGEST_SPAN - 0.1) == 1


def test_a_later_resolve_by_hand_outlives_the_forgetting_of_an_earlier_incident() -> None:
    first = over(made("a"), 200.0, HAND, "ann")
    index = index_of(first, over(made("b"), 300.0, HAND, "bob"))
    index.forget(first, 400.0)
    assert index.by_hand("cpu", WEB) == ByHand("b", 300.0, "bob")


def test_forgetting_a_storm_forgets_it_for_all_that_it_had() -> None:
    gone = over(storm("s1", caught(), caught(OTHER, "disk")), 200.0, HAND, "ann")
    index = index_of(gone)
    index.forget(gone, 200.1 + LONGEST_SPAN)
    assert (index.by_hand("cpu", WEB), index.by_hand("disk", OTHER)) == (None, None)
    assert (list(index.ended_since("cpu", 0.0)), list(index.ended_since("disk", 0.0))) == ([], [])


def test_a_copy_is_equal_and_an_index_of_its_own() -> None:
    index = index_of(made("a"), over(made("b", group=OTHER), 200.0, HAND), storm("s1", caught()))
    before, copy = index.copied(), index.copied()
    assert copy == index
    index.put(None, made("c", 300.0))
    index.put(None, over(made("d", 300.0), 400.0, HAND))
    index.put(storm("s1", caught()), storm("s1", caught(), caught(OTHER)))
    assert copy == before
    assert copy != index
