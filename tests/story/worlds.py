"""What may happen to an installation, as values: rules, and histories of answers, gaps, edits, commands, weather.

It knows how they are written down for a person. It judges nothing, and knows neither the model nor the real thing; how
histories are made up is in `making`.

Time is a grid of ten seconds; a rule is due at every multiple of its `every`. Runs of equal answers are told, and not
single answers, so that short histories have durations that are reached and just missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import MappingProxyType

from hypothesis.vendor.pretty import RepresentationPrinter

from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Rule, RuleSet, Tier
from evaluator.engine.samples import Series, series_of

GRID = 10.0
NAN = float("nan")
START = 993_600.0
"""A Monday, at noon in UTC."""

SERIES: tuple[Series, ...] = (
    series_of({"host": "a", "disk": "x"}),
    series_of({"host": "b", "disk": "x"}),
    series_of({"host": "b", "disk": "y"}),
)

Said = dict[Series, float | str] | None
"""What a source answers: a value for each series, `"gone"`, or nothing; `None` is a poll that fails."""


@dataclass(frozen=True)
class Run:
    """For some ticks, every question gets the same answer."""

    ticks: int
    answers: tuple[Said, ...]
    """One for each of `r1`, `r2`. A rule that asks for the last success is told that it was as many tens of seconds ago
    as the value says, when the run began."""
    slope: float = 0.0
    """By how much all values grow in a tick."""
    gate: Said = None
    """What the question of every `only_if` is answered."""


@dataclass(frozen=True)
class Skip:
    """For some ticks nothing is asked (missed or coalesced slots); the dispatcher goes on."""

    ticks: int


@dataclass(frozen=True)
class Leap:
    """The clock jumps by some ticks, forward or back."""

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
class Hush:
    """Somebody asks for a silence."""

    selector: Selector
    ticks: int
    with_alert: bool


@dataclass(frozen=True)
class Unhush:
    """Somebody ends a silence before its time: one of those that were ever asked for."""

    which: int


@dataclass(frozen=True)
class Resolve:
    """Somebody resolves one of the open incidents."""

    which: int


@dataclass(frozen=True)
class Weather:
    """What the next requests to the receiver meet, over and over."""

    kinds: tuple[str, ...]


Happening = Run | Skip | Leap | Down | Reload | Hush | Unhush | Resolve | Weather

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
REFUSALS = ("400", "old key refused")
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
    start: float = START

    def __repr__(self) -> str:
        """Return it as a few lines that a person can follow."""
        about = f"  late: {sorted(self.late)}, slow: {self.slow:g}, start: {self.start:.0f}"
        return "\n".join(["", about, *_rules_text(self.rules), *(_happening_text(it) for it in self.happenings)])

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: object) -> None:
        printer.text(repr(self))


def rule_set(them: Iterable[Rule], windows: Iterable[Window] = ()) -> RuleSet:
    """Return these rules as a set."""
    return RuleSet(
        MappingProxyType({rule.name: rule for rule in them}), MappingProxyType({it.name: it for it in windows})
    )


def _rules_text(rules: RuleSet | None) -> list[str]:
    if rules is None:
        return []
    lines = []
    for rule in rules:
        lines.append(f"  {_unlike(rule, Rule('', rule.query, ()), but=('tiers', 'summary'))}")
        lines += [f"    {_unlike(tier, Tier(tier.severity, None), but=())}" for tier in rule.tiers]
    return lines + [f"  {_unlike(it, Window(''), but=())}" for it in rules.windows.values()]


def _unlike(value: object, plain: object, but: tuple[str, ...]) -> str:
    """Return what of a value is not as it comes."""
    said = []
    for each in fields(value):  # type: ignore[arg-type]
        mine = getattr(value, each.name)
        if each.name not in but and (mine != getattr(plain, each.name) or each.name in ("severity", "query")):
            said.append(f"{each.name}={mine}")
    return ", ".join(said)


def _happening_text(it: Happening) -> str:
    match it:
        case Run():
            said = " ".join(_answer_text(answer) for answer in it.answers)
            return f"  run {it.ticks} ticks: {said} slope={it.slope:g} gate={_answer_text(it.gate)}"
        case Down() | Reload():
            about = ", ".join(f"{each.name}={getattr(it, each.name)}" for each in fields(it) if each.name != "rules")
            return "\n".join([f"  {type(it).__name__} {about}", *_rules_text(it.rules)])
        case _:
            return f"  {it}"


def _answer_text(answer: Said) -> str:
    if answer is None:
        return "FAIL"
    return str({"".join(value for _, value in series): value for series, value in answer.items()})
