"""Edits that a model of the rules of judgement and the real thing once disagreed about."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.damping import Storm
from evaluator.engine.rules import Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.engine.shapes import Missed
from evaluator.incidents.incident import STORM, CloseReason
from tests.stories import HI, Story, rule, tier

NOTHING = Samples()
ABSENT = Tier(Severity.P1, None, absent=True)
MISSED = Tier(Severity.P1, None, missed=Missed("*/5 * * * *", "UTC"))


@pytest.mark.parametrize("other", [ABSENT, MISSED])
def test_what_fires_of_its_value_ends_when_the_rule_looks_at_what_is_not_there(other) -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.edit(30, rule(other))
    assert not story.open
    assert [it.close_reason for it in story.world.ended_incidents()] == [CloseReason.EDITED]
    assert story.row() is None


def test_an_absence_ends_when_the_rule_looks_at_values() -> None:
    story = Story.of(rule(ABSENT)).tell([(0, NOTHING), (60, NOTHING), (120, NOTHING)])
    assert len(story.open) == 1
    story.edit(150, rule())
    assert not story.open
    story.look(180, HI)
    assert story.state() is State.FIRING


def test_an_absence_stays_what_it_is_when_only_its_for_is_edited() -> None:
    story = Story.of(rule(ABSENT)).tell([(0, NOTHING), (60, NOTHING), (120, NOTHING)])
    story.edit(150, rule(replace(ABSENT, for_=600.0)))
    story.look(180, NOTHING)
    assert story.state(series=()) is State.FIRING
    assert len(story.open) == 1


def test_what_a_storm_caught_is_raised_by_the_next_breach_and_not_by_an_edit() -> None:
    mild, worse = (rule(tier(severity), storm=Storm(1, 60.0)) for severity in (Severity.P2, Severity.P1))
    story = Story.of(mild)
    story.look(60, web_1=HI, web_2=HI)
    story.edit(90, worse)
    (storm,) = story.world.open_incidents(STORM)
    assert (storm.severity, storm.caught[0].severity) == (Severity.P2, Severity.P2)
    story.look(120, web_1=HI, web_2=HI)
    (storm,) = story.world.open_incidents(STORM)
    assert (storm.severity, storm.caught[0].severity) == (Severity.P1, Severity.P1)
