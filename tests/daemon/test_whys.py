"""What is remembered of recent evaluations: which alerts, in which words, and how many."""

import itertools
import json
import time
import tracemalloc

import pytest

from evaluator.daemon.whys import FEW, MANY, MOST_AT_ONCE, Whys
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Limit, Mode, Op, Recover, Rule, Severity, Tier
from evaluator.engine.samples import PollResult, Samples, series_text
from evaluator.engine.shapes import Comparison, Unusual
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.judge import assess
from tests.stories import FAILED, HI, LO, NAN, PAGERDUTY, Story, answer, rule, tier

AT = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""


class Watch:
    """A story whose evaluations are remembered."""

    def __init__(self, *rules: Rule, windows: tuple[Window, ...] = (), most: int = 200_000) -> None:
        self.story = Story.of(*rules, windows=windows)
        self.whys = Whys(most)

    def look(self, minute: float, result: PollResult, name: str = "cpu") -> list[str]:
        """Judge, remember, and return what is said of this evaluation."""
        rule, slot = self.story.rules[name], AT + 60 * minute
        judgement = assess(
            self.story.world, rule, result, slot,
            routes=PAGERDUTY, instance="test", ids=self.story.ids, rules=self.story.in_force,
        )  # fmt: skip
        self.story.take(judgement.changes)
        self.whys.judged(rule, result, slot, judgement, self.story.world)
        return [
            f"{series_text(line.series)}: {line.sentence}" if line.series else line.sentence
            for line in self.whys.lines(name)
            if line.at == slot
        ]


def test_a_breach_is_told_from_its_first_sample_to_its_end() -> None:
    watch = Watch(rule(tier(for_=120.0, recover=Recover(for_=60.0))))
    told = f"; incident {'1':0>26} is open"
    assert watch.look(0, answer(LO)) == ["host=web-1: 10 % is not above 90 %"]
    assert watch.look(1, answer(HI)) == [
        "host=web-1: 95 % is above 90 % since 14:14:20 UTC, fires at 14:16:20 UTC if that lasts (2m to go)"
    ]
    watch.look(2, answer(HI))
    assert watch.look(3, answer(HI)) == ["host=web-1: 95 % is above 90 %; firing since 14:14:20 UTC" + told]
    assert watch.look(4, FAILED) == [
        "host=web-1: unknown since 14:16:20 UTC: no answer in time; firing since 14:14:20 UTC, and does not end on that"
        + told
    ]
    assert watch.look(5, answer(LO)) == [
        "host=web-1: 10 % is not above 90 % since 14:18:20 UTC, ends at 14:19:20 UTC if that lasts (1m to go)" + told
    ]
    assert watch.look(6, answer(LO)) == ["host=web-1: 10 % is not above 90 %"]


def test_a_quiet_rule_that_is_blind_says_since_when_and_why() -> None:
    watch = Watch(rule())
    watch.look(0, answer(LO))
    assert watch.look(1, FAILED) == ["unknown since 2026-09-21 14:14:20 UTC: no answer in time"]
    assert watch.look(2, FAILED) == ["unknown since 2026-09-21 14:14:20 UTC: no answer in time"]
    watch.look(3, answer(LO))
    assert watch.look(4, FAILED) == ["unknown since 2026-09-21 14:17:20 UTC: no answer in time"]


def test_a_rule_whose_answers_have_no_series_says_so_and_not_what_was_wrong_before() -> None:
    watch = Watch(rule())
    watch.look(0, FAILED)
    assert watch.look(1, Samples([], [])) == ["nothing to judge: the answer has no series"]
    watch.look(2, answer(HI))
    (line,) = watch.look(3, Samples([], []))
    assert line.startswith("host=web-1: ")


def test_why_nothing_was_sent_is_told_for_each_kind_of_mute() -> None:
    window = Window("swap", Selector(("cpu",)), AT, AT + 600, reason="new disks")
    watch = Watch(rule(), windows=(window,))
    (line,) = watch.look(0, answer(HI))
    assert line == (
        "host=web-1: 95 % is above 90 %; firing since 14:13:20 UTC; nothing is sent: "
        "window swap until 2026-09-21 14:23:20 UTC: new disks"
    )
    watch.story.silence(AT, AT + 6000)
    assert watch.look(11, answer(HI))[0].endswith(
        "; nothing is sent: silenced by ann until 2026-09-21 15:53:20 UTC: disk swap"
    )
    shadow = Watch(rule(mode=Mode.SHADOW))
    assert shadow.look(0, answer(HI))[0].endswith('; nothing is sent: mode = "shadow"')


def test_an_inhibited_alert_waits_for_its_inhibitor_and_then_says_which_incident_it_is() -> None:
    watch = Watch(rule(), rule(name="api", inhibited_by=("cpu",)))
    assert watch.look(0, answer(HI), "api")[0].endswith("; nothing is sent: waits for the next look of cpu")
    watch.look(0.5, answer(HI))
    assert watch.look(1, answer(HI), "api")[0].endswith(f"; nothing is sent: inhibited by cpu (incident {'1':0>26})")


def test_what_a_human_resolved_a_moment_ago_says_so() -> None:

    watch = Watch(rule())
    watch.look(0, answer(HI))
    watch.story.obey(AT + 30, CommandKind.RESOLVE, watch.story.open[0].id)
    assert watch.look(1, answer(HI))[0].endswith("; nothing is sent: resolved by ann 30s ago, opens again after 30m")


def test_what_a_storm_took_in_says_which() -> None:

    watch = Watch(rule(storm=Storm(opens=1)))
    lines = watch.look(0, answer(web_1=HI, web_2=HI))
    assert sorted(line.rpartition("; ")[2] for line in lines) == [
        f"incident {'1':0>26} is open",
        f"part of the storm of web, incident {watch.story.world.index.caught('cpu')[(('host', 'web-2'),)].storm}",
    ]


def test_a_flapping_incident_says_so() -> None:

    watch = Watch(rule(flapping=Flapping(opens=2)))
    for minute in range(3):
        lines = watch.look(minute, answer(LO if minute == 1 else HI))
    assert lines[0].endswith("is open, and is held open for longer since it opens again and again")


def test_a_rule_that_learns_says_so_until_it_has_learned() -> None:
    unusual = Unusual(3.0, history=3600.0, compared_to=Comparison.LAST_DAYS, learn=600.0)
    watch = Watch(rule(Tier(Severity.P1, None, unusual=unusual)))
    said = watch.look(0, answer(LO))
    assert said[0].startswith("host=web-1: learning until 2026-09-21 14:2")
    assert watch.whys.learned("cpu").startswith("learning until")
    for minute in range(5, 40, 5):
        watch.look(minute, answer(LO))
    assert watch.whys.learned("cpu") == ""
    assert watch.whys.learned("nobody") == ""


def test_of_many_quiet_series_the_few_nearest_to_the_limit_are_kept() -> None:
    values = {f"web_{number}": float(number) for number in range(80)}
    watch = Watch(rule())
    assert watch.look(0, answer(**values)) == [
        f"host=web-{number}: {number} % is not above 90 %" for number in (77, 78, 79)
    ]
    below = Watch(rule(Tier(Severity.P1, Limit(Op.BELOW, -1))))
    assert below.look(0, answer(**values))[-1] == "host=web-0: 0 % is not below -1 %"


def test_what_is_not_quiet_comes_last_the_worst_at_the_end_and_the_nearest_quiet_ones_before() -> None:
    watch = Watch(rule(tier(Severity.P0, 98), tier(Severity.P2, 90)))
    lines = watch.look(0, answer(web_1=99.0, web_2=HI, web_3=50.0, web_4=60.0, web_5=70.0, web_6=80.0))
    assert [line.partition(":")[0].removeprefix("host=") for line in lines] == [
        "web-4", "web-5", "web-6", "web-2", "web-2", "web-1", "web-1",
    ]  # fmt: skip
    assert lines[-1].startswith("host=web-1: 99 % is above 98 %; firing")


def test_where_very_many_are_wrong_nobody_asks_for_the_quiet_ones() -> None:
    values = {f"web_{number}": HI for number in range(MANY)}
    watch = Watch(rule())
    assert len(watch.look(0, answer(**values, db_1=LO))) == MANY
    del values["web_0"]
    assert len(Watch(rule()).look(1, answer(**values, db_1=LO))) == MANY


def test_series_that_say_nothing_are_never_near_a_limit() -> None:
    assert Watch(rule()).look(0, answer(web_1=NAN, web_2=LO)) == ["host=web-2: 10 % is not above 90 %"]
    assert Watch(rule()).look(0, Samples()) == ["nothing to judge: the answer has no series"]


def test_a_rule_that_is_gone_is_forgotten() -> None:
    watch = Watch(rule(), rule(name="api"))
    watch.look(0, answer(LO))
    watch.look(0, answer(LO), "api")
    watch.whys.keep_only({"api"})
    assert (watch.whys.lines("cpu"), watch.whys.kept_since("cpu"), watch.whys.size) == ([], None, 1)
    assert watch.whys.kept_since("api") == AT


def test_memory_is_bounded_and_a_noisy_rule_takes_no_other_rules_room() -> None:
    watch = Watch(rule(), rule(name="api"), most=200)
    watch.look(0, answer(LO), "api")
    noisy = answer(**{f"web_{number}": HI for number in range(60)})
    for minute in range(30):
        watch.look(minute, noisy)
        assert watch.whys.size <= 200
        assert len(watch.whys.lines("api")) == 1
    kept = watch.whys.lines("cpu")
    assert kept[-1].at == AT + 29 * 60
    assert watch.whys.size == len(kept) + 1


def test_even_one_evaluation_is_bounded() -> None:
    watch = Watch(rule(tier(Severity.P1, 50), tier(Severity.P3, 40)), most=10)
    numbers = range(MOST_AT_ONCE)
    watch.look(0, Samples([{"host": f"web-{number}"} for number in numbers], [HI] * len(numbers)))
    assert watch.whys.size <= 10
    wide = Watch(rule(tier(Severity.P1, 50), tier(Severity.P3, 40)))
    wide.look(0, Samples([{"host": f"web-{number}"} for number in numbers], [HI] * len(numbers)))
    assert wide.whys.size == MOST_AT_ONCE
    assert {line.severity for line in wide.whys.lines("cpu")} == {Severity.P1}


def test_remembering_a_quiet_rule_costs_next_to_nothing() -> None:
    """Against judging it: the shares of several rounds, since this machine may have other things to do."""
    labels = [{"host": f"web-{number}", "job": "node"} for number in range(20_000)]
    result = Samples(labels, [number % 97 / 2 for number in range(20_000)])
    watch, quiet = Watch(rule()), rule()
    shares = []
    for number in range(15):
        begin = time.process_time()
        judgement = assess(watch.story.world, quiet, result, AT + number, routes=PAGERDUTY, instance="test", ids=str)
        judged = time.process_time()
        watch.whys.judged(quiet, result, AT + number, judgement, watch.story.world)
        shares.append((time.process_time() - judged) / (judged - begin))
    assert sorted(shares)[len(shares) // 2] < 4.0


def test_what_is_remembered_of_a_quiet_rule_takes_little_room_although_each_answer_brings_its_labels_anew() -> None:
    watch, quiet, rounds = Watch(rule()), rule(), 400
    text = json.dumps({"host": "web-1.example.com", "instance": "10.0.0.1:9100", "job": "node", "device": "/dev/sda1"})
    tracemalloc.start()
    try:
        for number in range(rounds):
            result = Samples([json.loads(text)], [float(number % 50)])
            judgement = assess(
                watch.story.world, quiet, result, AT + number, routes=PAGERDUTY, instance="test", ids=str
            )
            watch.whys.judged(quiet, result, AT + number, judgement, watch.story.world)
        room, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert room / rounds < 600


@pytest.mark.parametrize("wrong", [0, 1, 40])
def test_at_most_a_few_quiet_series_are_kept_besides(wrong: int) -> None:
    hosts = itertools.count()
    values = {f"web_{next(hosts)}": HI for _ in range(wrong)} | {f"db_{number}": LO for number in range(30)}
    watch = Watch(rule())
    assert len(watch.look(0, answer(**values))) == wrong + FEW
