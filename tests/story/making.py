"""How histories are made up: one generator, which draws with whatever dice it is given.

Hypothesis gives dice whose histories it can shrink, `many` quick ones. Each pick has the plain choice first. It knows
what rules are made of, and judges nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from evaluator.engine.calendar import ActiveHours
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.maintenance import Recurring, Selector, Window
from evaluator.engine.rules import (
    Datapoints,
    Limit,
    Mode,
    NoData,
    NoDataPolicy,
    OnlyIf,
    Op,
    Query,
    Recover,
    Rule,
    RuleSet,
    Severity,
    Tier,
)
from evaluator.engine.samples import Series, series_of
from evaluator.engine.shapes import Comparison, Direction, Missed, Trend, Unusual, Way
from tests.story.worlds import (
    GRID,
    NAN,
    REFUSALS,
    SERIES,
    START,
    WEATHER,
    Down,
    Happening,
    History,
    Hush,
    Leap,
    Reload,
    Resolve,
    Run,
    Said,
    Skip,
    Unhush,
    Weather,
    rule_set,
)

T = TypeVar("T")
DAY_OF_GRID = 8_640
P0, P1, P2, P3 = Severity


class Dice(Protocol):
    """Chance."""

    def pick(self, options: Sequence[T]) -> T:
        """Return one of these; the first is the plainest."""


@dataclass
class Quick:
    """Dice with a seed."""

    random: Random

    def pick(self, options: Sequence[T]) -> T:
        """Return one of these."""
        return options[int(self.random.random() * len(options))]


@dataclass
class Drawn:
    """Dice of hypothesis."""

    draw: st.DrawFn

    def pick(self, options: Sequence[T]) -> T:
        """Return one of these."""
        return options[self.draw(st.integers(0, len(options) - 1))]


def one_in(dice: Dice, n: int) -> bool:
    """Return true once in `n` times."""
    return dice.pick((False,) * (n - 1) + (True,))


# Tiers.

VALUES = (0.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0)
LEVELS = (50.0, 70.0, 90.0)
OPS = (Op.ABOVE, Op.ABOVE, Op.ABOVE, Op.BELOW, Op.AT_LEAST, Op.AT_MOST, Op.EQUALS, Op.NOT_EQUALS, Op.OUTSIDE)
BACK = {
    Op.ABOVE: (Op.BELOW, -10.0),
    Op.AT_LEAST: (Op.BELOW, -10.0),
    Op.BELOW: (Op.ABOVE, 10.0),
    Op.AT_MOST: (Op.ABOVE, 10.0),
}
LASTS = (0.0, 0.0, 0.0, 10.0, 20.0, 60.0, 90.0, 120.0)
RECOVERS = (0.0, 0.0, 0.0, 10.0, 30.0, 60.0)
CRONS = (
    ("*/5 * * * *", "UTC"),
    ("*/10 * * * *", "UTC"),
    ("0 * * * *", "Asia/Kolkata"),
    ("30 17 * * *", "Asia/Kolkata"),
)


@dataclass(frozen=True)
class Setting:
    """What is the same all through one history."""

    late: frozenset[str]
    slow: float
    start: float
    kinds: dict[str, str]
    """Of each rule: `values`, `missed` or `absent`."""
    looks_back: tuple[str, ...]
    """What tiers may look back with: `trend`, `unusual`."""
    inhibits: bool
    """Whether `r1` may hold `r2` back. Then no receiver refuses anything, for the model knows of no refusals."""
    short: bool


def limit(dice: Dice) -> Limit:
    """Return a limit of any kind, most of them `above`, at levels that the values meet exactly."""
    op, value = dice.pick(OPS), dice.pick(LEVELS)
    return Limit(op, value, value + dice.pick((0.0, 20.0))) if op is Op.OUTSIDE else Limit(op, value)


def recover(dice: Dice, beyond: Limit | None, *, counts: bool) -> Recover:
    """Return a way back to healthy that fits a limit."""
    kind = dice.pick(("plain", "limit", "datapoints" if counts else "plain"))
    if kind == "datapoints":
        return Recover(datapoints=Datapoints(dice.pick((0, 1)), dice.pick((2, 3, 4))))
    own = None
    if kind == "limit" and beyond is not None and beyond.op in BACK:
        op, by = BACK[beyond.op]
        own = Limit(op, beyond.value + by)
    return Recover(own, dice.pick(RECOVERS))


def trend(dice: Dice, step: float) -> Trend:
    """Return a line; no value lies exactly on what it asks for."""
    share = dice.pick((False, True))
    by = dice.pick((0.0373, 0.1373, 0.6137)) if share else dice.pick((3.7313, 7.3137, 31.7313))
    return Trend(dice.pick((Way.RISING, Way.FALLING)), by, share, step * dice.pick((5.0, 5.0, 6.0, 12.0, 90.0)))


def unusual(dice: Dice, slow: float) -> Unusual:
    """Return what is held against the past."""
    compared = dice.pick((Comparison.LAST_DAYS, Comparison.LAST_DAYS, Comparison.HOUR_OF_DAY, Comparison.HOUR_OF_WEEK))
    history = {
        Comparison.LAST_DAYS: dice.pick((1_800.0, 3_600.0)) * max(1.0, slow / 6),
        Comparison.HOUR_OF_DAY: 5 * 86_400.0,
        Comparison.HOUR_OF_WEEK: 28 * 86_400.0,
    }[compared]
    return Unusual(
        by=dice.pick((2.137, 5.731)),
        history=history,
        compared_to=compared,
        direction=dice.pick((Direction.HIGH, Direction.LOW, Direction.BOTH)),
        learn=history * dice.pick((0.1, 0.5)),
        timezone=dice.pick(("UTC", "America/New_York")),
    )


def tier(dice: Dice, severity: Severity, name: str, step: float, given: Setting) -> Tier:
    """Return a tier of this severity. `step` is in seconds of this history, as the tier of a slow rule needs it."""
    kind = given.kinds[name]
    lasts, back = dice.pick(LASTS) * given.slow, Recover(None, dice.pick(RECOVERS) * given.slow)
    if kind == "absent":
        return Tier(severity, None, for_=lasts, recover=back, absent=True)
    if kind == "missed":
        cron, zone = dice.pick(CRONS)
        return Tier(severity, None, lasts, recover=back, missed=Missed(cron, zone, dice.pick((0.0, 60.0, 1_200.0))))
    look = dice.pick(("none", "none", *given.looks_back))
    beyond = limit(dice) if look == "none" or one_in(dice, 3) else None
    points = Datapoints(dice.pick((1, 2, 3)), dice.pick((3, 4, 5))) if one_in(dice, 3) else None
    if points is not None and points.m == points.n:
        points = replace(points, m=2)
    own = recover(dice, beyond, counts=name not in given.late)
    return Tier(
        severity,
        beyond,
        for_=0.0 if points else lasts,
        datapoints=points,
        recover=replace(own, for_=own.for_ * given.slow),
        trend=trend(dice, step) if look == "trend" else None,
        unusual=unusual(dice, given.slow) if look == "unusual" else None,
    )


# Rules.

NO_DATA = (
    NoData(),
    NoData(),
    NoData(NoDataPolicy.BREACH),
    NoData(NoDataPolicy.RESOLVE, 60.0),
    NoData(NoDataPolicy.RESOLVE, 300.0),
    NoData(NoDataPolicy.RESOLVE, 90_000.0),
)
SEVERITIES = ((P1,), (P1,), (P0,), (P2,), (P0, P2), (P1, P2), (P0, P1, P3))
EVERYTHING = frozenset(range(7))
HOURS = (
    ActiveHours("Mon-Sun 12:02-12:06 UTC", EVERYTHING, 722, 726, "UTC"),
    ActiveHours("Mon 08:00-12:01 UTC", frozenset({0}), 480, 721, "UTC"),
    ActiveHours("Mon 07:01-07:00 America/New_York", frozenset({0}), 421, 420, "America/New_York"),
    ActiveHours("Sun 17:00-17:33 Asia/Kolkata", frozenset({6}), 1020, 1053, "Asia/Kolkata"),
)
FLAPPING = (None, Flapping(1, 300.0, 60.0), Flapping(2, 600.0, 30.0), Flapping(2, 900.0, 120.0))
STORMS = (None, None, Storm(1, 60.0), Storm(1, 600.0), Storm(2, 60.0), Storm(2, 10.0), Storm(3, 600.0))


def gate(dice: Dice) -> OnlyIf | None:
    """Return a second question."""
    if not one_in(dice, 4):
        return None
    return OnlyIf(Query("prometheus", '{"expr":"gate"}'), Limit(dice.pick((Op.ABOVE, Op.BELOW)), 50.0))


def active(dice: Dice) -> tuple[ActiveHours, ...]:
    """Return when a rule is active."""
    return dice.pick(((),) * 25 + (HOURS[:1], HOURS[1:2], HOURS[2:3], HOURS[3:], HOURS[:2]))


def slowed(damping: T, slow: float) -> T:
    """Return flapping or a storm in the time of a slow history; a day at most, as the world forgets."""
    match damping:
        case Flapping():
            return replace(damping, within=min(damping.within * slow, 86_400.0), hold=damping.hold * slow)
        case Storm():
            return replace(damping, within=min(damping.within * slow, 86_400.0))
        case _:
            return damping


def rule(dice: Dice, name: str, given: Setting) -> Rule:
    """Return a rule of this name.

    Late samples do not go with `recover.datapoints` here: a series that was quiet has no row, so how many samples it
    had before is only known as far as they are told again.
    """
    late, kind = name in given.late, given.kinds[name]
    every = dice.pick((10.0, 10.0, 20.0, 30.0, 60.0)) * given.slow
    period = dice.pick((0.0, 0.0, 60.0)) * given.slow
    return Rule(
        name=name,
        query=Query("prometheus", f'{{"expr":"{name}-{dice.pick((0, 1))}"}}', period),
        tiers=tuple(tier(dice, it, name, max(every, period), given) for it in dice.pick(SEVERITIES)),
        every=every,
        service=dice.pick(("infrastructure", "infrastructure", "payments")),
        lag=dice.pick((0.0, 0.0, 60.0)) * given.slow,
        no_data=dice.pick(NO_DATA) if kind == "values" else NoData(),
        group_by=dice.pick((None, None, (), ("host",))),
        only_if=None if late else gate(dice),
        active=active(dice),
        inhibited_by=dice.pick(((), ("r1",), ("r1",))) if given.inhibits and name == "r2" else (),
        flapping=slowed(dice.pick(FLAPPING), given.slow),
        storm=slowed(dice.pick(STORMS), given.slow),
        mode=dice.pick((Mode.PAGE,) * 8 + (Mode.SHADOW,)),
        summary="{host} is {value}",
    )


# Windows and silences.

SELECTORS = (
    Selector(),
    Selector(("r1",)),
    Selector(("r?",), ("r2",)),
    Selector(series={"host": "a"}),
    Selector(series={"host": "*", "disk": "[xz]"}),
    Selector(series={"zone": "*"}),
)


def window(dice: Dice, given: Setting) -> Window:
    """Return planned work."""
    selector = dice.pick(SELECTORS)
    if dice.pick((False, True)):
        cron, zone = dice.pick(CRONS)
        return Window("w", selector, when=Recurring(cron, zone, dice.pick((60.0, 90.0, 600.0))))
    begin = given.start + dice.pick((0, 3, 12, 30)) * GRID * given.slow
    return Window("w", selector, begin, begin + dice.pick((1, 6, 30, 60)) * GRID * given.slow)


def windows(dice: Dice, given: Setting) -> tuple[Window, ...]:
    """Return the windows of a rule set: seldom any."""
    return (window(dice, given),) if one_in(dice, 6) else ()


# Edits.

CLOSE_EDITS = ("query", "group_by", "mode", "remove", "every")
"""What may be edited where samples come late: whether another limit judges an old late sample anew is not said."""
EDITS = (
    *("limits", "limits", "tiers", "severity", "all", "only_if", "active", "windows", "inhibited_by", "flapping"),
    *("storm", "service", "for", "kind"),
    *CLOSE_EDITS,
)


def edited(dice: Dice, before: RuleSet, given: Setting) -> RuleSet:
    """Return the rule set after an edit of one rule: a key of it changed, or it is removed, or put back."""
    name = dice.pick(("r1", "r1", "r2"))
    old = before.get(name)
    others, work = [it for it in before if it.name != name], before.windows.values()
    if old is None:
        return rule_set([*others, rule(dice, name, given)], work)
    kind = dice.pick(CLOSE_EDITS if name in given.late else EDITS)
    if kind == "windows":
        return rule_set(before, windows(dice, given))
    if kind == "remove":
        return rule_set(others, work)
    return rule_set([*others, changed(dice, old, kind, given)], work)


def changed(dice: Dice, old: Rule, kind: str, given: Setting) -> Rule:
    """Return a rule with one key changed."""
    new = rule(dice, old.name, given)
    match kind:
        case "limits":
            tiers = tuple(tier(dice, it.severity, old.name, old.step, given) for it in old.tiers)
            return replace(old, tiers=tiers)
        case "kind":
            given.kinds[old.name] = dice.pick(("values", "missed", "absent"))
            tiers = tuple(tier(dice, it.severity, old.name, old.step, given) for it in old.tiers)
            return replace(old, tiers=tiers, no_data=NoData())
        case "for":
            lasts = dice.pick(LASTS) * given.slow
            return replace(old, tiers=tuple(it if it.datapoints else replace(it, for_=lasts) for it in old.tiers))
        case "query":
            return replace(old, query=replace(old.query, spec=new.query.spec))
        case "severity":
            first = replace(old.tiers[0], severity=new.tiers[0].severity)
            return replace(old, tiers=(first,)) if len(old.tiers) == 1 else replace(old, service=new.service)
        case "mode":
            return replace(old, mode=dice.pick(tuple(Mode)))
        case "every":
            return replace(old, every=new.every, lag=new.lag)
        case "all":
            return replace(new, no_data=old.no_data)
        case _:
            return replace(old, **{kind: getattr(new, kind)})


# Histories.

SAID: tuple[float | str, ...] = (*VALUES, *VALUES, *VALUES, "absent", "absent", "absent", NAN, "gone")
GATES: tuple[Series, ...] = (
    (),
    series_of({"host": "a"}),
    series_of({"host": "b", "zone": "z"}),
    series_of({"zone": "z"}),
)


def answer(dice: Dice, kind: str) -> Said:
    """Return one answer: fail, or for each series a value, NaN, nothing, or that it has ended."""
    if one_in(dice, 10):
        return None
    if kind == "absent" and dice.pick((False, True)):
        return {}
    said: dict[Series, float | str] = {}
    for series in SERIES:
        value = dice.pick(SAID)
        if value != "absent" and (kind == "values" or value != "gone"):
            said[series] = value
    return said


def gate_answer(dice: Dice) -> Said:
    """Return an answer to the question of `only_if`: most often it holds for whatever is asked about."""
    kind = dice.pick(("holds", "holds", "below", "fails", "some"))
    if kind == "fails":
        return None
    if kind != "some":
        return {(): 60.0 if kind == "holds" else 40.0}
    said: dict[Series, float | str] = {}
    for series in GATES:
        if dice.pick((True, False)):
            said[series] = dice.pick((40.0, 50.0, 60.0, NAN))
    return said


KINDS = (
    ("run",) * 9
    + ("again",) * 5
    + (
        "skip",
        "leap",
        "down",
        "down",
        "reload",
        "reload",
        "weather",
        "hush",
        "hush",
        "unhush",
        "resolve",
    )
)


def setting(dice: Dice, *, inhibits: bool, short: bool) -> Setting:
    """Return what one history is about."""
    looks_back: tuple[str, ...] = dice.pick(((), (), ("trend",), ("unusual",), ("trend", "unusual")))
    late = dice.pick((frozenset(), frozenset(), frozenset({"r1"})))
    slow = dice.pick((1.0, 1.0, 1.0, 6.0, 30.0, 360.0))
    if "unusual" in looks_back:
        slow = dice.pick((6.0, 30.0))
    kinds = {name: dice.pick(("values",) * 6 + ("missed", "absent")) for name in ("r1", "r2")}
    if late:
        kinds["r1"] = "values"
    start = dice.pick((START, START, 1_772_712_000.0 // 21_600 * 21_600))  # Three days before New York's clocks change.
    return Setting(late, slow, start, kinds, looks_back, inhibits and dice.pick((False, True)), short)


def happening(dice: Dice, kind: str, current: RuleSet, given: Setting, weather: tuple[str, ...]) -> Happening:
    """Return one happening, but for an edit."""
    match kind:
        case "run":
            first = current.get("r1")
            round_ = int((10.0 if first is None else first.every) // (GRID * given.slow)) if given.short else 1
            longest: tuple[int, ...] = (1, 1, 2, 3, 6, 6, 12, 18, 40)
            if given.short:
                longest = (1, 2, 3, 6) if given.looks_back else (1, 1, 1, 2, 3)
            answers = tuple(answer(dice, given.kinds[name]) if name in current.rules else None for name in ("r1", "r2"))
            asked = any(it.only_if is not None for it in current)
            slope = dice.pick((0.0, 5.0, -5.0)) if given.looks_back else 0.0
            return Run(dice.pick(longest) * max(1, round_), answers, slope, gate_answer(dice) if asked else None)
        case "skip":
            return Skip(dice.pick((1, 3, 6) if given.short else (1, 3, 6, 17, 18, 19, 24, 60)))
        case "leap":
            back = 0 if given.late else -dice.pick((6, 30))
            days = (DAY_OF_GRID, DAY_OF_GRID, 7 * DAY_OF_GRID) if "unusual" in given.looks_back else ()
            far = tuple(int(day / given.slow) for day in days) * 2
            return Leap(dice.pick((17, 18, 19, 29, 30, 31, 179, 180, 181, 360, back, *far)))
        case "hush":
            return Hush(dice.pick(SELECTORS), dice.pick((3, 12, 60)), dice.pick((False, True)))
        case "unhush":
            return Unhush(dice.pick((0, 1, 2)))
        case "resolve":
            return Resolve(dice.pick((0, 1, 2)))
        case _:
            return Weather(tuple(dice.pick(weather) for _ in range(dice.pick((1, 2, 3, 4)))))


def history(
    dice: Dice, *, weather: tuple[str, ...] = WEATHER, length: int = 14, inhibits: bool = True, short: bool = False
) -> History:
    """Return a rule set and up to `length` happenings; `inhibits` tells whether one rule may hold back another."""
    given = setting(dice, inhibits=inhibits, short=short)
    names = dice.pick((("r1",), ("r1", "r2"), ("r1", "r2")))
    first = current = rule_set([rule(dice, name, given) for name in names], windows(dice, given))
    if given.inhibits:
        weather = tuple(kind for kind in weather if kind not in REFUSALS)
    happenings: list[Happening] = []
    for number in range(dice.pick(range(3 if short else 1, length + 1))):
        kind = dice.pick(KINDS) if number else "run"
        if kind == "again":
            # The same to and fro once more: what recovers, flaps and comes back.
            happenings += [it for it in happenings[-2:] if isinstance(it, Run)]
            continue
        if kind not in ("down", "reload"):
            happenings.append(happening(dice, kind, current, given, weather))
            continue
        new = edited(dice, current, given) if dice.pick((False, True)) else None
        current = current if new is None else new
        key = dice.pick((None, None, "1", "2"))
        if kind == "reload":
            happenings.append(Reload(new, key))
            continue
        ticks = dice.pick((0, 1, 3, 17, 18, 19, 24, 60, 0 if short else 400, 0 if given.late else -30))
        happenings.append(Down(ticks, new, key, dice.pick((False, True)) and not (short and ticks > 3)))
    return History(first, tuple(happenings), given.late, given.slow, given.start)


def quick(seed: str, *, weather: tuple[str, ...] = WEATHER) -> History:
    """Return the short history of a seed."""
    return history(Quick(Random(seed)), weather=weather, length=7, short=True)


@st.composite
def histories(
    draw: st.DrawFn, *, weather: tuple[str, ...] = WEATHER, length: int = 14, inhibits: bool = True
) -> History:
    """Return a strategy of histories."""
    return history(Drawn(draw), weather=weather, length=length, inhibits=inhibits)
