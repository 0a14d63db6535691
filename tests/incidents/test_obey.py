"""What people may do to an incident."""

from dataclasses import replace

from evaluator.engine.alerts import State
from evaluator.engine.rules import NoDataPolicy
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.deliveries import Action
from evaluator.incidents.incident import CloseReason
from evaluator.incidents.obey import obey
from tests.stories import FAILED, HI, LO, Story, answer, rule, tier


def resolve(story: Story, now: float, incident: str, note: str = "") -> None:
    command = Command("c1", CommandKind.RESOLVE, incident, "ada", now, note)
    changes = obey(story.world, command, Circumstances(now, story.routes, "test", story.ids))
    assert changes.commands == {"c1": None}
    story.take(changes)


def told() -> Story:
    story = Story.of(rule()).tell([(0, HI)])
    story.deliver(0)
    return story


def test_a_humans_resolve_ends_the_incident_for_all_who_were_told() -> None:
    story = told()
    resolve(story, 60, story.open[0].id, "host was replaced")
    (incident,) = story.world.ended_incidents()
    assert incident.close_reason is CloseReason.RESOLVED_BY_HUMAN
    assert [row.action for row in story.deliver(60)] == [Action.RESOLVE]
    assert any(event.text == "ada resolved it: host was replaced" for event in story.events)


def test_what_still_breaches_opens_a_new_incident_after_half_an_hour_and_not_before() -> None:
    story = told()
    resolve(story, 60, story.open[0].id)
    story.tell([(now, HI) for now in range(120, 1860, 60)])
    assert not story.open
    assert story.state() is State.FIRING
    story.look(1860, HI)
    assert len(story.open) == 1


def test_what_nobody_can_see_any_more_is_forgotten() -> None:
    story = told()
    story.look(60, FAILED)
    resolve(story, 90, story.open[0].id)
    assert story.row() is None


def test_what_is_over_or_was_never_there_changes_nothing() -> None:
    story = told()
    incident = story.open[0].id
    resolve(story, 60, incident)
    before = list(story.events)
    resolve(story, 120, incident)
    resolve(story, 120, "no such incident")
    assert story.events == before


NIGHTLY = replace(tier(), limit=None, missed=Missed("0 * * * *", "UTC"))


def missed() -> Story:
    """Return a story of an hourly job that last told of a success at 60, and then of nothing."""
    story = Story.of(rule(NIGHTLY, unit=None))
    story.look(60, answer(60.0))
    story.look(3600, Samples())
    assert len(story.open) == 1
    return story


def test_a_missed_run_of_which_nothing_is_told_any_more_is_forgotten_when_a_human_resolves_it() -> None:
    story = missed()
    story.obey(3660, CommandKind.RESOLVE, story.open[0].id)
    assert story.row() is None
    story.tell([(now, Samples()) for now in range(3720, 9000, 60)])
    assert not story.open


def test_a_missed_run_that_is_told_of_opens_again_after_half_an_hour() -> None:
    story = missed()
    story.look(3660, answer(60.0))
    story.obey(3690, CommandKind.RESOLVE, story.open[0].id)
    assert story.row() is not None
    story.tell([(now, answer(60.0)) for now in range(3720, 5600, 60)])
    assert len(story.open) == 1


def test_a_missing_series_that_is_a_breach_is_not_forgotten() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH)).tell([(0, LO)])
    story.tell([(now, answer(web_2=LO)) for now in (60, 120, 180)])
    story.obey(200, CommandKind.RESOLVE, story.open[0].id)
    assert story.row() is not None
