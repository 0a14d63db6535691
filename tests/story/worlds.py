"""What may happen to an installation, as hypothesis strategies: rules, and histories of answers, gaps, edits, weather.

It knows how to make them up. It judges nothing, and knows neither the model nor the real thing.

Time is a grid of ten seconds; a rule is due at every multiple of its `every`. Runs of equal answers are drawn, and not
single answers, so that short draws make long histories in which durations are reached and just missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

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
    RuleSet,
    Severity,
    Tier,
)
from evaluator.engine.samples import Series, series_of

GRID = 10.0
NAN = float("nan")

SERIES: tuple[Series, ...] = (
    series_of({"host": "a", "disk": "x"}),
    series_of({"host": "b", "disk": "x"}),
    series_of({"host": "b", "disk": "y"}),
)
VALUES = (0.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0)
LEVELS = (50.0, 70.0, 90.0)


@dataclass(frozen=True)
class Run:
    """For some ticks, every question gets the same answer."""

    ticks: int
    answers: tuple[dict[Series, float | str] | None, ...]
    """One for each question: a value for each series, `"gone"`, or nothing; `None` is a poll that fails. Rules share
    questions by their place in the rule set."""


@dataclass(frozen=True)
class Skip:
    """For some ticks nothing is asked (missed or coalesced slots); the dispatcher goes on."""

    ticks: int


@dataclass(frozen=True)
class Down:
    """The process is killed, and started again some ticks later, perhaps with other rules."""

    ticks: int
    """Fewer than none: the clock was wrong, and was set back meanwhile."""
    rules: RuleSet | None = None
    routing_key: str | None = None
    backfill: bool = False
    """Whether the source keeps history, so that the gap is judged from it."""


@dataclass(frozen=True)
class Reload:
    """The rules, or a routing key, are edited."""

    rules: RuleSet | None = None
    routing_key: str | None = None


@dataclass(frozen=True)
class Weather:
    """What the next requests to the receiver meet, over and over."""

    kinds: tuple[str, ...]


Happening = Run | Skip | Down | Reload | Weather

FAIR = ("accepted",)
WEATHER = (
    "accepted",
    "accepted",
    "slow",
    "timeout before",
    "timeout after",
    "no connection",
    "429",
    "500",
    "400",
    "old key refused",
    "killed before",
    "killed after",
)
"""`before` and `after`: whether the receiver processed the request. `slow`: the answer comes some ticks later.
`old key refused`: the receiver knows only the routing key that is configured now."""
FICKLE = (*WEATHER, "late", "lost")
"""Also what PagerDuty may do with a request that it took: process it minutes later, or never."""
OLD_KEY_REFUSED = ("old key refused",)
"""The integration whose key was configured before is no longer there; everything else is taken."""


@dataclass(frozen=True)
class History:
    """A rule set, and what happens to it."""

    rules: RuleSet
    happenings: tuple[Happening, ...]
    late: frozenset[str] = frozenset()
    """Rules whose samples carry their own timestamps and come late."""
    slow: float = 1.0
    """By how much everything is slower: 360 makes hours of the grid's ten seconds, so that days pass."""

    def __repr__(self) -> str:
        """Return it as a few lines that a person can follow."""
        about = f"  late: {sorted(self.late)}, slow: {self.slow:g}"
        return "\n".join(["", about, *_rules_text(self.rules), *(_happening_text(it) for it in self.happenings)])

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: object) -> None:
        printer.text(repr(self))


def _rules_text(rules: RuleSet | None) -> list[str]:
    lines = []
    for rule in rules or ():
        about = f"{rule.query.spec} step={rule.query.step:g} lag={rule.lag:g} group_by={rule.group_by} {rule.mode}"
        nothing = f"no_data={rule.no_data.policy}/{rule.no_data.resolve_after:g}"
        lines.append(f"  {rule.name} every={rule.every:g} {about} {nothing} {rule.service}")
        for tier in rule.tiers:
            limit = f"{tier.limit.op} {tier.limit.value:g} {tier.limit.high or ''}"
            back = tier.recover
            own = f"{back.limit.op} {back.limit.value:g}" if back.limit else ""
            lasts = f"for={tier.for_:g} datapoints={tier.datapoints}"
            lines.append(f"    {tier.severity} {limit} {lasts} recover=({own} for={back.for_:g} {back.datapoints})")
    return lines


def _happening_text(it: Happening) -> str:
    match it:
        case Run():
            names = {series: "".join(value for _, value in series) for series in SERIES}
            said = ["FAIL" if a is None else {names[series]: value for series, value in a.items()} for a in it.answers]
            return f"  run {it.ticks} ticks: {said[0]} {said[1]}"
        case Skip():
            return f"  skip {it.ticks} ticks"
        case Weather():
            return f"  weather {it.kinds}"
        case Reload():
            return "\n".join([f"  reload key={it.routing_key}", *_rules_text(it.rules)])
        case Down():
            about = f"  down {it.ticks} ticks, key={it.routing_key} backfill={it.backfill}"
            return "\n".join([about, *_rules_text(it.rules)])


def limits() -> st.SearchStrategy[Limit]:
    """Limits of every kind, most of them `above`, at levels that the values meet exactly."""
    level = st.sampled_from(LEVELS)
    plain = st.builds(
        Limit,
        st.sampled_from([Op.ABOVE, Op.ABOVE, Op.ABOVE, Op.BELOW, Op.AT_LEAST, Op.AT_MOST, Op.EQUALS, Op.NOT_EQUALS]),
        level,
    )
    band = st.builds(lambda low, width: Limit(Op.OUTSIDE, low, low + width), level, st.sampled_from([0.0, 20.0]))
    return plain | plain | plain | band


def datapoints(low: int = 1) -> st.SearchStrategy[Datapoints]:
    """`M of N`, N up to 5."""
    return st.integers(2, 5).flatmap(lambda n: st.builds(Datapoints, st.integers(low, n - 1), st.just(n)))


def recovers(limit: Limit) -> st.SearchStrategy[Recover]:
    """Ways back to healthy that fit a limit."""
    own = {
        Op.ABOVE: Limit(Op.BELOW, limit.value - 10.0),
        Op.AT_LEAST: Limit(Op.BELOW, limit.value - 10.0),
        Op.BELOW: Limit(Op.ABOVE, limit.value + 10.0),
        Op.AT_MOST: Limit(Op.ABOVE, limit.value + 10.0),
    }.get(limit.op)
    duration = st.sampled_from([0.0, 0.0, 10.0, 30.0, 60.0, 120.0])
    choices = [st.builds(Recover, for_=duration)]
    if own is not None:
        choices.append(st.builds(Recover, limit=st.just(own), for_=duration))
    choices.append(st.builds(Recover, datapoints=st.builds(Datapoints, st.integers(0, 1), st.integers(2, 4))))
    return st.one_of(choices)


@st.composite
def tiers(draw: st.DrawFn, severity: Severity) -> Tier:
    """One tier of this severity."""
    limit = draw(limits())
    points = draw(st.none() | st.none() | datapoints())
    lasts = 0.0 if points else draw(st.sampled_from([0.0, 0.0, 10.0, 20.0, 60.0, 90.0, 120.0, 300.0]))
    return Tier(severity, limit, for_=lasts, datapoints=points, recover=draw(recovers(limit)))


no_data = st.sampled_from(
    [
        NoData(),
        NoData(),
        NoData(NoDataPolicy.BREACH),
        NoData(NoDataPolicy.RESOLVE, 60.0),
        NoData(NoDataPolicy.RESOLVE, 300.0),
        NoData(NoDataPolicy.RESOLVE, 90_000.0),
    ]
)


@st.composite
def rules(draw: st.DrawFn, name: str, late: frozenset[str] = frozenset()) -> Rule:
    """One rule of this name.

    Late samples do not go with `recover.datapoints` here: a series that was quiet has no row, so how many samples it
    had before is only known as far as they are told again.
    """
    severities = draw(st.sets(st.sampled_from(list(Severity)), min_size=1, max_size=4))
    spec = f'{{"expr":"{name}-{draw(st.integers(0, 1))}"}}'
    every = draw(st.sampled_from([10.0, 20.0, 30.0, 60.0, 60.0]))
    return Rule(
        name=name,
        query=Query("prometheus", spec, draw(st.sampled_from([0.0, 0.0, 60.0]))),
        tiers=tuple(_without_past(draw(tiers(severity)), name in late) for severity in sorted(severities)),
        every=every,
        service=draw(st.sampled_from(["infrastructure", "payments"])),
        lag=draw(st.sampled_from([0.0, 0.0, 60.0])),
        no_data=draw(no_data),
        group_by=draw(st.sampled_from([None, None, (), ("host",)])),
        mode=draw(st.sampled_from([Mode.PAGE] * 8 + [Mode.SHADOW])),
        summary="{host} is {value}",
    )


def _without_past(tier: Tier, late: bool) -> Tier:
    """Return the tier as it needs no number of samples to recover, if its samples come late."""
    return replace(tier, recover=replace(tier.recover, datapoints=None)) if late else tier


@st.composite
def rule_sets(draw: st.DrawFn, late: frozenset[str]) -> RuleSet:
    """One or two rules."""
    names = draw(st.sampled_from([("r1",), ("r1",), ("r1", "r2")]))
    return rule_set(draw(rules(name, late)) for name in names)


def rule_set(them: Iterable[Rule]) -> RuleSet:
    """Return these rules as a set."""
    return RuleSet(MappingProxyType({rule.name: rule for rule in them}))


@st.composite
def edits(draw: st.DrawFn, before: RuleSet, late: frozenset[str]) -> RuleSet:
    """The rule set after an edit of one rule: a key of it changed, or it is removed, or put back."""
    name = draw(st.sampled_from(["r1", "r1", "r2"]))
    old = before.get(name)
    kept = [rule for rule in before if rule.name != name]
    if old is None:
        return rule_set([*kept, draw(rules(name, late))])
    new = draw(rules(name, late))
    kinds = ["query", "group_by", "mode", "remove", "every"]
    if name not in late:
        # Whether another limit judges an old late sample anew is not said in part 4.
        kinds += ["limits", "tiers", "severity", "all"]
    match draw(st.sampled_from(kinds)):
        case "limits":
            by = {tier.severity: draw(tiers(tier.severity)) for tier in old.tiers}
            changed = replace(old, tiers=tuple(by[tier.severity] for tier in old.tiers))
        case "query":
            changed = replace(old, query=replace(old.query, spec=new.query.spec))
        case "group_by":
            changed = replace(old, group_by=new.group_by)
        case "tiers":
            changed = replace(old, tiers=new.tiers)
        case "severity":
            tier = replace(old.tiers[0], severity=new.tiers[0].severity)
            changed = replace(old, tiers=(tier,)) if len(old.tiers) == 1 else replace(old, service=new.service)
        case "mode":
            changed = replace(old, mode=draw(st.sampled_from(list(Mode))))
        case "every":
            changed = replace(old, every=new.every, lag=new.lag)
        case "all":
            changed = replace(new, no_data=old.no_data)
        case _:
            return rule_set(kept)
    return rule_set([*kept, changed])


VALUE: st.SearchStrategy[float | str] = st.sampled_from([*VALUES, *VALUES, "absent", "absent", NAN, "gone"])


@st.composite
def answers(draw: st.DrawFn) -> dict[Series, float | str] | None:
    """One answer: fail, or for each series a value, NaN, nothing, or that it has ended."""
    if draw(st.integers(0, 5)) == 0:
        return None
    said: dict[Series, float | str] = {}
    for series in SERIES:
        value = draw(VALUE)
        if value != "absent":
            said[series] = value
    return said


def slower(rules: RuleSet, by: float) -> RuleSet:
    """Return the rules with every duration multiplied, but for those of `no_data`."""
    return rule_set(
        replace(
            rule,
            every=rule.every * by,
            lag=rule.lag * by,
            query=replace(rule.query, step=rule.query.step * by),
            tiers=tuple(
                replace(tier, for_=tier.for_ * by, recover=replace(tier.recover, for_=tier.recover.for_ * by))
                for tier in rule.tiers
            ),
        )
        for rule in rules
    )


@st.composite
def histories(draw: st.DrawFn, *, weather: tuple[str, ...] = WEATHER, length: int = 14) -> History:
    """A rule set and up to `length` happenings."""
    late = draw(st.sampled_from([frozenset(), frozenset(), frozenset({"r1"})]))
    slow = draw(st.sampled_from([1.0, 1.0, 1.0, 360.0]))
    first = draw(rule_sets(late))
    current = first
    happenings: list[Happening] = []
    for _ in range(draw(st.integers(1, length))):
        kind = draw(st.sampled_from(["run"] * 8 + ["skip", "down", "down", "reload", "reload", "weather", "weather"]))
        if kind == "run":
            ticks = draw(st.sampled_from([1, 1, 2, 3, 6, 6, 12, 18, 40]))
            happenings.append(Run(ticks, (draw(answers()), draw(answers()) if len(current) > 1 else None)))
        elif kind == "skip":
            happenings.append(Skip(draw(st.sampled_from([1, 3, 6, 17, 18, 19, 24, 60]))))
        elif kind == "weather":
            happenings.append(Weather(tuple(draw(st.lists(st.sampled_from(weather), min_size=1, max_size=4)))))
        else:
            edited = draw(edits(current, late)) if draw(st.booleans()) else None
            current = edited if edited is not None else current
            edited = slower(edited, slow) if edited is not None else None
            key = draw(st.sampled_from([None, None, "1", "2"]))
            if kind == "reload":
                happenings.append(Reload(edited, key))
            else:
                ticks = draw(st.sampled_from([0, 1, 6, 17, 18, 19, 24, 60, 400, 0 if late else -30]))
                happenings.append(Down(ticks, edited, key, draw(st.booleans())))
    return History(slower(first, slow), tuple(happenings), late, slow)
