"""Silences, windows and hours: what they hold back, what they never do, and what they say."""

import pytest

from evaluator.engine.alerts import State, Verdict
from evaluator.engine.calendar import ActiveHours
from evaluator.engine.maintenance import Recurring, Selector, Window
from evaluator.engine.rules import Limit, Mode, NoDataPolicy, Op, Recover, Severity
from evaluator.engine.samples import Samples
from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.muting import MuteKind, mutes_of
from evaluator.incidents.silence import Silence
from evaluator.incidents.silencing import overdue
from tests.stories import ALL, FAILED, HI, LO, MID, WEB, Story, answer, labels, rule, tier

HOUR, DAY = 3600.0, 86_400.0
WORK = Window("db-upgrade", ALL, 0.0, HOUR, reason="PostgreSQL 17")
OFFICE = ActiveHours("Mon-Fri 08:00-20:00 UTC", frozenset(range(5)), 8 * 60, 20 * 60, "UTC")
BELOW_80 = Limit(Op.BELOW, 80.0)


def silenced(*tiers: object, until: float = HOUR, **fields: object) -> Story:
    """Return a story in which a silence begins at 0 and everything fires from 60 on."""
    story = Story.of(rule(*tiers, **fields))  # type: ignore[arg-type]
    story.silence(0.0, until)
    story.look(60, HI)
    return story


def test_a_silence_holds_an_opening_back_and_says_so() -> None:
    story = silenced()
    assert story.state() is State.FIRING
    assert not story.open
    (mutes,) = story.held.values()
    assert [(mute.kind, mute.name, mute.until) for mute in mutes] == [(MuteKind.SILENCE, "s0", HOUR)]
    assert story.mutes() == ["silenced by ann until 1970-01-01 01:00 UTC: disk swap"]


def test_what_still_fires_when_a_silence_ends_opens_at_its_next_breach() -> None:
    story = silenced()
    story.look(HOUR - 60, HI)
    assert not story.open
    story.look(HOUR, HI)
    (incident,) = story.open
    assert (incident.opened_at, incident.active_at) == (HOUR, 60)
    (line,) = story.lines("opened")
    assert line == (
        "opened as P1: host=web-1: 95 % is above 90 %; breaching since 1970-01-01 00:01:00 UTC, for 59m; "
        "held back until now: silenced by ann until 1970-01-01 01:00 UTC: disk swap"
    )


@pytest.mark.parametrize(
    ("before", "at_the_end", "opens"),
    [
        (HI, FAILED, False),
        (HI, MID, False),
        (LO, LO, False),
        (LO, HI, True),
        (HI, HI, True),
    ],
    ids=["unknown", "in the band", "recovering", "relapsed", "breach"],
)
def test_the_end_of_a_silence_opens_only_with_a_breach(before, at_the_end, opens) -> None:
    story = Story.of(rule(tier(recover=Recover(BELOW_80, for_=600.0))))
    story.silence(0.0, 180.0)
    story.tell([(60, HI), (120, before), (180, at_the_end)])
    assert bool(story.open) is opens
    assert story.state() in (State.FIRING, State.RECOVERING)
    story.look(240, HI)
    assert len(story.open) == 1


def test_what_recovers_under_a_silence_opens_nothing() -> None:
    story = silenced()
    story.tell([(120, LO), (HOUR, LO)])
    assert story.events == []
    assert story.world.held == {"cpu": {}}


def test_a_silence_closes_nothing_and_what_is_open_says_that_it_is_muted() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.silence(30.0, HOUR)
    story.look(60, HI)
    (incident,) = story.open
    assert incident.muted == "silenced by ann until 1970-01-01 01:00 UTC: disk swap"
    story.look(120, HI)
    story.look(HOUR, HI)
    assert story.open[0].muted == ""
    assert story.lines("muted", "unmuted") == [
        f"{incident.muted}; it stays open, and is not raised while that lasts",
        f"no longer: {incident.muted}",
    ]
    assert story.held == {}


def test_what_ends_while_it_is_muted_is_closed() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.silence(30.0, HOUR)
    story.tell([(60, HI), (120, LO)])
    assert story.kinds[-2:] == ["resolved", "dropped"]
    (ended,) = story.world.ended_incidents()
    assert ended.muted == ""


def test_a_silence_of_some_series_holds_back_those_only() -> None:
    story = Story.of(rule(group_by=()))
    story.silence(0.0, HOUR, Selector(series={"host": "db-*"}))
    story.look(60, db_1=99.0, web_1=HI)
    (incident,) = story.open
    assert incident.members == (labels(host="web-1"),)
    assert (incident.value, incident.title, incident.muted) == (HI, "cpu is 95 %", "")
    assert {key.series for key in story.held} == {labels(host="db-1")}
    story.look(120, db_1=99.0, web_1=HI)
    assert "joined" not in story.kinds
    story.look(HOUR, db_1=99.0, web_1=HI)
    assert story.open[0].members == (labels(host="db-1"), labels(host="web-1"))
    assert "joined" in story.kinds


@pytest.mark.parametrize(
    ("selector", "opens"),
    [
        (ALL, False),
        (Selector(("cp*",)), False),
        (Selector(("disk",)), True),
        (Selector(except_=("cpu",)), True),
        (Selector(series={"host": "web-?"}), False),
        (Selector(series={"host": "db-?"}), True),
        (Selector(series={"zone": "*"}), True),
    ],
)
def test_selectors_say_what_is_meant(selector, opens) -> None:
    story = Story.of(rule())
    story.silence(0.0, HOUR, selector)
    story.look(60, HI)
    assert bool(story.open) is opens


def test_a_muted_tier_neither_raises_nor_speaks() -> None:
    story = Story.of(rule(tier(Severity.P0, 97), tier(Severity.P2, 90))).tell([(0, HI)])
    story.silence(30.0, 300.0)
    story.look(60, 99.0)
    assert (story.open[0].severity, story.open[0].limit) == (Severity.P2, "above 90 %")
    assert {key.severity for key in story.held} == {Severity.P0}
    story.look(120, HI)
    assert "lowered" not in story.kinds
    story.tell([(180, 99.0), (300, 99.0)])
    assert story.open[0].severity is Severity.P0


def test_a_window_holds_back_between_its_times() -> None:
    story = Story.of(rule(), windows=[WORK]).tell([(60, HI)])
    assert story.mutes() == ["window db-upgrade until 1970-01-01 01:00 UTC: PostgreSQL 17"]
    story.look(HOUR, HI)
    assert len(story.open) == 1


def test_a_window_that_begins_neither_closes_nor_raises_what_is_open_and_its_end_opens_no_second_one() -> None:
    window = Window("work", ALL, 100.0, 300.0)
    story = Story.of(rule(tier(Severity.P0, 99), tier(Severity.P1, 90)), windows=[window])
    story.tell([(60, HI), (120, 99.5), (180, HI)])
    assert [incident.severity for incident in story.open] == [Severity.P1]
    story.tell([(300, HI), (360, 99.5)])
    assert [incident.severity for incident in story.open] == [Severity.P0]
    assert story.kinds.count("opened") == 1


def test_a_window_of_other_rules_or_other_times_holds_nothing_back() -> None:
    others = [Window("a", Selector(("disk",)), 0.0, HOUR), Window("b", ALL, HOUR, 2 * HOUR)]
    assert Story.of(rule(), windows=others).tell([(60, HI)]).open


def test_a_window_that_comes_again_and_again_says_nothing_more_than_it_knows() -> None:
    nightly = Window("backup", Selector(series={"host": "web-*"}), when=Recurring("0 2 * * *", "UTC", HOUR))
    story = Story.of(rule(), windows=[nightly]).tell([(2 * HOUR, HI)])
    assert story.mutes() == ["window backup until 1970-01-01 03:00 UTC"]
    story.look(3 * HOUR, HI)
    assert story.open


def test_outside_of_its_hours_a_rule_opens_nothing() -> None:
    # The first day of the epoch was a Thursday.
    story = Story.of(rule(active=(OFFICE,))).tell([(HOUR, HI)])
    assert story.mutes() == ["not active (Mon-Fri 08:00-20:00 UTC) until 1970-01-01 08:00 UTC"]
    story.look(8 * HOUR, HI)
    assert len(story.open) == 1
    story.look(20 * HOUR, HI)
    assert story.open[0].muted.startswith("not active")


def test_hours_that_never_come_have_no_end() -> None:
    never = ActiveHours("never", frozenset(), 0, 60, "UTC")
    (mute,) = mutes_of(Story.of().world, Story.of().in_force, rule(active=(never,)), WEB, 0.0)
    assert (mute.kind, mute.until, mute.text) == (MuteKind.INACTIVE, None, "not active (never)")


def test_several_mutes_are_all_told() -> None:
    story = Story.of(rule(active=(OFFICE,)), windows=[WORK])
    story.silence(0.0, 90.5)
    story.look(60, HI)
    (mutes,) = story.held.values()
    assert [mute.kind for mute in mutes] == [MuteKind.SILENCE, MuteKind.WINDOW, MuteKind.INACTIVE]
    assert mutes[0].text == "silenced by ann until 1970-01-01 00:01:30 UTC: disk swap"
    assert ", and window db-upgrade" in story.world.held["cpu"][story.alert().key]


def test_shadow_says_that_it_is_shadow() -> None:
    story = Story.of(rule(mode=Mode.SHADOW)).tell([(0, HI)])
    assert story.mutes() == ['mode = "shadow"']


def test_a_humans_resolve_says_who_it_was_and_until_when() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.obey(60, CommandKind.RESOLVE, story.open[0].id)
    story.look(780, HI)
    (mutes,) = story.held.values()
    assert [(mute.kind, mute.name, mute.until) for mute in mutes] == [(MuteKind.RESPITE, "ann", 1860)]
    assert story.mutes() == ["resolved by ann 12m ago, opens again after 30m"]
    assert mutes_of(story.world, story.in_force, story.rules["cpu"], WEB, 780) == mutes
    story.look(1860, HI)
    assert len(story.open) == 1
    assert mutes_of(story.world, story.in_force, story.rules["cpu"], WEB, 1860) == ()


def test_a_failed_poll_does_not_make_us_forget_what_held_an_opening_back() -> None:
    story = silenced(until=180.0)
    story.tell([(120, FAILED), (180, FAILED)])
    assert story.held == {}
    story.look(240, HI)
    assert "held back until now: silenced by ann" in story.lines("opened")[0]


# The life of a silence.


def test_a_silence_that_ends_with_its_alert_ends_with_the_first_quiet_evaluation() -> None:
    story = Story.of(rule())
    story.silence(0.0, DAY, with_alert=True)
    story.look(60, LO)
    assert not story.world.silences["s0"].matched
    story.look(120, HI)
    assert story.world.silences["s0"].matched
    assert story.mutes() == ["silenced by ann until its alert is over, at most until 1970-01-02 00:00 UTC: disk swap"]
    assert not story.look(180, HI).silences
    story.look(240, LO)
    silence = story.world.silences["s0"]
    assert (silence.ended_at, silence.ended_because) == (240, "what it was about is over")
    story.look(300, HI)
    assert len(story.open) == 1


def test_what_fires_when_a_silence_begins_counts_for_its_end() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    assert story.silence(30.0, DAY, with_alert=True).matched
    story.look(60, LO)
    assert story.world.silences["s30"].ended_at == 60


def test_a_silence_of_several_rules_ends_when_all_of_them_are_quiet() -> None:
    story = Story.of(rule(), rule(name="disk"))
    story.silence(0.0, DAY, with_alert=True)
    story.look(60, HI)
    story.look(60, HI, rule="disk")
    story.look(120, LO)
    assert story.world.silences["s0"].holds(120)
    story.look(120, LO, rule="disk")
    assert story.world.silences["s0"].ended_at == 120


def test_a_recovering_alert_is_not_over_yet() -> None:
    story = Story.of(rule(tier(recover=Recover(for_=120))))
    story.silence(0.0, DAY, with_alert=True)
    story.tell([(60, HI), (120, LO), (180, LO)])
    assert story.world.silences["s0"].holds(180)
    story.look(240, LO)
    assert story.world.silences["s0"].ended_at == 240


def test_the_time_ends_a_silence() -> None:
    story = silenced()
    assert overdue(story.world, HOUR - 1) == Changes()
    story.take(overdue(story.world, HOUR + 5))
    silence = story.world.silences["s0"]
    assert (silence.ended_at, silence.ended_because) == (HOUR, "its time was over")
    assert overdue(story.world, HOUR + 10) == Changes()


def test_a_silence_whose_rule_is_removed_while_it_fires_is_over() -> None:
    story = Story.of(rule())
    story.silence(0.0, DAY, with_alert=True)
    story.look(60, HI)
    assert overdue(story.world, 60) == Changes()
    story.edit(90)
    story.take(overdue(story.world, 90))
    assert story.world.silences["s0"].ended_because == "what it was about is over"


def test_a_person_ends_a_silence() -> None:
    story = silenced()
    story.obey(90, CommandKind.UNSILENCE, "s0")
    silence = story.world.silences["s0"]
    assert (silence.ended_at, silence.ended_because) == (90, "ended by ann: on it")
    story.look(120, HI)
    assert len(story.open) == 1


def test_a_silence_is_ended_and_begun_once() -> None:
    story = silenced()
    story.obey(90, CommandKind.UNSILENCE, "s0")
    assert not story.obey(120, CommandKind.UNSILENCE, "s0").silences
    assert not story.obey(120, CommandKind.UNSILENCE, "no such silence").silences
    again = Silence("s0", ALL, "ann", "", 0.0, HOUR)
    assert not story.obey(120, CommandKind.SILENCE, silence=again).silences
    assert not story.obey(120, CommandKind.SILENCE).silences


def test_a_silence_without_a_reason_is_short() -> None:
    story = Story.of(rule())
    story.obey(0, CommandKind.SILENCE, silence=Silence("s", ALL, "bob", "", 0.0, HOUR))
    story.look(60, HI)
    assert story.mutes() == ["silenced by bob until 1970-01-01 01:00 UTC"]


def test_silences_outlive_a_restart() -> None:
    story = silenced().restart(90)
    story.look(120, HI)
    assert not story.open
    story.look(HOUR, HI)
    assert len(story.open) == 1


def test_a_silence_that_was_ended_early_is_kept_in_memory_for_a_day_too() -> None:
    story = silenced()
    story.obey(90, CommandKind.UNSILENCE, "s0")
    story.world.forget_old(89 + DAY)
    assert "s0" in story.world.silences
    story.world.forget_old(90 + DAY)
    assert not story.world.silences


def test_a_missing_series_is_muted_like_any_other() -> None:
    story = Story.of(rule(no_data=NoDataPolicy.BREACH))
    story.silence(0.0, HOUR)
    story.look(0, LO)
    story.tell([(now, answer(web_2=LO)) for now in (60, 120, 180)])
    assert (story.alert().verdict, story.open) == (Verdict.BREACH, [])
    assert len(story.held) == 1


def test_nothing_is_asked_of_what_opens_nothing() -> None:
    story = Story.of(rule())
    story.silence(0.0, HOUR)
    story.look(60, Samples([{"host": f"h{number}"} for number in range(50)], [LO] * 50))
    assert story.held == {}
    assert "cpu" not in story.world.held
