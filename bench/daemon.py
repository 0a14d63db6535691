"""What the daemon costs by rules, by quiet series and by firing ones: `python -m bench.daemon`.

It starts the real `evaluator run` for each row, on a store of its own, against a Prometheus that answers what was
encoded before, and prints Markdown tables of its CPU seconds and memory. `--quick` takes tiny sizes, to see that it
runs; `--only WORD` measures the rows whose name has the word in it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import answers
from bench.measuring import Spread, circumstances, counted, seconds, table
from evaluator.testing.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 180.0
"""Seconds that a daemon may take to judge for the first time, and to tell all that it opened."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one daemon has to do."""

    name: str
    rules: int = 1
    queries: int = 1
    """How many different ones the rules ask."""
    series: int = 1
    """How many each query answers with."""
    firing: int = 0
    """How many of them are beyond the limit."""
    every: float = 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What it cost."""

    each: Spread
    """CPU seconds for each round."""
    first: float
    """CPU seconds from the first line to the first round that is judged and told."""
    peak: int
    """The most memory that was resident, in bytes."""
    resident: int
    """What is resident between rounds."""
    lag: float
    """Seconds from the slot to the commit, the mean of the rounds."""
    requests: float
    """Requests to the source for each round."""


SETTINGS = """\
instance = "bench"
rules = "rules"

[store]
url = "sqlite:///bench.db"

[web]
listen = "127.0.0.1:{port}"

[sources.bench]
type = "prometheus"
url = "{url}"

[services.bench]
"""

RULE = """\
[rule.rule-{number}]
severity = "P2"
source = "bench"
service = "bench"
every = "{every:g}s"
query = '{query}'
above = {limit}

"""


class Daemon:
    """A running `evaluator run`."""

    def __init__(self, process: psutil.Process, port: int, log: Path) -> None:
        self._process = process
        self._port = port
        self._log = log

    def cpu(self) -> float:
        """Return the CPU seconds that it has taken until now."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def resident(self) -> int:
        """Return the bytes of memory that are resident now."""
        return int(self._process.memory_info().rss)

    def peak(self) -> int:
        """Return the most bytes of memory that were ever resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else self.resident()

    def metrics(self) -> dict[str, float]:
        """Return its metrics by name; those with labels have them in the name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def wait_until_settled(self, *, told: bool) -> None:
        """Return once a round is committed and, where incidents are to open, all of them are told."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
                break
            time.sleep(0.5)
            try:
                seen = self.metrics()
            except OSError:
                continue
            opened = sum(value for name, value in seen.items() if name.startswith("evaluator_open_incidents"))
            settled = (opened > 0) is told and not seen["evaluator_deliveries_pending"]
            if seen["evaluator_cycle_lag_seconds_count"] and settled:
                return
        raise RuntimeError(f"the daemon does not settle:\n{self._log.read_text()[-2000:]}")

    def wait_until_between_rounds(self, every: float) -> None:
        """Return well after one round and well before the next, so that no window cuts a round in two."""
        rounds = self.metrics()["evaluator_cycle_lag_seconds_count"]
        while self.metrics()["evaluator_cycle_lag_seconds_count"] == rounds:
            time.sleep(0.2)
        time.sleep(every * 0.3)


@contextmanager
def running(folder: Path, port: int) -> Iterator[Daemon]:
    """Run the daemon of a folder's settings until the end."""
    log = folder / "log"
    # Compiled modules are kept, as everywhere where a daemon is started more than once.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-m", "evaluator", "run", "--config", str(folder / "evaluator.toml")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=environ)
    try:
        yield Daemon(psutil.Process(process.pid), port, log)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write(folder: Path, load: Load, url: str, port: int) -> None:
    """Write the settings and rules of a load."""
    (folder / "rules").mkdir()
    (folder / "evaluator.toml").write_text(SETTINGS.format(port=port, url=url))
    texts = []
    for number in range(load.rules):
        asked = answers.query(load.series, load.firing, number % load.queries)
        texts.append(RULE.format(number=number, every=load.every, query=asked, limit=answers.LIMIT))
    (folder / "rules" / "bench.toml").write_text("".join(texts))


def measure(load: Load, rounds: int) -> Measured:
    """Run a daemon under a load and measure so many rounds of it."""
    answers.answer(load.series, load.firing)
    with answers.prometheus() as server, tempfile.TemporaryDirectory(prefix="evaluator-bench-") as name:
        folder, port = Path(name), free_port()
        write(folder, load, server.url, port)
        with running(folder, port) as daemon:
            daemon.wait_until_settled(told=load.firing > 0)
            first = daemon.cpu()
            daemon.wait_until_between_rounds(load.every)
            before, asked = daemon.metrics(), server.requests
            samples = list(_windows(daemon, load.every, rounds))
            after = daemon.metrics()
            taken = after["evaluator_cycle_lag_seconds_count"] - before["evaluator_cycle_lag_seconds_count"]
            lag = after["evaluator_cycle_lag_seconds_sum"] - before["evaluator_cycle_lag_seconds_sum"]
            return Measured(
                each=Spread(tuple(samples)),
                first=first,
                peak=daemon.peak(),
                resident=daemon.resident(),
                lag=lag / max(taken, 1),
                requests=(server.requests - asked) / max(taken, 1),
            )


def _windows(daemon: Daemon, every: float, rounds: int) -> Iterator[float]:
    """Yield the CPU seconds of windows that are as long as the interval, so that each has one round in it."""
    before = daemon.cpu()
    for _ in range(rounds):
        time.sleep(every)
        now = daemon.cpu()
        yield now - before
        before = now


def by_rules(sizes: Sequence[int], every: float) -> list[Load]:
    """Return loads that grow with rules."""
    distinct = [Load(f"rules: {counted(size)}, as many queries", size, size, every=every) for size in sizes]
    return [*distinct, Load(f"rules: {counted(sizes[-1])}, one query", sizes[-1], every=every)]


def by_series(sizes: Sequence[int], every: float) -> list[Load]:
    """Return loads that grow with quiet series."""
    return [Load(f"{counted(size)} quiet series", series=size, every=every) for size in sizes]


def by_firing(series: int, sizes: Sequence[int], every: float) -> list[Load]:
    """Return loads that grow with what fires."""
    return [
        Load(f"{counted(series)} series, {counted(size)} firing", series=series, firing=size, every=every)
        for size in sizes
    ]


HEADS = (
    "",
    "CPU each round",
    "of one core",
    "CPU from the start until all is told",
    "peak",
    "resident",
    "lag",
    "requests",
)


def row(load: Load, measured: Measured) -> tuple[object, ...]:
    """Return a load's row."""
    return (
        load.name,
        measured.each,
        f"{measured.each.median / load.every:.1%}",
        seconds(measured.first),
        f"{measured.peak / 1e6:.0f} MB",
        f"{measured.resident / 1e6:.0f} MB",
        seconds(measured.lag),
        f"{measured.requests:g}",
    )


def shipped(window: float, windows: int) -> str:
    """Return the table of what `make run` costs: the settings and rules that ship, on this machine."""
    with tempfile.TemporaryDirectory(prefix="evaluator-bench-") as name:
        folder, port = Path(name), free_port()
        settings = (ROOT / "evaluator.toml").read_text().replace("127.0.0.1:9464", f"127.0.0.1:{port}")
        (folder / "evaluator.toml").write_text(settings)
        (folder / "var").mkdir()
        (folder / "rules").symlink_to(ROOT / "rules")
        with running(folder, port) as daemon:
            time.sleep(window / 2)
            spread = Spread(tuple(_windows(daemon, window, windows)))
            peak, resident = daemon.peak(), daemon.resident()
    cells = (f"{spread.median / window:.2%}", f"{peak / 1e6:.0f} MB", f"{resident / 1e6:.0f} MB")
    heads = ("", f"CPU each {window:g} s", "of one core", "peak", "resident")
    return table(
        "This machine, with the settings and rules that ship (`make run`)", heads, [("`make run`", spread, *cells)]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.daemon", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it runs")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name has this word in it")
    options = parser.parse_args(arguments)
    quick = options.quick
    every, rounds = (1.0, 1) if quick else (10.0, 4)
    sizes = [1, 2] if quick else [1, 10, 100, 1_000]
    many = [3] if quick else [1_000, 10_000, 100_000]
    groups = {
        "By rules, of one series each": by_rules(sizes, every),
        "By quiet series, of one rule": by_series(many, every),
        "By what fires, of one rule": by_firing(many[-1], [0, 1] if quick else [0, 1, 100, 1_000], every),
    }
    print(circumstances())
    if not quick:
        # The first daemon compiles what the others only read.
        measure(Load("warm-up", every=1.0), 1)
    for title, loads in groups.items():
        wanted = [load for load in loads if options.only in load.name]
        if wanted:
            print(table(title, HEADS, [row(load, measure(load, rounds)) for load in wanted]), flush=True)
    if options.only in "make run":
        print(shipped(*((2.0, 1) if quick else (60.0, 2))))


if __name__ == "__main__":
    main()
