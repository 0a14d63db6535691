"""Stories: how alert evaluators page twice, never page, never close, or close wrongly, and what we do instead.

Each is a table of slots and values, and what people heard. It knows nothing of how the engine works.
"""

from dataclasses import replace
from typing import Any

import pytest

from evaluator.engine.rules import (
    Datapoints,
    Limit,
    Mode,
    NoData,
    NoDataPolicy,
    Op,
    Query,
    Recover,
    Rule,
    Severity,
    Tier,
)
from evaluator.engine.samples import Series, series_of
from evaluator.incidents.deliveries import Action, DeliveryState
from evaluator.incidents.incident import EventKind
from tests.story.installation import Installation
from tests.story.model import Answer, Row
from tests.story.worlds import rule_set

P0, P1, P2, P3 = Severity.P0, Severity.P1, Severity.P2, Severity.P3
HI, MID, LO = 95.0, 85.0, 10.0
NAN = float("nan")
FAIL = "the poll fails"
GONE = "the source says that it ended"
NOTHING: dict[str, float] = {}
"""A good answer without any series."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def cpu(**changes: object) -> Rule:
    """Return a rule: above 90 for 2 minutes, back once below 80 for 2 minutes, judged every minute."""
    tier = Tier(P1, Limit(Op.ABOVE, 90.0), for_=120.0, recover=Recover(Limit(Op.BELOW, 80.0), for_=120.0))
    rule = Rule("cpu", Query("prometheus", '{"expr":"cpu"}'), (tier,), every=60.0, service="infrastructure")
    return replace(rule, **changes)  # type: ignore[arg-type]


def single(severity: Severity = P1, above: float = 90.0, for_: float = 0.0, **changes: object) -> tuple[Tier, ...]:
    """Return one tier without hysteresis."""
    return (replace(Tier(severity, Limit(Op.ABOVE, above), for_=for_), **changes),)  # type: ignore[arg-type]


ERROR_RATE = (
    Tier(P0, Limit(Op.ABOVE, 5.0), for_=120.0),
    Tier(P1, Limit(Op.ABOVE, 2.0), for_=300.0),
    Tier(P2, Limit(Op.ABOVE, 0.5), for_=900.0),
)
"""The tiers of the error-rate rule on the design page, in percent."""


def host(name: str) -> Series:
    """Return the series of one host."""
    return series_of({"host": name})


def answer(value: object) -> Answer | None:
    """Return what a source answers: one number, a number for each host, or nothing."""
    if value == FAIL:
        return None
    values: dict[str, Any] = value if isinstance(value, dict) else {"a": value}
    return Answer(
        rows=[Row(host(name), number) for name, number in values.items() if number != GONE],
        gone=[host(name) for name, number in values.items() if number == GONE],
    )


class Story:
    """An installation, and what people heard of it."""

    def __init__(self, *rules: Rule, weather: tuple[str, ...] = ("accepted",)) -> None:
        """Start at time 0 with these rules."""
        self.house = Installation(rule_set(rules))
        self.house.weather = weather

    def tell(self, *table: tuple[float, object], rule: str = "cpu") -> "Story":
        """Let these answers come in, and send what is due after each."""
        for slot, value in table:
            self.house.judge(rule, slot, answer(value))
            self.house.deliver(slot)
        return self

    @property
    def state(self) -> str:
        """Return where the alert of host a is."""
        found = [state for (_, _, series), state in self.house.states().items() if series == host("a")]
        return found[0] if found else "quiet"

    @property
    def timeline(self) -> list[tuple[float, str]]:
        """Return when incidents opened, were raised and ended."""
        told = {EventKind.OPENED, EventKind.RAISED, EventKind.RESOLVED}
        return [(it.at, it.kind.value) for _, changes in self.house.history for it in changes.events if it.kind in told]

    @property
    def wire(self) -> list[tuple[float, str]]:
        """Return what PagerDuty was sent: when, and `trigger P1` or `resolve P1`."""
        return [
            (sent.at, f"{sent.delivery.action.value} {sent.delivery.dedup_key.rsplit('/', 1)[1]}")
            for sent in self.house.sent
            if sent.delivery.notifier == "pagerduty"
        ]

    @property
    def reasons(self) -> list[str]:
        """Return why incidents ended."""
        return [it.close_reason.value for it in self.house.world.incidents.values() if it.close_reason is not None]


def every_minute(start: float, end: float, value: object) -> list[tuple[float, object]]:
    """Return the same answer at each minute from start to end, both included."""
    return [(start + MINUTE * n, value) for n in range(int((end - start) // MINUTE) + 1)]


# The state table of part 4.

TO = {
    "quiet": [],
    "pending": [(0, HI)],
    "firing": [(0, HI), (60, HI), (120, HI)],
    "recovering": [(0, HI), (60, HI), (120, HI), (180, LO)],
}
"""How to get there."""


@pytest.mark.parametrize(
    ("state", "value", "then"),
    [
        ("quiet", HI, "pending"),
        ("quiet", MID, "quiet"),
        ("quiet", LO, "quiet"),
        ("quiet", FAIL, "quiet"),
        ("quiet", NAN, "quiet"),
        ("quiet", NOTHING, "quiet"),
        ("pending", HI, "pending"),
        ("pending", MID, "quiet"),
        ("pending", LO, "quiet"),
        ("pending", FAIL, "pending"),
        ("pending", NAN, "pending"),
        ("pending", NOTHING, "pending"),
        ("firing", HI, "firing"),
        ("firing", MID, "firing"),
        ("firing", LO, "recovering"),
        ("firing", FAIL, "firing"),
        ("firing", NAN, "firing"),
        ("firing", NOTHING, "firing"),
        ("recovering", HI, "firing"),
        ("recovering", MID, "firing"),
        ("recovering", LO, "recovering"),
        ("recovering", FAIL, "recovering"),
        ("recovering", NAN, "recovering"),
        ("recovering", NOTHING, "recovering"),
    ],
)
def test_a_cell_of_the_state_table(state: str, value: object, then: str) -> None:
    story = Story(cpu()).tell(*TO[state])
    assert story.state == state
    slot = TO[state][-1][0] + 60 if TO[state] else 0
    assert story.tell((slot, value)).state == then


def test_a_breach_fires_at_once_without_for() -> None:
    assert Story(cpu(tiers=single())).tell((0, HI)).state == "firing"


def test_pending_fires_once_held_and_not_a_slot_before() -> None:
    assert Story(cpu()).tell((0, HI), (60, HI)).state == "pending"
    assert Story(cpu()).tell((0, HI), (60, HI), (120, HI)).timeline == [(120, "opened")]


def test_a_clear_value_ends_it_at_once_without_a_recovery_time() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI), (60, LO))
    assert story.state == "quiet"
    assert story.timeline == [(0, "opened"), (60, "resolved")]


def test_recovering_ends_once_held_and_not_a_slot_before() -> None:
    story = Story(cpu()).tell(*TO["recovering"], (240, LO))
    assert story.state == "recovering"
    assert story.tell((300, LO)).timeline == [(120, "opened"), (300, "resolved")]


def test_a_breach_while_recovering_is_the_same_incident() -> None:
    story = Story(cpu()).tell(*TO["recovering"], (240, HI), (300, LO), (360, LO), (420, LO))
    assert story.timeline == [(120, "opened"), (420, "resolved")]
    assert {text for _, text in story.wire} == {"trigger P1", "resolve P1"}
    assert len(story.house.pagerduty.pages) == 1


def test_inside_the_band_a_recovery_starts_anew() -> None:
    story = Story(cpu()).tell(*TO["recovering"], (240, MID), (300, LO), (360, LO))
    assert story.state == "recovering"
    assert story.tell((420, LO)).timeline[-1] == (420, "resolved")


def test_a_firing_alert_without_an_answer_is_stale() -> None:
    story = Story(cpu()).tell(*TO["firing"], (180, FAIL))
    (alert,) = story.house.world.alerts["cpu"].values()
    assert alert.stale
    assert story.tell((240, HI)).state == "firing"
    (alert,) = story.house.world.alerts["cpu"].values()
    assert not alert.stale


# Time.


def blind(story: Story, how: str, start: float, slots: int) -> None:
    """Keep an installation blind for some slots, in one of the ways in which that happens."""
    if how == "failed polls":
        story.tell(*[(start + MINUTE * n, FAIL) for n in range(slots)])
    elif how == "not a number":
        story.tell(*[(start + MINUTE * n, NAN) for n in range(slots)])
    elif how == "down":
        story.house.start(start + MINUTE * slots - 1)


WAYS = pytest.mark.parametrize("how", ["failed polls", "not a number", "missed slots", "down"])


@WAYS
def test_two_blind_slots_at_minute_nine_of_ten_count_as_held(how: str) -> None:
    story = Story(cpu(tiers=single(for_=600.0))).tell(*every_minute(0, 540, HI))
    blind(story, how, 600, 2)
    assert story.tell((720, HI)).timeline == [(720, "opened")]


@WAYS
def test_three_blind_slots_start_the_wait_anew(how: str) -> None:
    story = Story(cpu(tiers=single(for_=600.0))).tell(*every_minute(0, 540, HI))
    blind(story, how, 600, 3)
    assert story.tell(*every_minute(780, 1320, HI)).timeline == []
    assert story.tell((1380, HI)).timeline == [(1380, "opened")]


@WAYS
def test_ten_blind_slots_start_a_recovery_anew_and_never_end_it(how: str) -> None:
    story = Story(cpu()).tell(*TO["recovering"])
    blind(story, how, 240, 10)
    assert story.tell((840, LO), (900, LO)).state == "recovering"
    assert story.tell((960, LO)).timeline == [(120, "opened"), (960, "resolved")]


def test_a_stop_of_three_days_does_not_leave_one_minute_to_go() -> None:
    story = Story(cpu(tiers=single(for_=600.0))).tell(*every_minute(0, 540, HI))
    story.house.start(3 * DAY)
    assert story.tell(*every_minute(3 * DAY, 3 * DAY + 540, HI)).timeline == []
    assert story.tell((3 * DAY + 600, HI)).timeline == [(3 * DAY + 600, "opened")]


def test_a_clock_that_jumps_an_hour_ahead_holds_nothing() -> None:
    story = Story(cpu(tiers=single(for_=HOUR))).tell((0, HI), (3660, HI))
    assert story.state == "pending"
    assert story.timeline == []


def test_a_clock_that_is_set_back_neither_stops_nor_ends_anything() -> None:
    story = Story(cpu()).tell((7200, HI), (7260, HI), (7320, HI), (3780, HI), (3840, LO), (3900, LO))
    assert story.state == "recovering"
    assert story.tell((3960, LO)).timeline == [(7320, "opened"), (3960, "resolved")]


def test_a_period_is_judged_once_however_often_it_is_polled() -> None:
    """CloudWatch, polled every minute with a period of five: four of five answers bring nothing new."""
    rule = cpu(query=Query("cloudwatch", '{"metric":"cpu"}', 300.0), lag=120.0, tiers=single(for_=600.0))
    story = Story(rule)
    for slot in range(420, 1621, 60):
        period = (slot - 120) // 300 * 300
        story.house.judge("cpu", slot, Answer([Row(host("a"), HI, float(period))]))
    assert story.timeline == [(1020, "opened")]


def test_several_new_samples_are_judged_in_turn() -> None:
    rule = cpu(query=Query("cloudwatch", '{"metric":"cpu"}', 60.0), tiers=single(for_=120.0))
    story = Story(rule)
    rows = [Row(host("a"), value, at) for at, value in [(180.0, LO), (0.0, HI), (120.0, HI), (60.0, HI)]]
    story.house.judge("cpu", 240, Answer(rows))
    assert story.state == "quiet"
    story = Story(rule)
    story.house.judge("cpu", 240, Answer(rows[1:]))
    assert story.timeline == [(240, "opened")]


# Several severities.


def test_tiers_with_different_waits_make_one_incident() -> None:
    story = Story(cpu(tiers=ERROR_RATE)).tell(*every_minute(0, 180, 6.0), *every_minute(240, 1200, 3.0), (1260, 0.0))
    assert story.timeline == [(120, "opened"), (1260, "resolved")]
    assert story.wire[0] == (120, "trigger P0")
    assert story.wire[-1] == (1260, "resolve P0")
    assert {text for _, text in story.wire} == {"trigger P0", "resolve P0"}
    assert story.house.pagerduty.open == {}


def test_worse_better_worse_pages_once() -> None:
    tiers = (*single(P0, 90.0), *single(P1, 50.0))
    story = Story(cpu(tiers=tiers)).tell((0, HI), (60, 60.0), (120, HI), (180, 60.0), (240, LO))
    assert story.timeline == [(0, "opened"), (240, "resolved")]
    assert len(story.house.pagerduty.pages) == 1


def test_a_raise_pages_under_a_new_key_and_then_ends_the_old_one() -> None:
    tiers = (*single(P0, 90.0), *single(P2, 50.0))
    story = Story(cpu(tiers=tiers)).tell((0, 60.0), (60, HI), (120, LO))
    assert story.timeline == [(0, "opened"), (60, "raised"), (120, "resolved")]
    assert story.wire == [(0, "trigger P2"), (60, "trigger P0"), (60, "resolve P2"), (120, "resolve P0")]


def test_what_was_raised_while_pagerduty_was_down_is_one_page_when_it_returns() -> None:
    tiers = (*single(P0, 90.0), *single(P2, 50.0))
    story = Story(cpu(tiers=tiers), weather=("no connection",)).tell((0, 60.0), (60, HI), (120, HI))
    story.house.pass_quietly(150, 170)
    assert [key.rsplit("/", 1)[1] for key in story.house.pagerduty.pages] == ["P0"]
    assert len(story.house.pagerduty.open) == 1


def test_what_is_lower_now_is_an_update_under_the_same_key() -> None:
    tiers = (*single(P0, 90.0), *single(P1, 50.0))
    story = Story(cpu(tiers=tiers)).tell((0, HI), (60, 60.0), (120, 60.0))
    told = [sent.delivery for sent in story.house.sent if sent.delivery.notifier == "pagerduty"]
    assert {row.dedup_key for row in told} == {told[0].dedup_key}
    assert "50" in told[-1].message.limit


def test_every_incident_has_a_key_of_its_own_for_each_severity() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI), (60, LO), (120, HI))
    keys = [sent.delivery.dedup_key for sent in story.house.sent if sent.delivery.action is Action.TRIGGER]
    numbers = sorted(story.house.world.incidents)
    assert keys == [f"evaluator/story/{number}/P1" for number in numbers]


# Blindness.


@pytest.mark.parametrize("policy", list(NoDataPolicy))
def test_a_failed_poll_never_opens_and_never_closes(policy: NoDataPolicy) -> None:
    rule = cpu(no_data=NoData(policy, 60.0), tiers=single())
    story = Story(rule).tell((0, LO), *[(MINUTE * n, FAIL) for n in range(1, 100)])
    assert story.timeline == []
    story.tell((6000, HI), *[(6000 + MINUTE * n, FAIL) for n in range(1, 100)])
    assert story.timeline == [(6000, "opened")]


def test_a_missing_series_is_held_open_until_it_is_healthy() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI), *every_minute(60, 6000, NOTHING))
    assert story.timeline == [(0, "opened")]
    assert story.tell((6060, LO)).timeline == [(0, "opened"), (6060, "resolved")]


def test_a_missing_series_is_a_breach_after_three_good_answers_without_it() -> None:
    rule = cpu(no_data=NoData(NoDataPolicy.BREACH), tiers=single())
    story = Story(rule).tell((0, LO), (60, NOTHING), (120, NOTHING), (180, FAIL), (240, FAIL))
    assert story.timeline == []
    assert story.tell((300, NOTHING)).timeline == [(300, "opened")]


def test_a_series_that_never_comes_back_is_forgotten_after_a_day_of_good_answers() -> None:
    rule = cpu(no_data=NoData(NoDataPolicy.BREACH), tiers=single(), every=HOUR)
    table = [(HOUR * n, NOTHING) for n in range(1, 24)]
    story = Story(rule).tell((0, LO), *table)
    story.house.start(23.5 * HOUR)
    assert story.timeline == [(3 * HOUR, "opened")]
    story.tell((24 * HOUR, NOTHING))
    assert story.timeline == [(3 * HOUR, "opened"), (24 * HOUR, "resolved")]
    assert story.reasons == ["forgotten"]


def test_a_missing_series_resolves_after_the_time_that_was_set() -> None:
    rule = cpu(no_data=NoData(NoDataPolicy.RESOLVE, HOUR), tiers=single())
    story = Story(rule).tell((0, HI), *every_minute(60, 3540, NOTHING))
    assert story.timeline == [(0, "opened")]
    assert story.tell((3600, NOTHING)).timeline == [(0, "opened"), (3600, "resolved")]


def test_a_series_that_the_source_ended_is_quiet_at_once() -> None:
    story = Story(cpu()).tell(*TO["firing"], (180, {"a": GONE}))
    assert story.timeline == [(120, "opened"), (180, "resolved")]
    assert story.reasons == ["gone"]


def test_a_day_of_blindness_tells_a_person_once() -> None:
    story = Story(cpu(tiers=single(), every=HOUR)).tell((0, HI), *[(HOUR * n, FAIL) for n in range(1, 60)])
    notices = [sent for sent in story.house.sent if sent.delivery.action is Action.NOTICE]
    assert len(notices) == 1
    assert 24 * HOUR <= notices[0].at <= 25 * HOUR
    message = notices[0].delivery.message
    assert "evaluator resolve" in f"{message.title} {message.why} {message.description}"
    assert story.timeline == [(0, "opened")]


# Groups.


def test_another_host_joins_an_incident_and_pages_only_if_it_is_worse() -> None:
    rule = cpu(group_by=(), tiers=(*single(P0, 99.0), *single(P2, 50.0)))
    story = Story(rule).tell((0, {"a": 60.0}), (60, {"a": 60.0, "b": 70.0}))
    assert story.timeline == [(0, "opened")]
    assert len(story.house.pagerduty.pages) == 1
    story.tell((120, {"a": 60.0, "b": 100.0}))
    assert story.timeline == [(0, "opened"), (120, "raised")]
    assert len(story.house.pagerduty.pages) == 2


def test_a_vanished_member_leaves_and_the_last_one_closes() -> None:
    rule = cpu(group_by=(), tiers=single())
    story = Story(rule).tell((0, {"a": HI, "b": HI}), (60, {"a": HI, "b": GONE}))
    (incident,) = story.house.world.incidents.values()
    assert incident.members == (host("a"),)
    assert story.tell((120, {"a": LO})).timeline == [(0, "opened"), (120, "resolved")]


# Start, restart, reload.


def edit(story: Story, slot: float, *rules: Rule) -> Story:
    """Reload with other rules."""
    story.house.reload(slot, rule_set(rules))
    story.house.deliver(slot)
    return story


@pytest.mark.parametrize("restart", [False, True])
def test_a_rule_that_asks_something_else_ends_what_its_first_good_answer_does_not_know(restart: bool) -> None:
    old, new = cpu(tiers=single()), cpu(tiers=single(), query=Query("prometheus", '{"expr":"other"}'))
    story = Story(old).tell((0, {"a": HI, "b": HI}))
    if restart:
        story.house.start(30, rule_set([new]))
    else:
        edit(story, 30, new)
    assert story.tell((60, FAIL)).reasons == []
    story.tell((120, {"b": HI}))
    assert story.reasons == ["edited"]
    assert [it.group for it in story.house.world.incidents.values() if it.open] == [host("b")]
    assert len(story.house.pagerduty.pages) == 2


def test_a_tier_that_was_removed_while_it_fired_does_not_stay_open() -> None:
    tiers = (*single(P0, 90.0), *single(P2, 50.0))
    story = Story(cpu(tiers=tiers)).tell((0, HI))
    edit(story, 30, cpu(tiers=single(P2, 50.0)))
    assert story.tell((60, HI)).timeline == [(0, "opened")]
    story.tell((120, LO))
    assert story.house.states() == {}
    assert story.timeline == [(0, "opened"), (120, "resolved")]
    assert story.house.pagerduty.open == {}


def test_an_alert_whose_only_tier_was_removed_ends_with_the_reason_edited() -> None:
    tiers = (*single(P0, 90.0), *single(P2, 99.0))
    story = Story(cpu(tiers=tiers)).tell((0, HI))
    edit(story, 30, cpu(tiers=single(P2, 99.0))).tell((60, HI))
    assert story.reasons == ["edited"]
    assert story.house.pagerduty.open == {}


def test_a_severity_that_is_renamed_while_firing_is_no_second_page() -> None:
    story = Story(cpu()).tell(*TO["firing"])
    milder = cpu(tiers=(replace(cpu().tiers[0], severity=P2),))
    edit(story, 150, milder).tell(*every_minute(180, 900, HI))
    assert story.timeline == [(120, "opened")]
    assert len(story.house.pagerduty.pages) == 1
    story.tell(*every_minute(960, 1080, LO))
    assert story.house.pagerduty.open == {}


@pytest.mark.parametrize(
    ("rules", "reason"),
    [([], "removed"), ([cpu(mode=Mode.OFF)], "off"), ([cpu(mode=Mode.SHADOW)], "shadow")],
)
@pytest.mark.parametrize("restart", [False, True])
def test_a_rule_that_no_longer_pages_closes_what_it_has_open(rules: list[Rule], reason: str, restart: bool) -> None:
    story = Story(cpu()).tell(*TO["firing"])
    if restart:
        story.house.start(150, rule_set(rules))
        story.house.deliver(150)
    else:
        edit(story, 150, *rules)
    assert story.reasons == [reason]
    assert story.house.pagerduty.open == {}


def test_an_edited_limit_keeps_the_incident_and_judges_the_next_value() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI))
    edit(story, 30, cpu(tiers=single(above=50.0)))
    assert story.tell((60, 60.0)).timeline == [(0, "opened")]
    edit(story, 90, cpu(tiers=single(above=70.0)))
    assert story.tell((120, 60.0)).timeline == [(0, "opened"), (120, "resolved")]


def test_a_restart_forgets_nothing_and_repeats_nothing() -> None:
    story = Story(cpu()).tell(*TO["firing"])
    for slot in (130, 140, 150):
        story.house.start(slot)
        story.house.deliver(slot)
    assert story.wire == [(120, "trigger P1")]
    story.tell(*every_minute(180, 300, LO))
    assert [text for _, text in story.wire].count("resolve P1") == 1


def test_what_history_says_opens_nothing_before_one_live_breach() -> None:
    story = Story(cpu(tiers=single(for_=600.0)))
    for slot in range(0, 661, 60):
        story.house.judge("cpu", slot, answer(HI), live=False)
    assert story.timeline == []
    assert story.tell((720, HI)).timeline == [(720, "opened")]


# Windows.


def test_datapoints_fire_on_m_of_n() -> None:
    rule = cpu(tiers=single(datapoints=Datapoints(3, 5)))
    story = Story(rule).tell((0, HI), (60, LO), (120, HI), (180, LO))
    assert story.timeline == []
    assert story.tell((240, HI)).timeline == [(240, "opened")]


def test_old_datapoints_do_not_count() -> None:
    rule = cpu(tiers=single(datapoints=Datapoints(3, 5)))
    story = Story(rule).tell((0, HI), (60, HI), *[(MINUTE * n, FAIL) for n in range(2, 9)], (540, HI))
    assert story.timeline == []


# Deliveries.


def test_an_incident_that_ended_before_anybody_was_told_is_not_sent() -> None:
    story = Story(cpu(tiers=single()), weather=("no connection",)).tell((0, HI), (60, LO))
    story.house.pass_quietly(70, 2 * HOUR)
    assert story.timeline == [(0, "opened"), (60, "resolved")]
    assert story.house.pagerduty.pages == []
    assert all(not sent.arrived for sent in story.house.sent)


def test_a_trigger_that_may_have_arrived_is_resolved() -> None:
    story = Story(cpu(tiers=single()), weather=("timeout after", "no connection")).tell((0, HI), (20, LO))
    story.house.pass_quietly(70, 2 * HOUR)
    assert len(story.house.pagerduty.pages) == 1
    assert story.house.pagerduty.open == {}


def test_a_refused_resolve_is_tried_until_it_is_taken() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI))
    story.house.weather = ("400",)
    story.tell((60, LO))
    assert len(story.house.pagerduty.open) == 1
    refused = [row for row in story.house.world.deliveries.values() if row.state is DeliveryState.REFUSED]
    assert [(row.action, row.due_at) for row in refused] == [(Action.RESOLVE, 660)]
    story.house.pass_quietly(70, 700)
    assert story.house.pagerduty.open == {}


def test_a_routing_key_that_changed_while_open_strands_nothing() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI))
    story.house.routing_key = "2"
    edit(story, 30, cpu(tiers=single())).tell((60, LO))
    assert story.house.pagerduty.open == {}


def test_a_trigger_that_nobody_can_have_received_takes_the_key_configured_now() -> None:
    story = Story(cpu(tiers=single()), weather=("400",)).tell((0, HI))
    story.house.weather = ("accepted",)
    story.house.routing_key = "2"
    edit(story, 30, cpu(tiers=single()))
    assert [key for key, _ in story.house.pagerduty.open] == ["2" * 32]


def test_a_trigger_that_was_lost_after_it_was_accepted_is_repeated() -> None:
    story = Story(cpu(tiers=single()), weather=("lost",)).tell((0, HI))
    assert story.house.pagerduty.pages == []
    story.house.pass_quietly(1, 130)
    assert len(story.house.pagerduty.open) == 1


def test_a_resolve_that_was_lost_after_it_was_accepted_is_repeated() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI))
    story.house.weather = ("lost",)
    story.tell((60, LO))
    assert len(story.house.pagerduty.open) == 1
    story.house.pass_quietly(61, 190)
    assert story.house.pagerduty.open == {}


def test_an_open_incident_is_told_again_after_2_and_10_minutes_and_then_hourly() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI))
    story.house.pass_quietly(1, 2.5 * HOUR)
    times = [at for at, text in story.wire if text == "trigger P1"]
    assert times == pytest.approx([0, 120, 600, 600 + HOUR, 600 + 2 * HOUR], abs=130)


def test_a_resolve_is_told_again_after_2_and_10_minutes_and_an_hour() -> None:
    story = Story(cpu(tiers=single())).tell((0, HI), (60, LO))
    story.house.pass_quietly(61, DAY)
    times = [at - 60 for at, text in story.wire if text == "resolve P1"]
    assert len(times) == 4
    assert times == pytest.approx([0, 120, 600, HOUR], abs=730)


def test_a_resolve_that_is_refused_for_ever_holds_up_neither_a_raise_nor_the_end() -> None:
    """The integration that told of the first severity was deleted at PagerDuty."""
    tiers = (*single(P0, 90.0), *single(P1, 70.0), *single(P2, 50.0))
    story = Story(cpu(tiers=tiers)).tell((0, 60.0))
    story.house.routing_key = "2"
    edit(story, 30, cpu(tiers=tiers))
    story.house.weather = ("old key refused",)
    story.tell((60, 80.0), (120, HI))
    assert [key.rsplit("/", 1)[1] for key in story.house.pagerduty.pages] == ["P2", "P1", "P0"]
    story.tell((180, LO))
    assert [key for key, _ in story.house.pagerduty.open] == ["1" * 32]


def test_an_old_severity_stays_open_until_a_newer_one_was_accepted() -> None:
    tiers = (*single(P0, 90.0), *single(P1, 70.0), *single(P2, 50.0))
    story = Story(cpu(tiers=tiers), weather=("accepted",)).tell((0, 60.0))
    story.house.weather = ("timeout before",)
    story.tell((60, 80.0))
    story.house.weather = ("accepted",)
    story.tell((61, HI))
    story.house.pass_quietly(62, 70)
    order = [text for _, text in story.wire]
    assert order.index("trigger P0") < order.index("resolve P2")
    assert len(story.house.pagerduty.open) == 1


def test_a_refusal_is_told_to_the_fallback() -> None:
    story = Story(cpu(tiers=single()), weather=("400",)).tell((0, HI))
    notices = [sent.delivery for sent in story.house.sent if sent.delivery.action is Action.NOTICE]
    assert [(row.notifier, row.incident) for row in notices] == [("console", *story.house.world.incidents)]


def test_a_receiver_that_asks_for_time_gets_it() -> None:
    story = Story(cpu(tiers=single()), weather=("429",)).tell((0, HI))
    for now in range(1, 40):
        story.house.deliver(float(now))
    assert [at for at, _ in story.wire] == [0, 20]


def test_resolves_go_first_and_then_the_worst() -> None:
    rules = [replace(cpu(tiers=single(severity)), name=f"rule-{severity}") for severity in Severity]
    story = Story(*rules).tell((0, HI), rule="rule-P2")
    for severity in (P3, P1, P0):
        story.house.judge(f"rule-{severity}", 60.0, answer(HI))
    story.house.judge("rule-P2", 60.0, answer(LO))
    story.house.deliver(60)
    assert [text for at, text in story.wire if at == 60] == ["resolve P2", "trigger P0", "trigger P1", "trigger P3"]


def test_an_edited_limit_does_not_count_what_the_old_one_judged() -> None:
    story = Story(cpu(tiers=single(above=50.0, datapoints=Datapoints(3, 5)))).tell((0, 60.0), (60, 60.0))
    edit(story, 90, cpu(tiers=single(above=90.0, datapoints=Datapoints(3, 5)))).tell((120, HI))
    assert story.timeline == []


def test_a_first_sample_beyond_the_limit_after_blindness_ends_nothing() -> None:
    story = Story(cpu(tiers=single(datapoints=Datapoints(3, 5)))).tell(*every_minute(0, 120, HI))
    story.tell(*every_minute(180, 780, FAIL), (840, HI))
    assert story.timeline == [(120, "opened")]
