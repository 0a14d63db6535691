"""What judging, the outbox and the store cost by what is quiet and by what is not: `python -m bench.engine`.

It calls the stations as the daemon does, in this process, and prints Markdown tables of CPU time. `--quick` takes tiny
sizes, to see that it runs.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from bench.answers import LIMIT, answer, query
from bench.measuring import circumstances, counted, cpu, cpu_once, table
from evaluator.daemon.identifiers import new_id
from evaluator.engine.conditions import nearest_row
from evaluator.engine.rules import Limit, NoData, NoDataPolicy, Op, Query, Rule, Severity, Tier
from evaluator.engine.samples import Samples
from evaluator.incidents.changes import Changes
from evaluator.incidents.judge import assess
from evaluator.incidents.outbox import next_due, next_time
from evaluator.incidents.routing import Routes
from evaluator.incidents.world import World
from evaluator.sources.prometheus_answer import samples_of
from evaluator.sources.prometheus_document import decode
from evaluator.store.store import open_store
from evaluator.testing.servers import MissingComponentError, postgres

NOW = 1_700_000_000.0
EVERY = 30.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    quiet: Sequence[int] = (1_000, 10_000, 100_000)
    active: Sequence[int] = (0, 1, 10, 100, 1_000, 10_000)
    rows: Sequence[int] = (0, 1, 10, 100, 1_000, 10_000)
    series: int = 100_000
    """Series of the answers in which some are active."""
    repeats: int = 7


QUICK = Sizes(quiet=(10,), active=(0, 2), rows=(0, 2), series=20, repeats=2)


def rule(policy: NoDataPolicy = NoDataPolicy.HOLD) -> Rule:
    """Return the rule that is judged."""
    spec = json.dumps({"promql": query(1)})
    limit = Tier(Severity.P2, Limit(Op.ABOVE, LIMIT))
    return Rule(
        "disk-full", Query("bench", spec), (limit,), every=EVERY, service="infrastructure", no_data=NoData(policy)
    )


def samples(series: int, firing: int = 0) -> Samples:
    """Return an answer as the source `prometheus` hands it on."""
    found = samples_of(decode(answer(series, firing)))
    if not isinstance(found, Samples):
        raise TypeError(found)
    return found


def judged(world: World, asked: Rule, result: Samples, now: float) -> Changes:
    """Judge one answer, as a cycle does."""
    return assess(world, asked, result, now, routes=Routes(), instance="bench", ids=new_id).changes


def world_with(result: Samples, asked: Rule) -> tuple[World, Changes]:
    """Return the world after one evaluation, and what that evaluation changed."""
    world = World()
    changes = judged(world, asked, result, NOW)
    world.apply(changes)
    return world, changes


def quiet_table(sizes: Sizes) -> str:
    """Compare judging what is quiet with reading it."""
    rows = []
    for series in sizes.quiet:
        body, asked, missed = answer(series, 0), rule(), rule(NoDataPolicy.BREACH)
        # In this order: the collector of garbage looks at whatever else is alive while a document is decoded.
        reading = cpu(sizes.repeats, decode, body), cpu(sizes.repeats, samples_of, decode(body))
        result = samples(series)
        judging = cpu(sizes.repeats, judged, world_with(result, asked)[0], asked, result, NOW + EVERY)
        showing = cpu(sizes.repeats, nearest_row, asked.tiers[0].limit, result.values)
        missing = cpu(sizes.repeats, judged, world_with(result, missed)[0], missed, result, NOW + EVERY)
        spreads = (*reading, judging, showing, missing)
        rows.append((counted(series), f"{len(body) / 1e6:.2f} MB", *spreads))
    heads = (
        "quiet series",
        "answer",
        "decode JSON",
        "into columns",
        "judge",
        "find what to show",
        'judge, no_data = "breach"',
    )
    return table("One evaluation of what is quiet, beside reading it", heads, rows)


def active_table(sizes: Sizes) -> str:
    """Show what an evaluation costs by how many of many series fire, and how many rows it writes."""
    rows = []
    for firing in sizes.active:
        result, asked = samples(sizes.series, min(firing, sizes.series)), rule()
        world, opening = world_with(result, asked)
        steady = judged(world, asked, result, NOW + EVERY)
        first = cpu(sizes.repeats, judged, World(), asked, result, NOW)
        next_one = cpu(sizes.repeats, judged, world, asked, result, NOW + EVERY)
        rows.append((counted(firing), first, next_one, _written(opening), _written(steady)))
    heads = ("firing", "judge: all open", "judge: all go on", "rows at the opening", "rows each evaluation")
    return table(f"One evaluation of {counted(sizes.series)} series, by how many of them fire", heads, rows)


def _written(changes: Changes) -> str:
    parts = (changes.alerts, changes.incidents, changes.events, changes.deliveries, changes.series, changes.judged)
    return counted(sum(len(part) for part in parts))


def outbox_table(sizes: Sizes) -> str:
    """Show what the dispatcher's look at the outbox costs by how many rows it has."""
    rows = []
    for number in sizes.rows:
        world, _ = world_with(samples(max(number, 1), number), rule())
        deliveries = world.deliveries.values()
        due = cpu(sizes.repeats, next_due, deliveries, NOW + 1)
        wake = cpu(sizes.repeats, next_time, deliveries)
        rows.append((counted(number), due, wake))
    heads = ("deliveries that wait", "what may be sent (`next_due`)", "when to look again (`next_time`)")
    return table("One look at the outbox", heads, rows)


Fresh = Callable[[], str]
"""Makes the URL of a store that has nothing in it yet."""


def store_table(sizes: Sizes, name: str, fresh: Fresh) -> str:
    """Show what commits and a start cost by how many alerts are open."""
    rows = []
    for number in sizes.rows:
        result, asked = samples(max(number, 1), number), rule()
        world, opening = world_with(result, asked)
        steady = judged(world, asked, result, NOW + EVERY)
        with open_store(fresh()) as store:
            first = cpu_once(store.commit, opening)
            again = cpu(sizes.repeats, store.commit, steady)
            load = cpu(sizes.repeats, store.load, NOW)
            saved = store.load(NOW)
        wake = cpu(sizes.repeats, World.load, saved, NOW)
        rows.append((counted(number), first, again if steady else "nothing to write", load, wake))
    heads = ("open alerts", "commit: all open", "commit: all go on", "start: `store.load`", "start: `World.load`")
    return table(f"The store by what is open: {name}", heads, rows)


@contextmanager
def sqlite_stores() -> Iterator[Fresh]:
    """Give a maker of SQLite stores."""
    with tempfile.TemporaryDirectory(prefix="evaluator-bench-") as folder:
        numbers = itertools.count()
        yield lambda: f"sqlite:///{Path(folder) / f'{next(numbers)}.db'}"


@contextmanager
def postgres_stores() -> Iterator[Fresh]:
    """Run PostgreSQL and give a maker of databases in it; `MissingComponentError` where there is none."""
    with postgres() as url:
        numbers = itertools.count()

        def fresh() -> str:
            name = f"bench{next(numbers)}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return url.replace("postgresql://", "postgresql+psycopg://", 1).removesuffix("/postgres") + f"/{name}"

        yield fresh


def tables(sizes: Sizes) -> Iterator[str]:
    """Measure one table after the other."""
    yield quiet_table(sizes)
    yield active_table(sizes)
    yield outbox_table(sizes)
    with sqlite_stores() as fresh:
        yield store_table(sizes, "SQLite", fresh)
    try:
        with postgres_stores() as fresh:
            yield store_table(sizes, "PostgreSQL (without what the server itself costs)", fresh)
    except MissingComponentError as missing:
        yield f"No numbers for PostgreSQL: {missing}.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it runs")
    sizes = QUICK if parser.parse_args(arguments).quick else Sizes()
    print(circumstances())
    for shown in tables(sizes):
        print(shown, flush=True)


if __name__ == "__main__":
    main()
