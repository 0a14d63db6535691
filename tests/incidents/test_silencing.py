"""The life of a silence: what it is about, and when it ends by itself."""

from dataclasses import replace

import pytest

from evaluator.engine.alerts import Alert, AlertKey, State, quiet_alert
from evaluator.engine.maintenance import Selector
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes
from evaluator.incidents.silence import Silence
from evaluator.incidents.silencing import after_evaluation, begun, ended, overdue
from evaluator.incidents.world import World
from tests.stories import labels

WEB = Selector(("cpu", "disk"), series={"host": "web-*"})
SILENCE = Silence("s1", WEB, "ann", "disk swap", 100.0, 200.0, ends_with_alert=True)


def alert(state: State = State.FIRING, name: str = "cpu", host: str = "web-1") -> Alert:
    return replace(quiet_alert(AlertKey(name, Severity.P1, labels(host=host)), 0.0), state=state)


def world_of(*alerts: Alert, silence: Silence = SILENCE) -> World:
    world = World()
    world.apply(Changes(alerts={each.key: each for each in alerts}, silences={silence.id: silence}))
    return world


@pytest.mark.parametrize(
    ("now", "ended_at", "holds", "over"),
    [
        (99.9, None, False, False),
        (100.0, None, True, False),
        (199.9, None, True, False),
        (200.0, None, False, True),
        (150.0, 140.0, False, True),
    ],
)
def test_a_silence_holds_from_its_beginning_to_before_its_end(now, ended_at, holds, over) -> None:
    silence = replace(SILENCE, ended_at=ended_at)
    assert (silence.holds(now), silence.over(now)) == (holds, over)


def test_a_silence_selects_as_its_selector_does() -> None:
    assert SILENCE.selects("cpu", labels(host="web-1"))
    assert not SILENCE.selects("cpu", labels(host="db-1"))
    assert not SILENCE.selects("ram", labels(host="web-1"))


@pytest.mark.parametrize(
    ("there", "matched"),
    [
        ([], False),
        ([alert()], True),
        ([alert(State.RECOVERING)], True),
        ([alert(State.PENDING)], False),
        ([alert(name="ram"), alert(host="db-1")], False),
        ([alert(name="ram"), alert(name="disk", host="web-7")], True),
    ],
)
def test_what_is_active_when_a_silence_begins_is_what_it_is_about(there, matched) -> None:
    assert begun(world_of(*there), SILENCE) == replace(SILENCE, matched=matched)


MATCHED = replace(SILENCE, matched=True)
OVER = ended(MATCHED, 150.0, "what it was about is over")


@pytest.mark.parametrize(
    ("silence", "rule", "alerts", "elsewhere", "after"),
    [
        (SILENCE, "cpu", [alert()], [], MATCHED),
        (SILENCE, "cpu", [alert(State.PENDING)], [], None),
        (SILENCE, "cpu", [alert(host="db-1")], [], None),
        (MATCHED, "cpu", [alert()], [], None),
        (MATCHED, "cpu", [], [], OVER),
        (MATCHED, "cpu", [alert(State.PENDING)], [], OVER),
        (MATCHED, "cpu", [], [alert(name="disk")], None),
        (MATCHED, "cpu", [], [alert(name="disk", host="db-1"), alert(name="ram")], OVER),
        # What the rule's own alerts were before its evaluation counts no more.
        (MATCHED, "cpu", [], [alert()], OVER),
        (MATCHED, "ram", [], [], None),
        (replace(MATCHED, ends_with_alert=False), "cpu", [], [], None),
        (replace(SILENCE, ends_with_alert=False), "cpu", [alert()], [], None),
        (replace(MATCHED, starts_at=151.0), "cpu", [], [], None),
        (replace(MATCHED, ended_at=120.0), "cpu", [], [], None),
    ],
)
def test_an_evaluation_begins_and_ends_what_a_silence_is_about(silence, rule, alerts, elsewhere, after) -> None:
    changed = after_evaluation(world_of(*elsewhere, silence=silence), rule, iter(alerts), 150.0)
    assert changed == ({} if after is None else {"s1": after})


def test_each_of_several_silences_is_looked_at() -> None:
    world = world_of(silence=replace(MATCHED, ends_with_alert=False))
    world.apply(Changes(silences={name: replace(MATCHED, id=name) for name in ("s2", "s3")}))
    found = after_evaluation(world, "cpu", [], 150.0)
    assert {name: silence and silence.id for name, silence in found.items()} == {"s2": "s2", "s3": "s3"}


def test_an_ended_silence_says_when_and_why() -> None:
    assert ended(SILENCE, 150.0, "because") == replace(SILENCE, ended_at=150.0, ended_because="because")


@pytest.mark.parametrize(
    ("silence", "there", "now", "after"),
    [
        (SILENCE, [], 199.9, None),
        (SILENCE, [], 200.0, ended(SILENCE, 200.0, "its time was over")),
        (SILENCE, [alert()], 999.0, ended(SILENCE, 200.0, "its time was over")),
        (MATCHED, [], 150.0, OVER),
        (MATCHED, [alert()], 150.0, None),
        (MATCHED, [alert(host="db-1"), alert(name="ram"), alert(State.PENDING)], 150.0, OVER),
        (replace(MATCHED, ends_with_alert=False), [], 150.0, None),
        (replace(MATCHED, ended_at=120.0), [], 999.0, None),
    ],
)
def test_the_time_ends_what_no_evaluation_did(silence, there, now, after) -> None:
    changes = overdue(world_of(*there, silence=silence), now)
    assert changes.silences == ({} if after is None else {"s1": after})


def test_a_silence_that_is_over_holds_up_none_behind_it() -> None:
    world = world_of(silence=replace(SILENCE, ended_at=120.0))
    world.apply(Changes(silences={"s2": replace(SILENCE, id="s2")}))
    assert list(overdue(world, 200.0).silences) == ["s2"]
