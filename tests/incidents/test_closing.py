"""The end of an incident, and its marks: what is written, and what is said to whom."""

from dataclasses import replace

import pytest

from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.closing import close
from evaluator.incidents.deliveries import Action
from evaluator.incidents.incident import CloseReason, Event, EventKind, IncidentState
from tests.stories import HI, Story, rule


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, False),
        ({"told": True}, True),
        ({"accepted": 1}, True),
        ({"claimed": True}, True),
    ],
)
def test_the_end_says_whether_anybody_may_have_been_told(fields, told) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    (row,) = story.world.deliveries.values()
    story.take(Changes(deliveries={row.id: replace(row, **fields)}))
    before = replace(story.open[0], muted="a silence")
    given = Circumstances(90.0, story.routes, "test", story.ids)
    changes = close(before, CloseReason.RESOLVED_BY_HUMAN, story.world, given, "ann")
    after = replace(
        before,
        state=IncidentState.RESOLVED,
        closed_at=90.0,
        updated_at=90.0,
        close_reason=CloseReason.RESOLVED_BY_HUMAN,
        closed_by="ann",
        told=told,
        muted="",
    )
    assert changes.incidents == {before.id: after}
    end = Event(before.id, 90.0, EventKind.RESOLVED, "closed: somebody resolved it by hand, after 1m30s")
    text = "it ended before anybody had been told of it, so nothing is sent"
    assert changes.events == ([end] if told else [end, Event(before.id, 90.0, EventKind.DROPPED, text)])
    made = [each.action for each in changes.deliveries.values() if each.id != row.id]
    assert made == ([Action.RESOLVE] if told else [])
    assert row.id in changes.deliveries


def test_nobody_is_named_who_did_not_resolve_it() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    given = Circumstances(90.0, story.routes, "test", story.ids)
    (after,) = close(story.open[0], CloseReason.GONE, story.world, given).incidents.values()
    assert after.closed_by == ""
