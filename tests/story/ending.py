"""How each history ends, and what must then be true of it, whatever happened.

It knows the real thing through `Installation` alone.
"""

from collections import Counter

from evaluator.engine.rules import RuleSet
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.incident import EventKind
from tests.story.play import Play

HOURS = 3 * 3600.0


def end(play: Play) -> None:
    """Take all rules away, let the last deliveries be made, and look at what was opened, closed and sent."""
    play.edit(RuleSet(), None)
    play.real.reload(play.now)
    play.agree("the end")
    play.real.pass_quietly(play.now, play.latest + HOURS)
    assert play.real.open_incidents() == {}, "something is open without any rule"
    assert play.real.pagerduty.open == {}, "something is open at PagerDuty"
    opened_once_and_closed_once(play)
    ended_through_the_keys_that_opened(play)


def opened_once_and_closed_once(play: Play) -> None:
    """Each incident begins once and ends once."""
    lines = Counter(
        (event.incident, event.kind)
        for _, changes in play.real.history
        for event in changes.events
        if event.kind in (EventKind.OPENED, EventKind.RESOLVED)
    )
    assert set(lines.values()) <= {1}, "an incident was opened or closed twice"
    opened = {incident for incident, kind in lines if kind is EventKind.OPENED}
    closed = {incident for incident, kind in lines if kind is EventKind.RESOLVED}
    assert opened == closed, "what was opened is not what was closed"


def ended_through_the_keys_that_opened(play: Play) -> None:
    """Who was told of an incident was told its end, under every key that it had, and nobody else was."""
    tried, told, ended = set(), set(), set()
    for sent in play.real.sent:
        row = sent.delivery
        place = (row.notifier, row.routing_key, row.dedup_key)
        if row.action is Action.TRIGGER:
            tried.add(place)
            told |= {place} if sent.arrived else set()
        if row.action is Action.RESOLVE:
            assert place in tried, "an end of what was never told"
            ended.add(place)
    assert told <= ended, f"never told the end: {told - ended}"
    waiting = [row for row in play.real.world.deliveries.values() if row.state is DeliveryState.PENDING]
    assert waiting == [], "something waits to be sent for ever"
