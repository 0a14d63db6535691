"""Measuring and showing: CPU seconds with their spread, Markdown tables, and what they were measured on.

CPU time and not the clock on the wall is measured, so that other work on the same machine changes little.
"""

import gc
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec

from evaluator import __version__

ENOUGH = 0.02
"""Seconds that one measurement takes at least; what is faster is done several times."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of the same, in seconds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one to quote."""
        return statistics.median(self.samples)

    def __str__(self) -> str:
        """Return it for a table: the median, and between which others it stands."""
        if len(self.samples) == 1:
            return seconds(self.median)
        low, high = min(self.samples), max(self.samples)
        return f"**{seconds(self.median)}** ({seconds(low)} to {seconds(high)})"


P = ParamSpec("P")


def cpu(repeats: int, work: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> Spread:
    """Return the CPU seconds of this process for one call of `work`."""
    call = partial(work, *arguments, **options)
    gc.collect()
    number = 1
    while (once := _timed(call, number)) < ENOUGH and number < 1_000_000:
        number = max(number * 2, min(number * 100, int(number * ENOUGH / max(once, 1e-7)) + 1))
    return Spread(tuple(_timed(call, number) / number for _ in range(repeats)))


def cpu_once(work: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> Spread:
    """Return the CPU seconds of work that can be done only once."""
    gc.collect()
    return Spread((_timed(partial(work, *arguments, **options), 1),))


def _timed(call: Callable[[], object], number: int) -> float:
    started = time.process_time()
    for _ in range(number):
        call()
    return time.process_time() - started


def seconds(value: float) -> str:
    """Return seconds with three digits, in the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 1000 else f"{value:.0f} s"
    return "0" if value <= 0 else f"{value * 1e9:.0f} ns"


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table under its title; the first column names the row, the others are numbers."""
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def counted(number: int) -> str:
    """Return a number as people write it: `100,000`."""
    return f"{number:,}"


def circumstances() -> str:
    """Return what the numbers were measured on, and when."""
    found = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = found[0].partition(":")[2].strip() if found else platform.machine()
    versions = f"evaluator {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return f"Measured on {date}: {versions}, Linux, {os.cpu_count()} cores ({processor}), load average {load}.\n"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
