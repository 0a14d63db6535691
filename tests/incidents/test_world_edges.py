"""What the world in memory takes in, gives back and drops, row by row."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, quiet_alert
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.engine.trail import CHUNK, Chunk
from evaluator.incidents.changes import Changes, ChunkKey, Judged, Remembered, Saved, SeriesKey
from evaluator.incidents.deliveries import Delivery, DeliveryState
from evaluator.incidents.silence import Silence
from evaluator.incidents.world import LONGEST_WAIT, RECENT, World
from tests.stories import HI, LO, WEB, Story, answer, labels, rule

OTHER = labels(host="web-2")
SILENCE = Silence("s1", Selector(), "ann", "disk swap", 0.0, 100.0)
CHUNK_OF_ONES: Chunk = (1.0,) * CHUNK


def judged(name: str) -> Judged:
    return Judged(name, 60.0, "{}", "page")


def chunk(
    number: int = 0, series: tuple[tuple[str, str], ...] = WEB, width: float = 60.0, rule: str = "cpu"
) -> ChunkKey:
    return ChunkKey(rule, width, series, number)


def world_of(*keys: ChunkKey) -> World:
    world = World()
    world.apply(Changes(chunks=dict.fromkeys(keys, CHUNK_OF_ONES)))
    return world


def test_chunks_are_found_by_rule_width_series_and_number() -> None:
    world = world_of(chunk(), chunk(1), chunk(series=OTHER), chunk(width=300.0), chunk(rule="disk"))
    one = {0: CHUNK_OF_ONES}
    assert world.trails == {
        "cpu": {(60.0, WEB): {0: CHUNK_OF_ONES, 1: CHUNK_OF_ONES}, (60.0, OTHER): one, (300.0, WEB): one},
        "disk": {(60.0, WEB): one},
    }


def test_what_the_last_chunk_was_in_is_dropped_with_it() -> None:
    world = world_of(chunk(), chunk(1), chunk(series=OTHER))
    world.apply(Changes(chunks={chunk(): None}))
    assert world.trails == {"cpu": {(60.0, WEB): {1: CHUNK_OF_ONES}, (60.0, OTHER): {0: CHUNK_OF_ONES}}}
    world.apply(Changes(chunks={chunk(1): None}))
    assert world.trails == {"cpu": {(60.0, OTHER): {0: CHUNK_OF_ONES}}}
    world.apply(Changes(chunks={chunk(series=OTHER): None}))
    assert world.trails == {}


def test_dropping_a_chunk_that_is_not_there_changes_nothing() -> None:
    world = world_of(chunk())
    world.apply(Changes(chunks={chunk(7): None, chunk(series=OTHER): None, chunk(rule="disk"): None}))
    assert world.trails == {"cpu": {(60.0, WEB): {0: CHUNK_OF_ONES}}}


def test_a_rule_that_is_judged_no_more_is_forgotten_whole() -> None:
    world = world_of(chunk(), chunk(rule="disk"))
    seen = Remembered("cpu", WEB)
    world.apply(
        Changes(
            judged={"cpu": judged("cpu"), "disk": judged("disk")},
            series={SeriesKey("cpu", WEB): seen, SeriesKey("disk", WEB): replace(seen, rule="disk")},
            slots={"cpu": 60.0, "disk": 60.0},
        )
    )
    world.apply(Changes(judged={"cpu": None, "never there": None}))
    assert (set(world.judged), set(world.remembered), set(world.trails), set(world.slots)) == ({"disk"},) * 4


def test_series_are_remembered_and_forgotten_one_by_one() -> None:
    world = World()
    keys = [SeriesKey("cpu", series) for series in (WEB, OTHER)]
    world.apply(Changes(series={key: Remembered("cpu", key.series, 30.0) for key in keys}))
    assert world.remembered == {"cpu": {WEB: 30.0, OTHER: 30.0}}
    world.apply(Changes(series={keys[0]: None, SeriesKey("disk", WEB): None}))
    assert world.remembered["cpu"] == {OTHER: 30.0}


def test_silences_come_and_go() -> None:
    world = World()
    world.apply(Changes(silences={"s1": SILENCE, "s2": replace(SILENCE, id="s2")}))
    assert world.silences == {"s1": SILENCE, "s2": replace(SILENCE, id="s2")}
    world.apply(Changes(silences={"s1": None, "never there": None}))
    assert set(world.silences) == {"s2"}


@pytest.mark.parametrize(("now", "kept"), [(100.0 + RECENT - 0.1, True), (100.0 + RECENT, False)])
def test_a_silence_that_is_over_is_kept_for_a_day_in_memory(now: float, kept: bool) -> None:
    world = World()
    world.apply(Changes(silences={"s1": SILENCE}))
    world.forget_old(now)
    assert ("s1" in world.silences) is kept


def test_a_start_finds_silences_and_chunks() -> None:
    world = World.load(Saved(silences=[SILENCE], chunks={chunk(): CHUNK_OF_ONES}, judged=[judged("cpu")]), 0.0)
    assert world.silences == {"s1": SILENCE}
    assert world.trails == {"cpu": {(60.0, WEB): {0: CHUNK_OF_ONES}}}
    assert world.judged == {"cpu": judged("cpu")}


def full() -> Story:
    """Return a story whose world has something of each kind."""
    story = Story.of(rule())
    story.look(0, answer(web_1=HI, web_2=HI))
    story.look(60, answer(web_1=HI, web_2=LO))
    story.take(
        Changes(
            series={SeriesKey("cpu", WEB): Remembered("cpu", WEB)},
            silences={"s1": SILENCE},
            chunks={chunk(): CHUNK_OF_ONES},
        )
    )
    return story


def test_a_copy_is_equal_and_a_world_of_its_own() -> None:
    story = full()
    before, copy = story.world.copied(), story.world.copied()
    assert copy == story.world
    story.look(120, answer(web_1=LO, web_2=HI))
    story.take(
        Changes(
            series={SeriesKey("cpu", OTHER): Remembered("cpu", OTHER)},
            silences={"s2": replace(SILENCE, id="s2")},
            chunks={chunk(1): CHUNK_OF_ONES, chunk(series=OTHER): CHUNK_OF_ONES},
            judged={"disk": judged("disk")},
        )
    )
    assert copy == before
    assert copy != story.world
    story.take(Changes(judged={"cpu": None}))
    assert copy == before


def test_what_is_held_back_is_copied_and_goes_with_its_rule() -> None:
    world = World()
    held: dict[str, Mapping[AlertKey, str]] = {"cpu": {AlertKey("cpu", Severity.P1, WEB): "silenced"}, "disk": {}}
    world.apply(Changes(held=held, judged={"cpu": judged("cpu")}))
    copy = world.copied()
    world.apply(Changes(judged={"cpu": None}))
    assert (world.held, copy.held) == ({"disk": {}}, held)


def test_alerts_come_and_go_and_a_rule_without_any_has_no_book() -> None:
    world = World()
    one, two = (quiet_alert(AlertKey("cpu", Severity.P1, series), 60.0) for series in (WEB, OTHER))
    world.apply(Changes(alerts={one.key: None}))
    assert world.alerts == {}
    world.apply(Changes(alerts={one.key: one, two.key: None}))
    assert world.alerts == {"cpu": {(Severity.P1, WEB): one}}
    world.apply(Changes(alerts={one.key: None}))
    assert world.alerts == {}


def row() -> Delivery:
    (found,) = Story.of(rule()).tell([(0, HI)]).world.deliveries.values()
    return found


@pytest.mark.parametrize(
    ("due_at", "after"),
    [
        (10.0, 10.0),
        (60.0 + LONGEST_WAIT, 60.0 + LONGEST_WAIT),
        (60.1 + LONGEST_WAIT, 60.0),
        (math.inf, math.inf),
    ],
)
def test_a_start_keeps_each_time_that_is_not_too_far_off(due_at: float, after: float) -> None:
    saved = replace(row(), due_at=due_at)
    assert World.load(Saved(deliveries=[saved]), 60.0).deliveries[saved.id] == replace(saved, due_at=after)


def test_a_start_takes_a_request_that_was_under_way_for_one_that_may_have_arrived() -> None:
    saved = replace(row(), claimed=True)
    assert World.load(Saved(deliveries=[saved]), 60.0).deliveries[saved.id] == replace(saved, claimed=False, told=True)


def test_open_incidents_are_in_the_order_in_which_they_opened_whatever_their_rule() -> None:
    story = Story.of(rule(), rule(name="another"))
    story.look(0, answer(web_9=HI), rule="cpu")
    story.look(1, answer(web_5=HI), rule="another")
    story.look(2, answer(web_9=HI, web_1=HI), rule="cpu")
    ids = [incident.id for incident in story.open]
    assert ids == sorted(ids)
    assert [incident.rule for incident in story.open] == ["cpu", "another", "cpu"]
    assert [incident.rule for incident in story.world.open_incidents("cpu")] == ["cpu", "cpu"]


def test_rows_are_in_the_order_of_their_receivers_and_of_their_making() -> None:
    world, one = World(), row()
    made = [("n", 2), ("m", 3), ("n", 1), ("m", 4)]
    rows = [replace(one, id=f"{name}{seq}", notifier=name, seq=seq) for name, seq in made]
    world.apply(Changes(deliveries={each.id: each for each in rows}))
    assert [each.id for each in world.deliveries_of(one.incident)] == ["m3", "m4", "n1", "n2"]
    assert world.deliveries_of("no such incident") == []


def test_rows_of_an_open_incident_stay_although_all_are_finished() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    (made,) = story.world.deliveries.values()
    story.take(Changes(deliveries={made.id: replace(made, state=DeliveryState.DROPPED)}))
    assert list(story.world.deliveries) == [made.id]
    story.look(60, LO)
    assert not story.world.deliveries


@pytest.mark.parametrize(
    ("state", "claimed", "stays"),
    [
        (DeliveryState.DONE, False, False),
        (DeliveryState.DROPPED, False, False),
        (DeliveryState.DROPPED, True, True),
        (DeliveryState.REFUSED, False, True),
        (DeliveryState.PENDING, False, True),
    ],
)
def test_rows_of_no_open_incident_stay_until_all_are_finished(state, claimed, stays) -> None:
    world, one = World(), row()
    first, second = replace(one, id="a", state=DeliveryState.DONE), replace(one, id="b", state=state, claimed=claimed)
    world.apply(Changes(deliveries={"a": first, "b": second}))
    assert set(world.deliveries) == ({"a", "b"} if stays else set())
