"""What a human's resolve writes, and what it leaves alone."""

from dataclasses import replace

import pytest

from evaluator.engine.rules import RuleSet
from evaluator.engine.shapes import Missed
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.incident import Event, EventKind
from evaluator.incidents.obey import obey
from tests.stories import FAILED, HI, Story, answer, labels, rule, tier


def resolve(story: Story, now: float, incident: str, note: str = "") -> None:
    command = Command("c1", CommandKind.RESOLVE, incident, "ada", now, note)
    story.take(obey(story.world, command, Circumstances(now + 5, story.routes, "test", story.ids)))


@pytest.mark.parametrize(
    ("note", "text"), [("", "ada resolved it"), ("host was replaced", "ada resolved it: host was replaced")]
)
def test_the_timeline_says_who_resolved_it_and_why(note: str, text: str) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    (incident,) = story.open
    resolve(story, 60, incident.id, note)
    assert Event(incident.id, 65, EventKind.COMMANDED, text) in story.events


def test_what_can_be_seen_and_what_belongs_to_another_incident_is_not_forgotten() -> None:
    story = Story.of(rule())
    story.look(0, answer(web_1=HI, web_2=HI, web_3=HI))
    by_group = {incident.group: incident.id for incident in story.open}
    resolve(story, 30, by_group[labels(host="web-3")])
    assert story.row(series=labels(host="web-3")) is not None
    story.look(60, FAILED)
    resolve(story, 90, by_group[labels(host="web-1")])
    assert story.row(series=labels(host="web-1")) is None
    assert story.row(series=labels(host="web-2")) is not None


@pytest.mark.parametrize(("absent", "missed", "stays"), [(0.0, True, True), (1.0, True, False), (1.0, False, True)])
def test_a_job_that_tells_nothing_any_more_is_forgotten_though_it_is_judged(absent, missed, stays) -> None:
    job = rule(replace(tier(), limit=None, missed=Missed("0 2 * * *", "UTC") if missed else None))
    story = Story.of(rule()).tell([(0, HI)])
    story.take(Changes(alerts={story.alert().key: replace(story.alert(), absent=absent)}))
    command = Command("c1", CommandKind.RESOLVE, story.open[0].id, "ada", 60)
    given = Circumstances(60.0, story.routes, "test", story.ids)
    story.take(obey(story.world, command, given, RuleSet({"cpu": job})))
    assert (story.row() is not None) is stays
