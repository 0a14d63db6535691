"""Whatever happens: what opens is closed once, nothing opens while it is muted, and what was held back is heard of."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evaluator.engine.alerts import State
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Limit, Op, Recover, Rule, Severity
from evaluator.engine.samples import PollFailed, PollResult, Samples
from evaluator.incidents.commands import CommandKind
from evaluator.incidents.grouping import group_of
from evaluator.incidents.incident import STORM, EventKind
from evaluator.incidents.muting import MuteKind, mutes_of
from evaluator.incidents.silencing import overdue
from tests.stories import FAILED, HI, LO, MID, Story, rule, tier

HOSTS = ("a", "b", "c")
VALUES = st.sampled_from([LO, MID, HI, 99.0, None])
ANSWERS = st.one_of(st.just(FAILED), *[st.fixed_dictionaries(dict.fromkeys(HOSTS, VALUES))] * 5)
TIERS = [
    (tier(),),
    (tier(for_=60.0, recover=Recover(Limit(Op.BELOW, 80.0), for_=120.0)),),
    (tier(Severity.P0, 97), tier(Severity.P2, 90)),
]
SELECTORS = st.sampled_from(
    [Selector(), Selector(("api",)), Selector(series={"host": "a"}), Selector(except_=("db",), series={"host": "[ab]"})]
)


@st.composite
def families(draw) -> list[Rule]:
    """Return a parent and a child that it inhibits."""
    made = []
    for name, parents in (("db", ()), ("api", draw(st.sampled_from([(), ("db",)])))):
        made.append(
            rule(
                *draw(st.sampled_from(TIERS)),
                name=name,
                inhibited_by=parents,
                group_by=draw(st.sampled_from([None, ()])),
                flapping=draw(st.sampled_from([None, Flapping(2, 600.0, 240.0)])),
                storm=draw(st.sampled_from([None, Storm(2, 180.0)])),
            )
        )
    return made


def deed(draw, now: float, story: Story, number: int) -> None:
    """Let somebody do something, or not."""
    match draw(st.sampled_from(["nothing"] * 6 + ["silence", "unsilence", "resolve", "restart", "deliver", "time"])):
        case "silence":
            end = now + draw(st.sampled_from([60.0, 300.0]))
            story.silence(now + number / 100, end, draw(SELECTORS), with_alert=draw(st.booleans()))
        case "unsilence":
            for silence in list(story.world.silences):
                story.obey(now, CommandKind.UNSILENCE, silence)
        case "resolve" if story.open:
            story.obey(now, CommandKind.RESOLVE, draw(st.sampled_from(story.open)).id)
        case "restart":
            again = story.restart(now)
            story.world = again.world
        case "deliver":
            story.deliver(now)
        case "time":
            story.take(overdue(story.world, now))
        case _:
            pass


def result_of(answer: PollFailed | dict[str, float | None]) -> PollResult:
    if isinstance(answer, PollFailed):
        return answer
    found = {host: value for host, value in answer.items() if value is not None}
    return Samples([{"host": host} for host in found], list(found.values()))


def check_evaluation(story: Story, now: float, each: Rule, open_before: set[str]) -> None:
    """Hold one evaluation of a rule to what must be so after each."""
    breaching = {
        key: alert
        for key, alert in story.world.book(each.name).items()
        if alert.state is State.FIRING and alert.judged == now and alert.verdict.value == "breach"
    }
    mine = [incident for incident in story.open if incident.rule == each.name]
    groups = {incident.group for incident in mine} | set(story.world.index.caught(each.name))
    for incident in mine:
        if incident.id not in open_before:
            fresh = [alert for alert in breaching.values() if alert.key not in story.held]
            assert {alert.series for alert in fresh} >= set(incident.members)
            assert incident.severity in {alert.severity for alert in fresh if alert.series in incident.members}
    for alert in breaching.values():
        # What breaches and is not held back is known to people.
        assert alert.key in story.held or group_of(each, alert.series) in groups
    assert not {(key.severity, key.series) for key in story.held} - breaching.keys()
    active = {group_of(each, alert.series) for alert in story.world.book(each.name).values() if alert.active}
    assert groups <= active


@given(st.data())
def test_each_incident_is_closed_once_and_nothing_opens_while_it_is_muted(data) -> None:
    rules = data.draw(families())
    window = Window("work", data.draw(SELECTORS), 300.0, data.draw(st.sampled_from([300.0, 600.0])))
    story = Story.of(*rules, windows=[window])
    for number, answers in enumerate(data.draw(st.lists(st.tuples(ANSWERS, ANSWERS), max_size=14)), start=1):
        now = 60.0 * number
        deed(data.draw, now - 30, story, number)
        for each, answer in zip(rules, answers, strict=True):
            before = {incident.id for incident in story.open}
            muted_before = {
                alert.key: mutes_of(story.world, story.in_force, each, alert, now)
                for alert in story.world.book(each.name).values()
            }
            story.look(now, result_of(answer), rule=each.name)
            check_evaluation(story, now, each, before)
            for key, mutes in story.held.items():
                kinds = {mute.kind for mute in mutes} - {MuteKind.RESPITE, MuteKind.WAITING}
                known = {mute.kind for mute in muted_before.get(key, mutes)}
                assert kinds <= known
    end = 60.0 * 200
    story.take(overdue(story.world, end))
    for now in (end + 60.0 * step for step in range(6)):
        for each in rules:
            story.look(now, a=LO, b=LO, c=LO, rule=each.name)
    assert story.open == []
    ends = Counter(event.incident for event in story.events if event.kind is EventKind.RESOLVED)
    begins = Counter(event.incident for event in story.events if event.kind is EventKind.OPENED)
    assert ends == begins
    assert set(begins.values()) <= {1}
    assert all(silence.over(end) for silence in story.world.silences.values())
    assert story.world.index.caught_rules() == []


@given(st.data())
def test_what_a_restart_loads_decides_as_before(data) -> None:
    rules = [each for each in data.draw(families()) if not each.inhibited_by]
    lived = Story.of(*rules)
    for number, answer in enumerate(data.draw(st.lists(ANSWERS, min_size=1, max_size=10)), start=1):
        for each in rules:
            lived.look(60.0 * number, result_of(answer), rule=each.name)
    again = lived.restart(60.0 * number + 1)
    assert again.world.index == lived.world.index
    last = data.draw(ANSWERS)
    for each in rules:
        ids = iter(f"{number:026d}" for number in range(900, 1000))
        lived.ids = iter([*ids]).__next__
        again.ids = iter(f"{number:026d}" for number in range(900, 1000)).__next__
        one = lived.look(60.0 * number + 60, result_of(last), rule=each.name)
        other = again.look(60.0 * number + 60, result_of(last), rule=each.name)
        assert (one.incidents, one.alerts, one.deliveries) == (other.incidents, other.alerts, other.deliveries)


@given(
    st.lists(st.sampled_from([HI, LO]), max_size=40),
    st.integers(min_value=1, max_value=4),
    st.sampled_from([180.0, 600.0, 3600.0]),
    st.sampled_from([0.0, 120.0, 600.0]),
)
def test_what_flaps_is_never_closed_before_clear_has_lasted(values, opens, within, hold) -> None:
    story = Story.of(rule(flapping=Flapping(opens, within, hold)))
    clear = 0.0
    for number, value in enumerate(values):
        now = 60.0 * number
        times = [incident.opened_at for incident in story.world.incidents.values()]
        often = sum(now - within < at <= now for at in times) >= opens
        open_before = bool(story.open)
        story.look(now, value)
        clear = clear + 60.0 if value is LO and open_before and clear else (60.0 if value is LO else 0.0)
        if open_before and value is LO:
            assert bool(story.open) is (often and clear - 60.0 < hold)


@given(st.lists(st.integers(min_value=0, max_value=12), min_size=1, max_size=8), st.integers(min_value=1, max_value=5))
def test_never_more_than_so_many_of_their_own_within_the_time(counts, opens) -> None:
    story = Story.of(rule(storm=Storm(opens, 100.0)))
    for number, count in enumerate(counts):
        values = [HI] * count + [LO] * (12 - count)
        story.look(60.0 * number, Samples([{"host": f"h{host}"} for host in range(12)], values))
        caught = [each for incident in story.open if incident.rule == STORM for each in incident.caught]
        own = [incident for incident in story.open if incident.rule != STORM]
        assert len(own) + len(caught) == count
        recent = [incident for incident in story.world.incidents.values() if incident.rule != STORM]
        assert sum(60.0 * number - 100.0 < incident.opened_at for incident in recent) <= opens
