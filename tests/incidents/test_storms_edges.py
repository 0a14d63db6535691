"""When a storm's lines were written, what it says besides, and the edges of what counts for it."""

from evaluator.engine.damping import Storm
from evaluator.engine.rules import Rule, Severity
from evaluator.engine.samples import Samples
from evaluator.incidents.incident import STORM, Event, Incident, IncidentState
from tests.stories import FAILED, HI, LO, Story, labels, rule, tier

AT_ONCE = Storm(opens=1, within=60.0)
TWO = (tier(Severity.P0, 97), tier(Severity.P2, 90))


def stormy(**fields: object) -> Rule:
    return rule(**{"storm": AT_ONCE, **fields})  # type: ignore[arg-type]


def storm_of(story: Story) -> Incident:
    (storm,) = story.world.open_incidents(STORM)
    return storm


def lines_of(story: Story, storm: str) -> list[Event]:
    return [event for event in story.events if event.incident == storm]


def test_each_line_of_a_storm_has_the_time_of_its_evaluation() -> None:
    story = Story.of(stormy(tiers=TWO))
    story.look(60, a=HI, b=HI)
    storm = storm_of(story)
    assert (storm.state, storm.updated_at) == (IncidentState.OPEN, 60)
    story.look(90, a=HI, b=HI, c=HI, d=HI)
    assert storm_of(story).updated_at == 90
    story.look(120, a=HI, b=LO, c=99.0, d=HI)
    assert storm_of(story).updated_at == 120
    story.look(150, a=HI, b=LO, c=99.0, d=HI)
    assert storm_of(story).updated_at == 120
    story.look(180, a=HI, b=LO, c=LO, d=LO)
    assert not story.world.open_incidents(STORM)
    assert [(event.at, event.kind.value) for event in lines_of(story, storm.id)] == [
        (60, "opened"),
        (60, "joined"),
        (90, "joined"),
        (120, "left"),
        (120, "raised"),
        (180, "left"),
        (180, "resolved"),
        (180, "dropped"),
    ]


def test_what_joins_together_is_one_line() -> None:
    story = Story.of(stormy())
    story.look(60, a=HI, b=HI)
    story.look(90, a=HI, b=HI, c=HI, d=HI)
    joined = [event.text for event in lines_of(story, storm_of(story).id) if event.kind.value == "joined"]
    assert joined == ["caught: P1 cpu (host=b)", "caught: P1 cpu (host=c); P1 cpu (host=d)"]


def test_a_storm_says_why_nothing_is_known_of_it() -> None:
    story = Story.of(stormy())
    story.look(60, a=HI, b=HI)
    for now in range(120, 1200, 60):
        story.look(now, FAILED)
    (line,) = [event.text for event in lines_of(story, storm_of(story).id) if event.kind.value == "unknown"]
    assert line == "nothing is known of it since 1970-01-01 00:01:00 UTC: no answer in time"


def test_what_another_rule_had_caught_at_the_same_time_counts() -> None:
    story = Story.of(stormy(), stormy(name="disk", storm=Storm(opens=3, within=60.0)))
    story.look(60, a=HI, b=HI, c=HI)
    story.look(60, d=HI, rule="disk")
    assert [caught.rule for caught in storm_of(story).caught] == ["cpu", "cpu", "disk"]


def test_of_caught_groups_that_fall_together_the_worst_counts_whichever_came_first() -> None:
    hosts = [{"host": host, "zone": zone} for host, zone in (("a", "x"), ("b", "y"), ("c", "y"))]
    for first, then in ((99.0, HI), (HI, 99.0)):
        story = Story.of(stormy(tiers=TWO))
        story.look(60, Samples(hosts[:2], [HI, first]))
        story.look(61, Samples(hosts, [HI, first, then]))
        assert len(storm_of(story).caught) == 2
        story.edit(90, stormy(tiers=TWO, group_by=("zone",)))
        (caught,) = storm_of(story).caught
        assert (caught.group, caught.severity) == (labels(zone="y"), Severity.P0)
