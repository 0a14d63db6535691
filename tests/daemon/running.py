"""Installations for tests: settings and rules in a folder, and the real `evaluator run` on them, as processes.

This module writes files, starts, asks and ends processes. It never knows what a test expects of them. A process is
forked from one that has imported evaluator already, which spares each start two seconds; `fork=False` starts
`python -m evaluator` as a person does.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from prometheus_client.parser import text_string_to_metric_families

KEY = "Daemon00Daemon00Daemon00Daemon00"
"""The routing key of the service `shop`."""
PATIENCE = 40.0
"""Seconds that a machine with other things to do may take for what is a matter of moments."""

_Found = TypeVar("_Found")
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["evaluator.cli.main", "evaluator.cli.run", "evaluator.notifiers.pagerduty"])


def until(condition: Callable[[], _Found], seconds: float = PATIENCE) -> _Found:
    """Return what the condition returns, once that is true; after so many seconds the test has failed."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not come true within {seconds:g} s"
        time.sleep(0.03)


def settings(pagerduty: str, metrics: str, **changes: str) -> str:
    """Return `evaluator.toml` with a source `metrics`, a service `shop`, and the texts of `changes` for its parts."""
    parts = {
        "top": 'instance = "test"\nevery = "1s"',
        "store": '[store]\nurl = "sqlite:///var/evaluator.db"',
        "web": '[web]\nlisten = "127.0.0.1:0"',
        "sources": f'[sources.metrics]\ntype = "prometheus"\nurl = "{metrics}"\ntimeout = "1s"',
        "services": f'[services.shop]\nrouting_key = "{KEY}"',
        "notifiers": f'[notifiers.pagerduty]\ntype = "pagerduty"\nevents_url = "{pagerduty}"\ntimeout = "1s"',
        "more": '[lint]\nignore = ["no-heartbeat", "no-runbook", "flap-prone"]',
    }
    return "\n\n".join({**parts, **changes}.values()) + "\n"


def rule(name: str, promql: str = "", **keys: str) -> str:
    """Return a rule of the service `shop` on `metrics`; keys are TOML texts, `for_` is `for`."""
    query = promql or name
    usual = {"source": '"metrics"', "service": '"shop"', "query": f"'{query}'", "severity": '"P1"', "above": "10"}
    if keys.keys() & {"P0", "P1", "P2", "P3"}:
        del usual["severity"], usual["above"]
    if keys.keys() & {"below", "equals", "not_equals", "at_least", "at_most"}:
        del usual["above"]
    lines = [f"{key.rstrip('_')} = {value}" for key, value in {**usual, **keys}.items()]
    return "\n".join([f"[rule.{name}]", *lines, ""])


class _Process(Protocol):
    pid: int | None

    def ended(self, seconds: float) -> int | None:
        """Wait so long for its end; return the exit code."""


class _Started:
    def __init__(self, arguments: list[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "evaluator", *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env={**os.environ, **environ},
            )  # fmt: skip
        self.pid: int | None = self._process.pid

    def ended(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class _Forked:
    def __init__(self, arguments: list[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
        given = (arguments, dict(environ), str(folder), str(log))
        self._process = _FORKING.Process(target=_evaluator, args=given, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    def ended(self, seconds: float) -> int | None:
        self._process.join(seconds)
        return self._process.exitcode


def _evaluator(arguments: list[str], environ: dict[str, str], folder: str, log: str) -> None:
    """Be `evaluator` with these arguments, in a process of its own."""
    os.environ.update(environ)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["evaluator", *arguments]
    from evaluator.cli.main import app

    app()


class Running:
    """One `evaluator run`."""

    def __init__(self, process: _Process, log: Path) -> None:
        """Watch over a process that was just started; its output, all of it, is in `log`."""
        self._process = process
        self._log = log
        self.code: int | None = None
        """Its exit code, once it has ended."""

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything that it has said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def said(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of the log of this event, with these fields."""
        lines = (json.loads(line) for line in self.output.split("\n")[:-1] if line.startswith("{"))
        return [line for line in lines if line.get("event") == event and fields.items() <= line.items()]

    def started(self) -> "Running":
        """Wait until it works."""
        until(lambda: self.said("started") or self.ended(0.0) is not None)
        assert self.code is None, self.output
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a page; 0 where nobody answers."""
        page = self.said("started")[0]["page"]
        try:
            with urllib.request.urlopen(page + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def status(self) -> dict[str, Any]:
        """Return what the page shows."""
        found: dict[str, Any] = json.loads(self.get("/api/v1/status")[1])["data"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == f"evaluator_{name}"]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def ended(self, seconds: float = PATIENCE) -> int | None:
        """Wait for its end; return its exit code, or `None` where it still runs."""
        if self.code is None:
            self.code = self._process.ended(seconds)
        return self.code

    def kill(self) -> None:
        """End it as a crash does."""
        if self.ended(0.0) is None:
            self.signal(signal.SIGKILL)
            assert self.ended() is not None

    def stop(self) -> float:
        """End it as systemd does: it exits 0. Return how long that took."""
        begin = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.ended() == 0, (self.code, self.output)
        return time.monotonic() - begin


class House:
    """An installation: a folder with settings, rules and a store, and the processes that ran on it."""

    def __init__(self, folder: Path) -> None:
        """Use this folder."""
        self.folder = folder
        self.rules = folder / "rules"
        self.rules.mkdir()
        self._processes: list[Running] = []

    @property
    def store_url(self) -> str:
        """Where the store of the usual settings is."""
        return f"sqlite:///{self.folder}/var/evaluator.db"

    def settle(self, text: str) -> None:
        """Write `evaluator.toml`, at once."""
        _write(self.folder / "evaluator.toml", text)

    def rule(self, text: str, name: str = "shop.toml") -> Path:
        """Write a rule file, at once."""
        return _write(self.rules / name, text)

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None, fork: bool = True) -> Running:
        """Start `evaluator run`, and don't wait for it."""
        log = self.folder / f"log-{len(self._processes)}"
        line = ["run", "--log-json", *(arguments or ("--config", "evaluator.toml"))]
        kind = _Forked if fork else _Started
        running = Running(kind(line, environ or {}, self.folder, log), log)
        self._processes.append(running)
        return running

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None, fork: bool = True) -> Running:
        """Start `evaluator run`, and wait until it works."""
        return self.start(*arguments, environ=environ, fork=fork).started()

    def close(self) -> None:
        """End what still runs. What they said is what pytest shows of a test that failed."""
        for process in self._processes:
            process.kill()
            sys.stdout.write(f"{process.output}\nexit code {process.code}\n")


def _write(path: Path, text: str) -> Path:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
    return path
