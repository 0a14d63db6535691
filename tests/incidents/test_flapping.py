"""A group that opens again and again is held open for longer, and says so."""

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.damping import Flapping
from evaluator.engine.rules import Recover
from evaluator.incidents.flapping import hold_of
from tests.stories import HI, LO, WEB, Story, answer, labels, rule, tier

NERVOUS = Flapping(opens=3, within=3600.0, hold=900.0)
SENTENCE = "opened 3 times within 1h: from now on it ends only when clear has lasted 15m"


def nervous(**fields: object) -> Story:
    """Return a story that has opened at 0, 600 and 1200, and is open."""
    story = Story.of(rule(flapping=NERVOUS, **fields))  # type: ignore[arg-type]
    return story.tell([(0, HI), (60, LO), (600, HI), (660, LO), (1200, HI)])


def test_the_third_opening_is_held_and_says_so() -> None:
    story = nervous()
    (incident,) = story.open
    assert incident.flapping
    assert incident.why == f"host=web-1: 95 % is above 90 %; {SENTENCE}"
    assert story.lines("flapping") == [SENTENCE]
    assert story.lines("opened")[-1] == "opened as P1: host=web-1: 95 % is above 90 %"
    assert story.deliver(1200)[0].message.why.endswith(SENTENCE)


def test_what_flaps_ends_only_when_clear_has_lasted() -> None:
    story = nervous()
    story.tell([(now, LO) for now in range(1260, 2160, 60)])
    assert story.state() is State.RECOVERING
    story.look(2160, LO)
    assert not story.open


def test_while_it_is_held_it_is_the_same_incident() -> None:
    story = nervous()
    story.tell([(1260, LO), (1320, HI), (1380, LO), (1440, HI)])
    assert story.kinds.count("opened") == 3
    assert story.kinds.count("relapsed") == 2


def test_a_longer_recovery_of_the_rule_stays_as_it_is() -> None:
    story = nervous(tiers=(tier(recover=Recover(for_=1800.0)),))
    assert len(story.world.incidents) == 1


def test_two_openings_are_no_flapping() -> None:
    story = Story.of(rule(flapping=NERVOUS)).tell([(0, HI), (60, LO), (600, HI)])
    assert not story.open[0].flapping
    story.look(660, LO)
    assert not story.open


def test_openings_that_are_too_long_ago_do_not_count_and_one_at_the_edge_does() -> None:
    for last, flaps in ((3599, True), (3600, False)):
        story = Story.of(rule(flapping=NERVOUS)).tell([(0, HI), (60, LO), (600, HI), (660, LO), (last, HI)])
        assert story.open[0].flapping is flaps


def test_once_openings_are_long_ago_it_ends_as_its_rule_says() -> None:
    story = nervous()
    story.tell([(now, HI) for now in range(1260, 3600, 60)])
    assert story.open[0].flapping
    story.look(3600, HI)
    assert not story.open[0].flapping
    assert story.open[0].why == "host=web-1: 95 % is above 90 %"
    assert story.lines("flapping")[-1] == "it no longer opens so often: from now on it ends as its rule says"
    story.look(3660, LO)
    assert not story.open


def test_an_edit_switches_it_on_and_off_for_what_is_open() -> None:
    story = nervous()
    story.edit(1230, rule())
    story.look(1260, HI)
    assert not story.open[0].flapping
    story.edit(1290, rule(flapping=NERVOUS))
    story.look(1320, HI)
    assert story.open[0].flapping
    assert len(story.lines("flapping")) == 3


def test_groups_flap_each_for_itself() -> None:
    story = Story.of(rule(flapping=NERVOUS))
    for now, value in ((0, HI), (60, LO), (120, HI), (180, LO), (240, HI)):
        story.look(now, web_1=value, web_2=HI)
    assert {incident.group: incident.flapping for incident in story.open} == {
        labels(host="web-1"): True,
        labels(host="web-2"): False,
    }


def test_series_of_one_group_flap_together() -> None:
    story = Story.of(rule(flapping=NERVOUS, group_by=()))
    for number, now in enumerate(range(0, 360, 120)):
        story.look(now, answer(**{f"web_{number}": HI}))
        story.look(now + 60, answer(**{f"web_{number}": LO}))
    assert story.open[0].flapping
    assert hold_of(story.world, story.rules["cpu"], 360)(WEB) == 900


def test_the_openings_outlive_a_restart() -> None:
    story = nervous().restart(1230)
    story.look(1260, LO)
    assert story.state() is State.RECOVERING
    assert story.open[0].flapping


def test_the_openings_go_with_a_group_that_is_renamed() -> None:
    story = Story.of(rule(flapping=NERVOUS, group_by=("host",))).tell([(0, HI)])
    story.edit(30, rule(flapping=NERVOUS, group_by=()))
    for now in (60, 180):
        story.look(now, LO)
        story.look(now + 60, HI)
    assert story.open[0].flapping


@pytest.mark.parametrize("flapping", [None, Flapping(opens=9)])
def test_without_flapping_nothing_is_held(flapping) -> None:
    story = Story.of(rule(flapping=flapping))
    for now in range(0, 600, 120):
        story.tell([(now, HI), (now + 60, LO)])
    assert story.kinds.count("opened") == 5
    assert hold_of(story.world, story.rules["cpu"], 600)(WEB) == 0


def test_openings_of_long_ago_are_forgotten() -> None:
    story = nervous()
    story.look(1260, HI)
    story.world.forget_old(3 * 86_400)
    assert story.world.index.opens("cpu", WEB, 86_400, 1260) == 1
