"""Random histories against the independent model, and the promises of the design page as plain checks.

`EVALUATOR_HISTORIES` says how many histories each property is tried on (a nightly run uses 10,000).

It knows the real thing through `Installation` alone, and the model through its answers.
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.engine.rules import Datapoints, Limit, Mode, Op, Query, Rule, Severity, Tier
from evaluator.engine.samples import Series
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.incident import STORM, CloseReason
from tests.story.ending import end
from tests.story.making import histories
from tests.story.model import Answer
from tests.story.play import NAMES, Play
from tests.story.surroundings import Rows, Store
from tests.story.worlds import (
    FAIR,
    FICKLE,
    OLD_KEY_REFUSED,
    SERIES,
    Down,
    Happening,
    History,
    Leap,
    Reload,
    Run,
    Skip,
    rule_set,
)

HISTORIES = int(os.environ.get("EVALUATOR_HISTORIES", "40"))


def tried(times: float) -> settings:
    """Return how often a property is tried, as a multiple of `EVALUATOR_HISTORIES`."""
    return settings(
        max_examples=max(1, int(HISTORIES * times)),
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )


TRIED = tried(1)
OFTEN = tried(4)
SELDOM = tried(0.25)


# The real thing and the model.

pytestmark = pytest.mark.timeout(0 if HISTORIES > 100 else 120)


@OFTEN
@given(histories(weather=FAIR))
def test_the_model_and_the_real_thing_agree_after_every_step(history: History) -> None:
    play = Play.of(history)
    for after in play.steps(history.happenings):
        play.agree(after)


@pytest.mark.parametrize(("before", "after"), [(10.0, 60.0), (60.0, 10.0)])
def test_an_edit_of_every_neither_fills_a_gap_nor_makes_one(before: float, after: float) -> None:
    """A gap is judged by the step of its time: fifty seconds are one while asked every ten, and none every sixty."""
    tier = Tier(Severity.P1, Limit(Op.OUTSIDE, 50.0, 50.0), for_=120.0)
    query = Query("prometheus", '{"expr":"x"}', 0.0)
    often, seldom = (
        rule_set([Rule("r1", query, (tier,), every=every, service="infrastructure")]) for every in (before, after)
    )
    breach: dict[Series, float | str] = {SERIES[0]: 60.0}
    happenings = (Run(6, (breach, None)), Skip(5), Run(6, (breach, None)), Reload(seldom), Run(24, (breach, None)))
    play = Play.of(History(often, happenings))
    for step in play.steps(happenings):
        play.agree(step)
    assert set(play.real.states().values()) == {"firing"}


def test_a_sample_that_was_too_old_is_not_young_again_when_the_clock_is_set_back() -> None:
    tier = Tier(Severity.P3, Limit(Op.ABOVE, 50.0), datapoints=Datapoints(1, 5))
    rules = rule_set([Rule("r1", Query("prometheus", '{"expr":"x"}', 60.0), (tier,), every=30.0, service="payments")])
    breach: dict[Series, float | str] = {SERIES[0]: 60.0}
    fine: dict[Series, float | str] = {SERIES[0]: 0.0}
    happenings = (Run(9, (breach, None)), Skip(60), Run(9, (fine, None)), Down(-30), Run(9, (fine, None)))
    play = Play.of(History(rules, happenings))
    for step in play.steps(happenings):
        play.agree(step)
    assert play.real.states() == {}


def test_members_that_ended_of_an_edit_and_of_their_source_have_not_recovered() -> None:
    asked, anew = (
        rule_set(
            [
                Rule(
                    "r1",
                    Query("prometheus", f'{{"expr":"{text}"}}', 0.0),
                    (Tier(Severity.P1, Limit(Op.ABOVE, 50.0)),),
                    every=10.0,
                    group_by=("host",),
                    service="payments",
                )
            ]
        )
        for text in "xy"
    )
    _, gone, absent = SERIES
    happenings = (Run(3, ({gone: 60.0, absent: 60.0}, None)), Reload(anew), Run(1, ({gone: "gone"}, None)))
    play = Play.of(History(asked, happenings))
    for step in play.steps(happenings):
        play.agree(step)
    (incident,) = play.real.world.incidents.values()
    assert incident.close_reason is CloseReason.EDITED


@TRIED
@given(histories())
def test_what_becomes_of_deliveries_changes_no_judgement(history: History) -> None:
    play = Play.of(history)
    for after in play.steps(history.happenings):
        play.agree(after)
    reasons = [it.close_reason for it in play.real.world.incidents.values() if not it.open]
    assert None not in reasons


@TRIED
@given(histories(weather=FAIR))
def test_incidents_end_for_the_reason_that_the_model_gives(history: History) -> None:
    play = Play.of(history)
    for _ in play.steps(history.happenings):
        pass
    assert isinstance(play.real.store, Rows)
    # The world forgets what ended more than a day ago; the store does not.
    incidents = sorted(play.real.store.incidents.values(), key=lambda it: it.id)
    ended = [(it.rule, it.group, it.close_reason.value) for it in incidents if it.close_reason]
    real = sorted(ended, key=lambda it: it[:2])  # Those of a group stay in the order in which they opened.
    model = sorted(play.model.ended(), key=lambda it: it[:2])
    assert [it[:2] for it in real] == [it[:2] for it in model]
    for (_, _, said), (_, _, expected) in zip(real, model, strict=True):
        assert said in expected.split("|")


@SELDOM
@given(history=histories())
def test_a_real_store_gives_back_what_was_given_to_it(empty_store: Callable[[], Store], history: History) -> None:
    play = Play.of(history, store=empty_store())
    for after in play.steps(history.happenings):
        play.agree(after)


# The promises, each by itself.


def watch(play: Play, check: Callable[[Play, str], None], happenings: tuple[Happening, ...]) -> None:
    """Check after every step."""
    for after in play.steps(happenings):
        check(play, after)


@TRIED
@given(histories(weather=FAIR))
def test_nothing_opens_and_nothing_closes_on_unknown(history: History) -> None:
    play = Play.of(history)
    for happening in history.happenings:
        blind = isinstance(happening, Skip | Leap) or (isinstance(happening, Run) and said_nothing(happening, play))
        before = play.real.open_incidents()
        for after in play.steps((happening,)):
            if blind:
                assert play.real.open_incidents() == before, after


def said_nothing(run: Run, play: Play) -> bool:
    """Return whether no answer of a run says anything: failed, or not a number where numbers are asked for."""

    def nothing(value: float | str | None) -> bool:
        return isinstance(value, float) and math.isnan(value)

    def numbers(name: str) -> bool:
        rule = play.real.rules.get(name)
        return rule is None or (rule.only_if is None and not rule.tiers[0].absent and rule.tiers[0].missed is None)

    return all(
        said is None or (numbers(name) and all(nothing(said.get(series)) for series in SERIES))
        for name, said in zip(NAMES, run.answers, strict=False)
    )


@TRIED
@given(histories(weather=FICKLE))
def test_each_incident_ends_once_and_nothing_stays_open_at_pagerduty(history: History) -> None:
    play = Play.of(history)
    watch(play, lambda *_: None, history.happenings)
    end(play)


@TRIED
@given(histories())
def test_in_the_end_pagerduty_shows_what_is_open(history: History) -> None:
    play = Play.of(history)
    watch(play, lambda *_: None, history.happenings)
    play.real.pass_quietly(play.now, play.latest + 2 * 3600)
    for incident in play.real.world.incidents.values():
        shown = play.real.pagerduty.of(incident.id)
        assert len(shown) == (1 if incident.open else 0)
        assert all(key.rsplit("/", 1)[1] <= incident.severity.value for key in shown)
    assert len(play.real.pagerduty.open) == len(play.real.open_incidents())


@TRIED
@given(histories())
def test_an_integration_that_is_gone_for_good_holds_up_nothing_else(history: History) -> None:
    play = Play.of(history)
    watch(play, lambda *_: None, history.happenings)
    play.real.pass_quietly(play.now, play.latest + 2 * 3600, OLD_KEY_REFUSED)
    for routing_key, dedup_key in play.real.pagerduty.open:
        if routing_key in play.real.living_keys:
            assert play.real.world.incidents[dedup_key.split("/")[2]].open
    for incident in play.real.world.incidents.values():
        if incident.open:
            keys = [row.dedup_key for row in play.real.world.deliveries_of(incident.id) if row.accepted]
            assert any(key.rsplit("/", 1)[1] <= incident.severity.value for key in keys)


@TRIED
@given(histories())
def test_apart_from_a_raise_one_pagerduty_incident_is_open_for_one_of_ours(history: History) -> None:
    """Whatever else is open there has its resolve in the outbox."""

    def check(play: Play, after: str) -> None:
        for _, dedup_key in play.real.pagerduty.open:
            _, _, number, _ = dedup_key.split("/")
            rows = [row for row in play.real.world.deliveries.values() if row.incident == number]
            resolves = {
                row.dedup_key
                for row in rows
                if row.action is Action.RESOLVE and row.state in (DeliveryState.PENDING, DeliveryState.REFUSED)
            }
            if dedup_key in resolves:
                continue
            incident = play.real.world.incidents[number]
            others = [key for key in play.real.pagerduty.of(number) if key not in resolves]
            assert incident.open, after
            assert others == [dedup_key], after

    watch(Play.of(history), check, history.happenings)


@TRIED
@given(histories())
def test_on_the_wire_nothing_overtakes_anything(history: History) -> None:
    play = Play.of(history)
    watch(play, lambda *_: None, history.happenings)
    play.real.pass_quietly(play.now, play.latest + 2 * 3600)
    resolved: set[tuple[str, str]] = set()
    triggered: set[tuple[str, str]] = set()
    for sent in play.real.sent:
        row = sent.delivery
        key = (row.notifier, row.dedup_key)
        if row.action is Action.TRIGGER:
            assert key not in resolved, "a trigger after its resolve"
            triggered.add(key)
        if row.action is Action.RESOLVE:
            assert key in triggered, "a resolve before its trigger"
            resolved.add(key)


@TRIED
@given(histories())
def test_an_old_key_is_resolved_only_once_the_new_one_was_accepted(history: History) -> None:
    play = Play.of(history)

    def check(play: Play, after: str) -> None:
        for row in play.real.world.deliveries.values():
            incident = play.real.world.incidents.get(row.incident)
            if row.action is not Action.RESOLVE or row.attempts + row.accepted == 0 or incident is None:
                continue
            if incident.open:
                newer = [
                    it
                    for it in play.real.world.deliveries_of(row.incident)
                    if it.notifier == row.notifier and it.action is Action.TRIGGER and it.seq < row.seq
                ]
                assert any(it.accepted and it.dedup_key != row.dedup_key for it in newer), after

    watch(play, check, history.happenings)


@TRIED
@given(histories())
def test_nothing_is_sent_that_was_not_committed_first(history: History) -> None:
    play = Play.of(history)
    watch(play, lambda *_: None, history.happenings)
    for sent in play.real.sent:
        assert sent.committed, "sent before it was written that it may have arrived"


@TRIED
@given(histories())
def test_only_rules_that_page_trigger_anything(history: History) -> None:
    seen = 0

    def check(play: Play, after: str) -> None:
        nonlocal seen
        for sent in play.real.sent[seen:]:
            rule = play.real.rules.get(sent.delivery.message.rule)
            if sent.delivery.action is Action.TRIGGER and sent.delivery.message.rule != STORM:
                assert rule is not None, after
                assert rule.mode is Mode.PAGE, after
        seen = len(play.real.sent)

    watch(Play.of(history), check, history.happenings)


@TRIED
@given(histories())
def test_severity_only_rises_unless_the_rule_is_edited(history: History) -> None:
    play = Play.of(history)
    seen: dict[str, Severity] = {}

    def check(play: Play, after: str) -> None:
        for incident in play.real.world.incidents.values():
            before = seen.get(incident.id, incident.severity)
            seen[incident.id] = incident.severity
            assert incident.severity <= before or after.startswith(("reload", "restart")), after

    watch(play, check, history.happenings)


@TRIED
@given(histories(weather=FAIR, inhibits=False), st.sets(st.integers(0, 60), max_size=6))
def test_a_kill_and_a_start_change_nothing(history: History, kills: set[int]) -> None:
    """A replay from the store is the same as one run; only who waits for an inhibitor's next look waits anew."""
    one, other = Play.of(history), Play.of(history)
    steps = zip(one.steps(history.happenings), other.steps(history.happenings), strict=True)
    for number, (after, _) in enumerate(steps):
        if number in kills:
            other.real.start(other.now)
        assert one.real.states() == other.real.states(), after
        assert one.real.open_incidents() == other.real.open_incidents(), after
        assert one.real.pagerduty.pages == other.real.pagerduty.pages, after


@TRIED
@given(histories(weather=FAIR), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_labels_changes_nothing(history: History, random: Random) -> None:
    def shuffled(answer: Answer) -> Answer:
        rows = [replace(row, series=tuple(random.sample(row.series, len(row.series)))) for row in answer.rows]
        return Answer(random.sample(rows, len(rows)), answer.gone)

    play = Play.of(history)
    play.relabel = shuffled
    watch(play, Play.agree, history.happenings)
