"""What is written of an incident that goes on: when, of which incident, and which words stay as they were."""

from evaluator.engine.damping import Flapping
from evaluator.engine.rules import Limit, Op, Recover, Severity
from tests.stories import HI, LO, MID, Story, rule, tier

NERVOUS = Flapping(opens=1, within=3600.0, hold=60.0)
TWO = (tier(Severity.P0, 97), tier(Severity.P2, 90, recover=Recover(for_=60.0)))


def updated(story: Story) -> float:
    (incident,) = story.open
    return incident.updated_at


def test_each_line_has_its_incident_and_the_time_of_its_evaluation() -> None:
    story = Story.of(rule(*TWO, group_by=(), flapping=None))
    times = []
    story.look(60, a=HI, b=LO)
    times.append(updated(story))
    story.look(120, a=HI, b=HI)
    times.append(updated(story))
    story.look(180, a=99.0, b=HI)
    times.append(updated(story))
    story.look(240, a=HI, b=LO)
    times.append(updated(story))
    story.look(300, a=HI, b=LO)
    times.append(updated(story))
    story.look(360, a=HI, b=LO)
    times.append(updated(story))
    story.edit(390, rule(*TWO, group_by=(), flapping=NERVOUS))
    story.silence(390.0, 1000.0)
    story.look(420, a=HI, b=LO)
    times.append(updated(story))
    (incident,) = story.open
    assert {event.incident for event in story.events} == {incident.id}
    assert [(event.at, event.kind.value) for event in story.events] == [
        (60, "opened"),
        (120, "joined"),
        (180, "raised"),
        (240, "lowered"),
        (240, "recovering"),
        (300, "left"),
        (420, "flapping"),
        (420, "muted"),
    ]
    assert times == [60, 120, 180, 240, 300, 300, 420]
    assert story.lines("flapping") == ["opened 1 times within 1h: from now on it ends only when clear has lasted 1m"]


def test_what_is_between_the_limits_leaves_the_title_as_it_was() -> None:
    story = Story.of(rule(tier(recover=Recover(Limit(Op.BELOW, 80.0))), summary="CPU is {value}"))
    story.tell([(60, HI), (120, MID)])
    assert (story.open[0].title, story.open[0].value) == ("CPU is 95 %", MID)


def test_an_edited_limit_is_that_of_the_incident_from_the_next_evaluation_on() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    story.edit(90, rule(tier(above=80.0)))
    assert story.open[0].limit == "above 90 %"
    story.look(120, HI)
    assert story.open[0].limit == "above 80 %"
