"""What one poll of each source costs, by the number of rules: `python -m bench.sources`.

Requests are what the source itself counts (`usage`), CPU is that of this process, where the source runs alone: the
systems run elsewhere, real ones as servers, look-alikes in a process of their own. `--quick` takes few rules, to see
that it runs; `--only WORD` takes the sources with that word in their names.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bench.measuring import Spread, circumstances, counted, seconds
from evaluator.config.plugins import installed
from evaluator.engine.samples import Samples
from evaluator.sources.source import Metered
from evaluator.testing import servers
from evaluator.testing.cloudwatch import CloudWatch
from evaluator.testing.poolers import pgbouncer
from evaluator.testing.sentry import Sentry
from evaluator.testing.stripe import Stripe
from evaluator.testing.suite import build, query
from evaluator.testing.uptimerobot import UptimeRobot
from evaluator.testing.wire import Reply, WireServer

NOW = 1_700_000_040.0
POLLS = 5
"""Polls that are measured, after one that makes connections and looks around."""
RULES = (1, 10, 1_000)
QUICK = (1, 3)

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class System:
    """A source, and what it asks."""

    name: str
    what: str
    """What answers, for the table."""
    run: Callable[[int], AbstractContextManager[Fields]]
    """Has the system run, large enough for so many rules, and gives the settings."""
    ask: Callable[[int], Fields]
    """The query of a rule, by its number."""
    step: float = 60.0
    """Seconds between two polls, so that what is kept between polls is as it is in life."""
    apart: bool = True
    """Whether a thousand different queries make sense."""


@contextmanager
def apart(name: str, size: int) -> Iterator[Fields]:
    """Run a look-alike in another process; give what its source is told."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(name, size, theirs), daemon=True)
    process.start()
    try:
        found: Fields = ours.recv()
        yield found
        ours.send(None)
        process.join(10)
    finally:
        process.terminate()


def _serve(name: str, size: int, pipe: Connection) -> None:
    """Run a look-alike until the other side has had enough."""
    with LOOK_ALIKES[name](size) as settings:
        pipe.send(settings)
        pipe.recv()


@contextmanager
def _cloudwatch(size: int) -> Iterator[Fields]:
    with CloudWatch() as aws:
        points = {NOW - 60 * minute: float(minute) for minute in range(-20, 60)}
        for number in range(size):
            aws.put("App", f"m{number}", {}, points)
        yield {**aws.settings, "timeout": "60s"}


@contextmanager
def _targets(size: int) -> Iterator[Fields]:
    with WireServer(lambda _: Reply(200, b"{}")) as server:
        targets = {f"t{number}": {"url": f"{server.url}/{number}"} for number in range(size)}
        yield {"targets": targets, "timeout": "60s"}


@contextmanager
def _stripe(_size: int) -> Iterator[Fields]:
    with Stripe("rk_test_bench", clock=lambda: NOW, most=10_000) as account:
        for number in range(50):
            account.event(age=60.0 * number)
            account.charge(age=60.0 * number)
        yield {"url": account.url, "token": "rk_test_bench", "requests_per_second": 25, "timeout": "60s"}


@contextmanager
def _sentry(size: int) -> Iterator[Fields]:
    with Sentry("bench-token", clock=lambda: NOW, most=1_000_000) as organization:
        organization.add(*(f"p{number}" for number in range(size)))
        organization.errors("p0", 30)
        yield {"url": organization.url, "token": "bench-token", "org": "acme", "timeout": "60s"}


@contextmanager
def _uptimerobot(size: int) -> Iterator[Fields]:
    with UptimeRobot("bench-token", clock=lambda: NOW, most=100_000, page=200) as account:
        for number in range(size):
            account.add(f"m{number}")
        yield {
            "url": account.url,
            "token": "bench-token",
            "requests_per_minute": 1000,
            "refresh": "1ms",
            "timeout": "60s",
        }


LOOK_ALIKES: Mapping[str, Callable[[int], AbstractContextManager[Fields]]] = {
    "cloudwatch": _cloudwatch,
    "http": _targets,
    "sentry": _sentry,
    "stripe": _stripe,
    "uptimerobot": _uptimerobot,
}


@contextmanager
def _host(_size: int) -> Iterator[Fields]:
    yield {}


@contextmanager
def _prometheus(_size: int) -> Iterator[Fields]:
    with servers.prometheus() as url:
        yield {"url": url, "timeout": "60s"}


@contextmanager
def _redis(_size: int) -> Iterator[Fields]:
    with servers.redis() as url:
        yield {"url": url, "timeout": "60s"}


@contextmanager
def _broker(_size: int) -> Iterator[Fields]:
    with servers.redis() as url:
        yield {"broker": url, "timeout": "60s", "reply_timeout": "200ms"}


@contextmanager
def _postgres(_size: int) -> Iterator[Fields]:
    with servers.postgres() as url:
        yield {"url": url.replace("postgresql+psycopg", "postgresql"), "timeout": "60s"}


@contextmanager
def _pgbouncer(_size: int) -> Iterator[Fields]:
    with servers.postgres() as url, pgbouncer(url.replace("postgresql+psycopg", "postgresql")) as console:
        yield {"url": console, "timeout": "60s"}


def _look_alike(name: str) -> Callable[[int], AbstractContextManager[Fields]]:
    return lambda size: apart(name, size)


UNNOTICED = 50.0
"""Seconds between two polls of a look-alike whose clock stands still; a longer step would be a jump of our clock."""

SYSTEMS = (
    System(
        "cloudwatch", "look-alike", _look_alike("cloudwatch"),
        lambda n: {"namespace": "App", "metric": f"m{n}", "period": "1m"},
    ),
    System("prometheus", "Prometheus", _prometheus, lambda n: {"promql": f"up + {n}"}, step=1.0),
    System("postgres", "PostgreSQL", _postgres, lambda n: {"measure": "slow_queries", "longer_than": f"{n + 1}s"}),
    System("pgbouncer", "PgBouncer", _pgbouncer, lambda n: {"measure": "pool_waiting", "database": f"shop-{n}"}),
    System("redis", "Redis", _redis, lambda n: {"measure": "queue_depth", "queue": f"q{n}"}),
    System("celery", "Redis as the broker", _broker, lambda n: {"measure": "queue_depth", "queue": f"q{n}"}),
    System("http", "HTTP server", _look_alike("http"), lambda n: {"measure": "status", "target": f"t{n}"}),
    System(
        "sentry", "look-alike", _look_alike("sentry"),
        lambda n: {"measure": "errors", "project": f"p{n}"}, step=UNNOTICED,
    ),
    System(
        "stripe", "look-alike", _look_alike("stripe"),
        lambda n: {"measure": "refund_ratio", "window": f"{n + 1}m"}, step=UNNOTICED,
    ),
    System(
        "uptimerobot", "look-alike", _look_alike("uptimerobot"),
        lambda n: {"measure": "monitor_up", "monitor": f"m{n}"},
    ),
    System("host", "this machine", _host, lambda _: {"measure": "disk"}, apart=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What a poll took."""

    requests: float
    cpu: Spread


async def polls(system: System, settings: Fields, fields: Sequence[Fields]) -> Cost:
    """Poll one adapter several times, as the daemon does, and return what one poll took."""
    kind = installed().sources[system.name]
    source = build(kind, settings)
    asked = [query(kind, each) for each in fields]
    start = time.time() if system.name == "prometheus" else NOW
    taken: list[float] = []
    before = 0.0
    await source.open()
    try:
        for number in range(POLLS + 1):
            began = time.process_time()
            answers = await source.poll(asked, start + number * system.step)
            taken.append(time.process_time() - began)
            for answer in answers:
                if not isinstance(answer, Samples):
                    raise TypeError(f"{system.name}: {answer}")
            if number == 0:
                before = _requests(source)
        return Cost((_requests(source) - before) / POLLS, Spread(tuple(taken[1:])))
    finally:
        await source.close()


def _requests(source: object) -> float:
    return source.usage()["requests"] if isinstance(source, Metered) else float("nan")


def measured(system: System, rules: Sequence[int]) -> list[list[str]]:
    """Return the rows of a source: as many rules with one query, and with as many queries."""
    rows = []
    with system.run(max(rules)) as settings:
        for title, different in (("one query", False), *((("as many queries", True),) if system.apart else ())):
            costs = []
            for n in rules:
                asked = [system.ask(number if different else 0) for number in range(n)]
                costs.append(asyncio.run(polls(system, _fitting(settings, n if different else 1), asked)))
            cells = [f"{cost.requests:.4g} · {seconds(cost.cpu.median)}" for cost in costs]
            rows.append([f"{system.name} ({system.what}), {title}", *cells])
    return rows


def _fitting(settings: Fields, targets: int) -> Fields:
    """Return settings with no more targets than rules probe."""
    if "targets" not in settings:
        return settings
    return {**settings, "targets": dict(list(settings["targets"].items())[:targets])}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rules, to see that it runs")
    parser.add_argument("--only", default="", metavar="WORD", help="sources with this word in their names")
    options = parser.parse_args(arguments)
    rules = QUICK if options.quick else RULES
    print(circumstances())
    heads = ["requests · CPU of one poll", *(counted(n) + (" rule" if n == 1 else " rules") for n in rules)]
    print(f"### By rules, of each source\n\n| {' | '.join(heads)} |\n|---|{'---:|' * len(rules)}")
    for system in SYSTEMS:
        if options.only in system.name:
            for row in measured(system, rules):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
