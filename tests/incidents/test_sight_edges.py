"""What is written of an incident of which nothing is known, and when it is seen again."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import AlertKey, quiet_alert
from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Action
from evaluator.incidents.incident import Event, EventKind
from evaluator.incidents.routing import Routes, Target
from evaluator.incidents.sight import unseen_because
from tests.stories import FAILED, HI, KEY, WEB, Story, rule

DAY = 86_400


def test_the_lines_of_blindness_have_their_incident_and_their_time() -> None:
    story = Story.of(rule()).tell([(60, HI)])
    (incident,) = story.open
    for now in (120, 180, 240, 300, 360):
        story.look(now, FAILED)
    story.look(420, HI)
    assert story.events[1:] == [
        Event(
            incident.id,
            300,
            EventKind.UNKNOWN,
            "nothing is known of it since 1970-01-01 00:01:00 UTC: no answer in time",
        ),
        Event(incident.id, 420, EventKind.SIGHTED, "its series can be seen again, after 6m"),
    ]


def test_after_a_day_the_incident_and_whoever_is_asked_for_its_service_say_so() -> None:
    targets = {("web", Severity.P1): (Target("pagerduty", KEY),)}
    story = Story.of(rule(), routes=Routes(targets, {"web": Target("mail")}))
    story.look(60, HI)
    story.look(60 + DAY, FAILED)
    (incident,) = story.open
    text = (
        "nothing has been known of it since 1970-01-01 00:01:00 UTC, so it stays open; "
        f"if it is over, close it with: evaluator resolve {incident.id}"
    )
    assert story.events[-1] == Event(incident.id, 60 + DAY, EventKind.BLIND, text)
    assert (incident.why, incident.updated_at) == (text, 60 + DAY)
    (notice,) = [row for row in story.world.deliveries.values() if row.action is Action.NOTICE]
    assert (notice.notifier, notice.message.at, notice.message.why) == ("mail", 60 + DAY, text)


@pytest.mark.parametrize(
    ("absent", "why"),
    [
        ((1.0, 60.0), "its source answers without it"),
        ((0.0, 60.0), "the answers have no value of it"),
    ],
)
def test_it_is_said_whether_its_source_answers_without_it(absent, why) -> None:
    alert = quiet_alert(AlertKey("cpu", Severity.P1, WEB), 0.0)
    assert unseen_because("", [replace(alert, absent=each) for each in absent]) == why
