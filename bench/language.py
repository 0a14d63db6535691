"""What looking back, `only_if` and storms cost, beside what is quiet: `python -m bench.language`.

It calls the stations as the daemon does, in this process, and prints a Markdown table of CPU time. `--quick` takes tiny
sizes, to see that it runs.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.answers import LIMIT
from bench.engine import EVERY, NOW, rule, samples, sqlite_stores
from bench.measuring import circumstances, counted, cpu, cpu_once, table
from evaluator.daemon.identifiers import new_id
from evaluator.engine.damping import Storm
from evaluator.engine.rules import Limit, OnlyIf, Op, Query, Rule, RuleSet, Severity, Tier
from evaluator.engine.samples import PollResult, Samples, series_of
from evaluator.engine.shapes import Trend, Unusual, Way
from evaluator.engine.trail import CHUNK
from evaluator.incidents.changes import Changes, ChunkKey
from evaluator.incidents.judge import assess
from evaluator.incidents.routing import Routes
from evaluator.incidents.world import World
from evaluator.store.store import open_store

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    quiet: int = 100_000
    trends: Sequence[int] = (200, 2_000)
    unusual: Sequence[int] = (20, 200)
    gates: int = 1_000
    storms: Sequence[int] = (1_000, 10_000, 100_000)
    repeats: int = 5


QUICK = Sizes(quiet=10, trends=(3,), unusual=(2,), gates=2, storms=(40,), repeats=1)

Row = tuple[object, ...]


def judged(world: World, asked: Rule, result: PollResult, now: float, gate: PollResult | None = None) -> Changes:
    """Judge one answer, as a cycle does."""
    rules = RuleSet({asked.name: asked})
    return assess(
        world, asked, result, now, routes=Routes(), instance="bench", ids=new_id, rules=rules, gate=gate
    ).changes


def answer(series: int, dice: random.Random) -> Samples:
    """Return an answer whose values are all about the same."""
    return Samples(
        [{"host": f"web-{number}", "job": "node"} for number in range(series)], dice.choices(range(40, 60), k=series)
    )


def looking_back(tier: Tier, result: Samples, days: float) -> tuple[Rule, World]:
    """Return a rule and a world in which it has kept so many days of each series, and was judged once."""
    asked, world, dice = replace(rule(), tiers=(tier,), every=5.0), World(), random.Random(1)
    chunks = Changes()
    for keep in asked.keeps:
        first, last = int((NOW - days * DAY) / keep.width / CHUNK), int(NOW / keep.width / CHUNK)
        for labels in result.labels:
            for number in range(first, last):
                key = ChunkKey(asked.name, keep.width, series_of(labels), number)
                chunks.chunks[key] = tuple(dice.gauss(50, 5) for _ in range(CHUNK))
    world.apply(chunks)
    world.apply(judged(world, asked, result, NOW))
    return asked, world


def quiet_row(sizes: Sizes) -> Row:
    """Measure what is quiet: the measure of everything else."""
    result, asked, world = samples(sizes.quiet), rule(), World()
    world.apply(judged(world, asked, result, NOW))
    return (
        f"{counted(sizes.quiet)} quiet series",
        cpu(sizes.repeats, judged, world, asked, result, NOW + EVERY),
        0,
        "",
    )


def trend_row(series: int, sizes: Sizes) -> Row:
    """Measure `rising` over five minutes, each 5 s, with the whole window known."""
    tier = Tier(Severity.P2, Limit(Op.ABOVE, LIMIT), trend=Trend(Way.RISING, 0.5, share=True, over=300.0))
    result = answer(series, random.Random(1))
    asked, world = looking_back(tier, result, 0.0)
    for number in range(1, 61):
        world.apply(judged(world, asked, result, NOW + 5.0 * number))
    return _row(f"`rising` of {counted(series)} series", sizes, world, asked, result, NOW + 305.0)


def unusual_row(series: int, sizes: Sizes) -> Row:
    """Measure `unusual` with four weeks of each series."""
    result = answer(series, random.Random(1))
    asked, world = looking_back(Tier(Severity.P2, None, unusual=Unusual(by=40.0)), result, 28.2)
    return _row(f"`unusual` of {counted(series)} series, 28 days kept", sizes, world, asked, result, NOW + 300.0)


def _row(name: str, sizes: Sizes, world: World, asked: Rule, result: Samples, now: float) -> Row:
    changes = judged(world, asked, result, now)
    return (name, cpu(sizes.repeats, judged, world, asked, result, now), len(changes.chunks), _commit(changes))


def gate_rows(sizes: Sizes) -> Iterator[Row]:
    """Measure many rules of one series each, without and with `only_if`."""
    result = samples(1)
    gate = OnlyIf(Query("bench", json.dumps({"promql": "gate"})), Limit(Op.ABOVE, 0.0))
    for name, only_if in (("without", None), ("with", gate)):
        rules = [replace(rule(), name=f"rule-{number}", only_if=only_if) for number in range(sizes.gates)]
        world = World()

        def all_of_them(world: World, rules: Sequence[Rule], now: float) -> None:
            for each in rules:
                world.apply(judged(world, each, result, now, result))

        all_of_them(world, rules, NOW)
        spent = cpu(sizes.repeats, partial(all_of_them, world, rules), NOW + EVERY)
        yield (f"{counted(sizes.gates)} rules {name} `only_if`", spent, 0, "")


def storm_rows(series: int) -> Iterator[Row]:
    """Measure a rule of which everything fires, without and with storms."""
    for name, storm in (("without", None), ("with", Storm(30, 60.0))):
        result, world, asked = samples(series, series), World(), replace(rule(), storm=storm)
        for number, what in enumerate(("open", "go on")):
            found: list[Changes] = []

            def look(now: float, world: World, asked: Rule, result: Samples, found: list[Changes]) -> None:
                found.append(judged(world, asked, result, now))

            spent = cpu_once(look, NOW + number * EVERY, world, asked, result, found)
            yield (
                f"{counted(series)} series that fire, {name} storms: {what}",
                spent, _rows(found[0]), _commit(found[0]),
            )  # fmt: skip
            world.apply(found[0])


def _rows(changes: Changes) -> int:
    parts = (changes.alerts, changes.incidents, changes.events, changes.deliveries, changes.transitions, changes.judged)
    return sum(len(part) for part in parts)


def _commit(changes: Changes) -> object:
    with sqlite_stores() as fresh, open_store(fresh()) as store:
        return cpu_once(store.commit, changes)


def rows(sizes: Sizes) -> Iterator[Row]:
    """Measure one after the other."""
    yield quiet_row(sizes)
    for series in sizes.trends:
        yield trend_row(series, sizes)
    for series in sizes.unusual:
        yield unusual_row(series, sizes)
    yield from gate_rows(sizes)
    for series in sizes.storms:
        yield from storm_rows(series)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.language", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it runs")
    sizes = QUICK if parser.parse_args(arguments).quick else Sizes()
    print(circumstances())
    measured = [(*row[:2], counted(int(str(row[2]))), row[3]) for row in rows(sizes)]
    print(table("One evaluation, by what it looks at", ("", "judge", "rows", "commit (SQLite)"), measured))


if __name__ == "__main__":
    main()
