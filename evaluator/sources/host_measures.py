"""What the measures of this machine are, apart from its disks: processor, memory, load, network, processes.

This module reads the machine through psutil and never waits for anything. It knows no threads, no timeouts, no rules.
"""

import os
import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import psutil

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, Series, series_of
from evaluator.sources.host_disks import Mount
from evaluator.sources.host_query import NETWORK, HostQuery
from evaluator.sources.rates import Rates, Reading

_COUNTERS = {
    "network_errors": ("errin", "errout"),
    "network_drops": ("dropin", "dropout"),
    "network_bytes": ("bytes_recv", "bytes_sent"),
}
_CPU_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal", "idle", "iowait")
"""Guests' time is within `user` and `nice`."""


class Machine:
    """This machine. One thread at a time: it remembers the last readings of growing counts."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """Remember nothing yet; `labels` go on every series."""
        self._labels = dict(labels)
        self._rates = Rates()
        self._measures: dict[str, Callable[[], float]] = {
            "up": lambda: 1.0,
            "memory": lambda: float(psutil.virtual_memory().percent),
            "memory_available": lambda: float(psutil.virtual_memory().available),
            "uptime": _uptime,
        }

    def answer(self, query: HostQuery, spec: str, at: float) -> PollResult:
        """Answer one query; `at` is the instant of the reading on a clock that only goes forward."""
        try:
            return self._answer(query, spec, at)
        except (OSError, psutil.Error) as error:
            what = getattr(error, "filename", None) or "psutil"
            why = getattr(error, "strerror", None) or type(error).__name__
            return PollFailed(
                FailureReason.AUTH,
                f"{query.measure} cannot be read here ({what}: {why}); systemd's ProcSubset= may hide it",
            )

    def mounts(self) -> list[Mount]:
        """Return what is mounted, in the order of mounting."""
        return [Mount(each.device, each.mountpoint, each.fstype) for each in psutil.disk_partitions(all=True)]

    def _answer(self, query: HostQuery, spec: str, at: float) -> PollResult:
        """Answer one query, or raise what the operating system raises."""
        if query.measure in self._measures:
            return Samples([self._labels], [self._measures[query.measure]()])
        if query.measure in NETWORK:
            return self._network(query, spec, at)
        if query.measure == "cpu":
            return self._cpu(query, spec, at)
        if query.measure == "load":
            load = os.getloadavg()[(1, 5, 15).index(query.minutes)]
            return Samples([self._labels], [load / _cores() if query.per_core else load])
        if query.measure == "swap":
            return self._swap()
        return self._processes()

    def _cpu(self, query: HostQuery, spec: str, at: float) -> Samples:
        """Return the busy share since the last poll. Seconds of the processors themselves are the clock."""
        times: list[Any] = psutil.cpu_times(percpu=True) if query.each else [psutil.cpu_times()]
        share = 1 if query.each else _cores()
        readings: dict[Series, Reading] = {}
        for number, each in enumerate(times):
            spent = [float(getattr(each, field, 0.0)) for field in _CPU_FIELDS]
            busy, total = sum(spent[:-2]), sum(spent)
            labels = {**self._labels, "cpu": str(number)} if query.each else self._labels
            readings[series_of(labels)] = Reading(busy / share, total / share)
        rates = self._rates.advance(spec, readings, at)
        return Samples([dict(series) for series in rates], [min(100.0, 100.0 * rate) for rate in rates.values()])

    def _network(self, query: HostQuery, spec: str, at: float) -> Samples:
        """Return a row for each interface: the count, or its growth in the time that `per` says."""
        inward, outward = _COUNTERS[query.measure]
        fields = {"in": (inward,), "out": (outward,), "both": (inward, outward)}[query.direction]
        counts: dict[Series, float] = {}
        for name, counters in psutil.net_io_counters(pernic=True, nowrap=False).items():
            if fnmatchcase(name, query.interface):
                series = series_of({**self._labels, "interface": name})
                counts[series] = float(sum(getattr(counters, field) for field in fields))
        if query.per is not None:
            counts = self._rates.grown(spec, counts, at, query.per)
        return Samples([dict(series) for series in counts], list(counts.values()))

    def _swap(self) -> Samples:
        """Return the used share of swap; no series where there is none."""
        swap = psutil.swap_memory()
        if not swap.total:
            return Samples(warnings=("this machine has no swap",))
        return Samples([self._labels], [100.0 * swap.used / swap.total])

    def _processes(self) -> PollResult:
        """Return the number of processes, unless those of others are hidden from us."""
        pids = psutil.pids()
        if 1 not in pids:
            message = "the processes of others are hidden here (systemd's ProtectProc=, or hidepid of /proc)"
            return PollFailed(FailureReason.AUTH, message)
        return Samples([self._labels], [float(len(pids))])


def _cores() -> int:
    """Return the number of logical processors."""
    return psutil.cpu_count() or 1


def _uptime() -> float:
    """Return the seconds since the machine started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
