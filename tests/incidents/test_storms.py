"""Many openings of one service at once: the rest is one incident."""

from dataclasses import replace

import pytest

from evaluator.engine.damping import Storm
from evaluator.engine.rules import Mode, Recover, Rule, Severity
from evaluator.engine.samples import Samples, Series
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.deliveries import Action
from evaluator.incidents.incident import STORM, CloseReason, Incident
from evaluator.incidents.muting import MuteKind
from tests.stories import FAILED, HI, LO, Story, labels, rule, tier

THREE = Storm(opens=3, within=60.0)


def many(count: int, value: float = HI, start: int = 0) -> Samples:
    """Return an answer of so many hosts."""
    names = [{"host": f"h{number:02d}"} for number in range(start, start + count)]
    return Samples(names, [value] * count)


def stormy(**fields: object) -> Rule:
    return rule(**{"storm": THREE, **fields})  # type: ignore[arg-type]


def storm_of(story: Story) -> Incident:
    (storm,) = story.world.open_incidents(STORM)
    return storm


def group(number: int) -> Series:
    return labels(host=f"h{number:02d}")


def test_what_opens_after_so_many_openings_joins_one_incident() -> None:
    story = Story.of(stormy())
    story.look(60, many(10))
    assert [incident.rule for incident in story.open] == ["cpu", "cpu", "cpu", STORM]
    storm = storm_of(story)
    assert [caught.group for caught in storm.caught] == [group(number) for number in range(3, 10)]
    assert (storm.group, storm.service, storm.severity) == (labels(service="web"), "web", Severity.P1)
    assert (storm.title, storm.members, storm.value) == ("Storm: 7 alerts of web", (), None)
    assert (storm.opened_at, storm.active_at, storm.known_at) == (60, 60, 60)


def test_a_storm_pages_once_and_lists_what_it_caught() -> None:
    story = Story.of(stormy())
    story.look(60, many(60))
    sent = [row for row in story.deliver(60) if row.message.rule == STORM]
    assert len(sent) == 1
    message = sent[0].message
    assert (message.title, message.value, message.source) == ("Storm: 57 alerts of web", "", "service=web")
    assert message.series[0] == "P1 cpu (host=h03)"
    assert (len(message.series), message.series[-1]) == (51, "and 7 more")
    assert message.why == (
        "too many alerts of web opened at once, so the rest joins this one; "
        "the worst is P1 cpu (host=h03): 95 % is above 90 %"
    )


def test_what_joins_later_is_told_under_the_same_key_and_pages_nobody_anew() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.deliver(60)
    story.look(90, many(7))
    sent = story.deliver(90)
    assert [(row.action, row.message.title) for row in sent] == [(Action.TRIGGER, "Storm: 4 alerts of web")]
    assert len({row.dedup_key for row in story.world.deliveries.values() if row.message.rule == STORM}) == 1


def test_the_timeline_of_a_storm_tells_who_came_and_went() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.look(90, many(6))
    story.look(120, Samples([{"host": f"h{number:02d}"} for number in range(6)], [HI, HI, HI, HI, LO, LO]))
    storm = storm_of(story).id
    lines = [(event.kind.value, event.text) for event in story.events if event.incident == storm]
    assert lines[1:] == [
        ("joined", "caught: P1 cpu (host=h03); P1 cpu (host=h04)"),
        ("joined", "caught: P1 cpu (host=h05)"),
        ("left", "it has recovered: P1 cpu (host=h04); P1 cpu (host=h05)"),
    ]
    assert lines[0][1].startswith("opened as P1: too many alerts of web")


def test_a_storm_is_over_when_everything_in_it_is_quiet() -> None:
    story = Story.of(stormy(tiers=(tier(recover=Recover(for_=60)),)))
    story.look(60, many(5))
    storm = storm_of(story)
    story.look(120, many(5, LO))
    assert storm_of(story).caught == storm.caught
    story.look(180, many(5, LO))
    assert not story.open
    ended = story.world.incidents[storm.id]
    assert (ended.close_reason, ended.caught) == (CloseReason.RECOVERED, ())
    assert ended.title == "Storm: 2 alerts of web"


@pytest.mark.parametrize(("at", "caught"), [(119.0, True), (120.0, False)])
def test_openings_that_are_longer_ago_do_not_count(at, caught) -> None:
    story = Story.of(stormy())
    story.look(60, many(3))
    story.look(at, many(4))
    assert bool(story.world.open_incidents(STORM)) is caught


def test_the_timeline_of_a_storm_says_of_what_each_part_ended_the_last_ones_too() -> None:
    story = Story.of(stormy(tiers=(tier(recover=Recover(for_=60)),)))
    story.look(60, many(6))
    story.look(120, replace(many(5), gone=frozenset({group(5)})))
    story.look(180, replace(many(4, LO), gone=frozenset({group(4)})))
    story.look(240, many(4, LO))
    assert not story.open
    assert story.lines("left") == [
        "its source says that it has ended: P1 cpu (host=h05)",
        "its source says that it has ended: P1 cpu (host=h04)",
        "it has recovered: P1 cpu (host=h03)",
    ]


def test_a_storm_of_which_all_was_ended_by_its_source_is_gone() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    storm = storm_of(story)
    story.look(120, replace(many(3), gone=frozenset({group(3), group(4)})))
    assert story.world.incidents[storm.id].close_reason is CloseReason.GONE


def test_what_a_storm_caught_goes_on_counting() -> None:
    story = Story.of(stormy())
    story.look(60, many(3))
    for number, now in enumerate(range(110, 410, 50)):
        # Each time the openings of their own are over, three caught ones in the last minute keep the storm going.
        story.look(now, many(3 + 3 * (number + 1)))
    assert len(story.world.open_incidents("cpu")) == 3
    assert len(storm_of(story).caught) == 18
    story.look(500, many(22))
    assert len(story.world.open_incidents("cpu")) == 4


def test_storms_are_of_one_service_and_of_all_its_rules() -> None:
    story = Story.of(stormy(), stormy(name="disk"), stormy(name="queue", service="jobs"))
    story.look(60, many(2))
    story.look(61, many(3), rule="disk")
    story.look(62, many(2), rule="queue")
    assert {(each.rule, each.group) for each in storm_of(story).caught} == {("disk", group(1)), ("disk", group(2))}
    assert len(story.world.open_incidents("queue")) == 2


def test_a_rule_without_storm_opens_its_own_and_counts_for_others() -> None:
    story = Story.of(rule(), stormy(name="disk"))
    story.look(60, many(40))
    assert len(story.open) == 40
    story.look(61, many(1), rule="disk")
    assert storm_of(story).caught[0].rule == "disk"


def test_what_has_an_incident_of_its_own_keeps_it() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90))))
    story.look(60, many(3))
    story.look(61, many(6, 99.0))
    assert [incident.severity for incident in story.world.open_incidents("cpu")] == [Severity.P0] * 3
    assert len(storm_of(story).caught) == 3


def test_a_caught_alert_that_gets_worse_raises_the_storm() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90))))
    story.look(60, many(5))
    story.deliver(60)
    story.look(120, many(5, 99.0))
    storm = storm_of(story)
    assert (storm.severity, {each.severity for each in storm.caught}) == (Severity.P0, {Severity.P0})
    assert storm.why == "the worst is P0 cpu (host=h03): 99 % is above 97 %"
    assert f"raised from P2 to P0: {storm.why}" in story.lines("raised")
    keys = {row.dedup_key[-2:] for row in story.deliver(120) if row.message.rule == STORM}
    assert keys == {"P0", "P2"}
    story.look(180, many(5))
    assert storm_of(story).severity is Severity.P0
    assert [row for row in story.deliver(180) if row.message.rule == STORM] == []


def test_what_joins_worse_than_the_storm_raises_it() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90))))
    story.look(60, many(5))
    answer = Samples([{"host": f"h{number:02d}"} for number in range(6)], [HI] * 5 + [99.0])
    story.look(61, answer)
    assert storm_of(story).severity is Severity.P0


def test_a_muted_alert_is_neither_caught_nor_does_it_raise() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90))))
    story.look(60, many(5))
    story.silence(90.0, 400.0)
    story.look(120, many(8, 99.0))
    assert storm_of(story).severity is Severity.P2
    assert len(storm_of(story).caught) == 2
    assert {mute.kind for mutes in story.held.values() for mute in mutes} == {MuteKind.SILENCE}
    story.look(420, many(8, 99.0))
    assert storm_of(story).severity is Severity.P0


def test_what_is_blind_leaves_no_storm() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    for now in range(120, 86_400, 600):
        story.look(now, FAILED)
    assert len(storm_of(story).caught) == 2
    assert "nothing is known of it since 1970-01-01 00:01:00 UTC: no answer in time" in story.lines("unknown")
    story.deliver(86_400)
    story.look(86_460, FAILED)
    assert story.kinds.count("blind") == 4
    assert {row.action for row in story.deliver(86_460) if row.message.rule == STORM} == {Action.TRIGGER, Action.NOTICE}
    story.look(86_520, many(5))
    assert not storm_of(story).blind_told
    assert story.kinds.count("sighted") == 4


def test_a_storm_is_as_blind_as_the_slowest_of_its_rules() -> None:
    story = Story.of(stormy(), stormy(name="disk", every=3600.0))
    story.look(60, many(5))
    story.look(61, many(2), rule="disk")
    for now in range(120, 9000, 60):
        story.look(now, FAILED)
    assert not storm_of(story).unknown_told
    for now in range(9000, 12_000, 60):
        story.look(now, FAILED)
    assert storm_of(story).unknown_told


def test_a_large_storm_is_not_written_at_each_evaluation() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    storm = storm_of(story).id
    written = [storm in story.look(now, many(5)).incidents for now in range(120, 720, 60)]
    assert written == [False] * 9 + [True]


def test_a_human_who_resolves_a_storm_is_respected_for_all_that_it_had_caught() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    storm = storm_of(story).id
    story.obey(90, CommandKind.RESOLVE, storm)
    story.look(120, many(5))
    assert len(story.open) == 3
    assert story.mutes() == ["resolved by ann 30s ago, opens again after 30m"]
    assert len(story.world.incidents[storm].caught) == 2
    story.look(1889, many(5))
    assert len(story.open) == 3
    story.look(1890, many(5))
    assert len(story.open) == 5


def test_a_human_who_resolves_a_storm_lets_go_what_nobody_can_see() -> None:
    story = Story.of(stormy(), stormy(name="disk"))
    story.look(60, many(5))
    story.look(61, many(2), rule="disk")
    story.look(120, FAILED)
    story.obey(150, CommandKind.RESOLVE, storm_of(story).id)
    assert {series for _, series in story.world.book("cpu")} == {group(0), group(1), group(2)}
    assert len(story.world.book("disk")) == 2


@pytest.mark.parametrize(
    ("edited", "why"),
    [
        ((), CloseReason.REMOVED),
        ((stormy(mode=Mode.OFF),), CloseReason.OFF),
        ((stormy(mode=Mode.SHADOW),), CloseReason.SHADOW),
    ],
)
def test_a_rule_that_pages_no_more_leaves_the_storm(edited, why) -> None:
    story = Story.of(stormy(), stormy(name="disk"))
    story.look(60, many(5))
    story.look(61, many(2), rule="disk")
    storm = storm_of(story).id
    story.edit(90, *edited, stormy(name="disk"))
    assert [each.rule for each in storm_of(story).caught] == ["disk", "disk"]
    assert len(story.lines("left")) == 1
    story.edit(100)
    assert story.world.incidents[storm].close_reason is CloseReason.REMOVED
    assert not story.open


def test_a_storm_that_rules_leave_for_different_reasons_has_recovered() -> None:
    story = Story.of(stormy(), stormy(name="disk"))
    story.look(60, many(5))
    story.look(61, many(2), rule="disk")
    storm = storm_of(story).id
    story.edit(90, stormy(mode=Mode.SHADOW))
    assert story.world.incidents[storm].close_reason is CloseReason.RECOVERED


def test_a_reload_of_the_same_rules_leaves_a_storm_alone() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    assert not story.edit(90, stormy())


def two_zones(value: float = HI) -> Samples:
    return Samples([{"host": f"h{number:02d}", "zone": "xy"[number % 2]} for number in range(8)], [value] * 8)


def test_when_group_by_is_edited_what_was_caught_stays_caught_under_its_new_groups() -> None:
    story = Story.of(stormy())
    story.look(60, two_zones())
    story.edit(90, stormy(group_by=("zone",)))
    # Two of the three incidents of its own took the two zones, so nothing is left for the storm.
    assert {incident.group for incident in story.open} == {labels(zone="x"), labels(zone="y")}
    assert not story.world.open_incidents(STORM)


def test_when_a_caught_group_falls_apart_all_of_it_stays_caught() -> None:
    story = Story.of(stormy(group_by=("zone",), storm=Storm(1, 60.0)))
    story.look(60, two_zones())
    assert [each.group for each in storm_of(story).caught] == [labels(zone="y")]
    story.edit(90, stormy(storm=Storm(1, 60.0)))
    assert [each.group for each in storm_of(story).caught] == [
        labels(host=f"h{number:02d}", zone="y") for number in (1, 3, 5, 7)
    ]
    assert storm_of(story).title == "Storm: 4 alerts of web"
    story.look(120, two_zones())
    # The other zone's incident went with one of its hosts, and the rest of it opens anew.
    assert len(story.world.open_incidents("cpu")) == 2
    story.look(180, two_zones(LO))
    assert not story.open


def test_caught_groups_that_fall_together_are_one() -> None:
    story = Story.of(stormy(storm=Storm(1, 60.0), tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90))))
    names = [{"host": f"h{number}", "zone": zone} for number, zone in enumerate("xyyy")]
    story.look(60, Samples(names, [HI, HI, 99.0, HI]))
    story.edit(
        90, stormy(storm=Storm(1, 60.0), group_by=("zone",), tiers=(tier(Severity.P0, 97), tier(Severity.P2, 90)))
    )
    (caught,) = storm_of(story).caught
    assert (caught.group, caught.severity) == (labels(zone="y"), Severity.P0)


def test_a_renamed_severity_moves_what_was_caught() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.edit(90, stormy(tiers=(tier(Severity.P3),)))
    assert {each.severity for each in storm_of(story).caught} == {Severity.P3}
    # As every key that receivers know, the storm's goes on as it is.
    assert storm_of(story).severity is Severity.P1


def test_a_severity_that_an_edit_makes_worse_raises_what_was_caught_at_its_next_breach() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.edit(90, stormy(tiers=(tier(Severity.P0),)))
    assert {each.severity for each in storm_of(story).caught} == {Severity.P1}
    story.look(120, many(5))
    assert storm_of(story).severity is Severity.P0


def test_what_is_pending_when_group_by_is_edited_is_not_caught() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P1, 97), tier(Severity.P2, 90, for_=600.0))))
    story.look(60, many(5, 99.0))
    story.look(61, Samples([{"host": f"h{number:02d}"} for number in range(6)], [99.0] * 5 + [HI]))
    story.edit(90, stormy(group_by=("host", "zone"), tiers=(tier(Severity.P1, 97), tier(Severity.P2, 90, for_=600.0))))
    assert len(storm_of(story).caught) == 2


def test_a_removed_tier_takes_what_it_had_out_of_the_storm() -> None:
    story = Story.of(stormy(tiers=(tier(Severity.P1, 90), tier(Severity.P2, 97))))
    story.look(60, many(5))
    story.edit(90, stormy(tiers=(tier(Severity.P2, 97),)))
    assert not story.open


def test_an_edited_query_lets_go_what_is_not_in_its_first_answer() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    asked = stormy(query=replace(stormy().query, spec='{"promql":"other"}'))
    story.edit(90, asked)
    assert len(storm_of(story).caught) == 2
    story.look(120, many(4))
    assert [each.group for each in storm_of(story).caught] == [group(3)]


def test_a_rule_that_moves_to_another_service_leaves_what_was_caught_where_it_is() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.edit(90, stormy(service="jobs"))
    story.look(120, many(5))
    assert storm_of(story).service == "web"
    story.look(180, many(5, LO))
    assert not story.open


def test_a_storm_outlives_a_restart() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    again = story.restart(61)
    assert again.open == story.open
    again.look(90, many(6))
    assert len(storm_of(again).caught) == 3
    again.look(120, many(6, LO))
    assert not again.open


def test_a_storm_that_ended_long_ago_is_forgotten() -> None:
    story = Story.of(stormy())
    story.look(60, many(5))
    story.obey(90, CommandKind.RESOLVE, storm_of(story).id)
    story.world.forget_old(90 + 86_401)
    assert story.world.open_incidents(STORM) == []
    assert story.world.index.by_hand("cpu", group(3)) is None
    assert list(story.world.index.ended_since("cpu", 0.0)) == []


def test_a_later_resolve_by_hand_outlives_the_forgetting_of_an_earlier_one() -> None:
    story = Story.of(rule()).tell([(0, HI)])
    story.obey(60, CommandKind.RESOLVE, story.open[0].id)
    story.look(40_000, HI)
    story.obey(40_060, CommandKind.RESOLVE, story.open[0].id)
    story.world.forget_old(60 + 86_401)
    hand = story.world.index.by_hand("cpu", labels(host="web-1"))
    assert hand is not None
    assert hand.at == 40_060
