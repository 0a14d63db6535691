"""Of which parents anybody was told, which part of a storm still counts, and which end came last."""

from dataclasses import replace

import pytest

from evaluator.engine.damping import Storm
from evaluator.engine.rules import Severity
from evaluator.engine.samples import Samples
from evaluator.incidents.changes import Changes
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.inhibition import Inhibitor
from tests.stories import FAILED, HI, LO, WEB, Story, labels, rule, tier

AT_ONCE = Storm(opens=1, within=60.0)


def inhibitor(story: Story, now: float) -> Inhibitor:
    return Inhibitor.of(story.world, "db", story.rules["db"], now)


@pytest.mark.parametrize(
    ("left", "counts"),
    [
        ({}, False),
        ({"state": DeliveryState.PENDING}, True),
        ({"told": True}, True),
        ({"claimed": True}, True),
        ({"accepted": 1}, True),
        ({"told": True, "action": Action.NOTICE}, False),
        ({"told": True, "action": Action.RESOLVE}, False),
    ],
)
def test_whatever_may_have_reached_anybody_counts_as_told(left, counts) -> None:
    story = Story.of(rule(name="db"))
    story.look(60, HI, rule="db")
    rows = [replace(row, **{"state": DeliveryState.REFUSED, **left}) for row in story.world.deliveries.values()]
    story.take(Changes(deliveries={row.id: row for row in rows}))
    assert (inhibitor(story, 60).alive.find(WEB) is not None) is counts


@pytest.mark.parametrize(("now", "counts"), [(240.0, True), (241.0, False)])
def test_what_a_storm_has_counts_for_as_long_as_it_is_known(now, counts) -> None:
    story = Story.of(rule(name="db", storm=AT_ONCE), rule(name="disk", storm=AT_ONCE))
    story.look(60, a=HI, b=HI, rule="db")
    story.look(now, FAILED, rule="db")
    # Of another of its rules the storm goes on knowing.
    story.look(now, a=HI, b=HI, rule="disk")
    assert (inhibitor(story, now).alive.find(labels(host="b")) is not None) is counts


def test_what_is_only_pending_in_a_group_that_a_storm_has_inhibits_nothing() -> None:
    story = Story.of(
        rule(tier(Severity.P1, 97), tier(Severity.P2, 90, for_=600.0), name="db", storm=AT_ONCE, group_by=("z",))
    )
    hosts = [{"host": "a", "z": "x"}, {"host": "b", "z": "y"}, {"host": "c", "z": "y"}]
    story.look(60, Samples(hosts, [99.0, 99.0, HI]), rule="db")
    found = inhibitor(story, 60).alive
    assert [found.find(labels(**host)) is not None for host in hosts] == [True, True, False]


def test_an_end_of_which_nobody_was_told_hides_no_earlier_one() -> None:
    story = Story.of(rule(name="db"))
    story.look(60, a=HI, rule="db")
    story.deliver(60)
    story.look(120, a=LO, b=HI, rule="db")
    story.look(180, a=LO, b=LO, rule="db")
    over = inhibitor(story, 200).over
    assert over.find(labels(host="a")) is not None
    assert over.find(labels(host="b")) is None
