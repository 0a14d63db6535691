"""`evaluator eval`: ask a rule's source now, and show each value beside its limits.

This command judges single values. What needs time (`for`, `datapoints`, trends, what is usual) is the daemon's, which
this command never asks.
"""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluator.cli.judged import EARLIER, Judged, judge, nothing_there
from evaluator.cli.output import json_text
from evaluator.cli.polling import answers_of
from evaluator.cli.terminal import badge, line, plain, terminal
from evaluator.config.load import Loaded, load
from evaluator.config.problems import render
from evaluator.engine.alerts import Verdict
from evaluator.engine.rules import Rule, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, series_of, series_text
from evaluator.engine.wording import healthy_text, limit_text, tier_text, value_text
from evaluator.web.wording import count, local, zone

MOST_ROWS = 20
_STYLES = {
    Verdict.BREACH: "bold red",
    Verdict.BETWEEN: "yellow",
    Verdict.UNKNOWN: "dim",
    Verdict.CLEAR: "green",
}

_HOLDS = {True: "green", False: "yellow", None: "dim"}
"""How it is drawn whether `only_if` holds."""

RULE = typer.Argument(metavar="RULE", help="Name of the rule.", show_default=False)
CONFIG = typer.Option("--config", "-c", help="Settings file.", show_default=False)
JSON = typer.Option("--json", help="Print one JSON object.")
ALL = typer.Option("--all", help=f"Show every series, not only the {MOST_ROWS} worst.")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("eval")(evaluate)


def evaluate(
    rule: Annotated[str, RULE],
    config: Annotated[Path | None, CONFIG] = None,
    as_json: Annotated[bool, JSON] = False,
    every_series: Annotated[bool, ALL] = False,
) -> None:
    """Ask the source of a rule now, and show each series with its value, the limit and the verdict.

    Exit code 0: the source answered, that of only_if too. 1: one did not, and the output says why. 2: wrong settings,
    or no such rule.
    """
    loaded = load(config, os.environ)
    found = _rule(loaded, rule)
    now = time.time()
    asked = [found.query] if found.only_if is None else [found.query, found.only_if.query]
    try:
        answers = asyncio.run(answers_of(loaded, asked, now))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    result, gate = answers[found.query], None if found.only_if is None else answers[found.only_if.query]
    rows = judge(found, result, gate, now) if isinstance(result, Samples) else []
    if as_json:
        typer.echo(json_text(_as_json(found, result, gate, rows, now)))
    else:
        where = zone(loaded.settings.timezone if loaded.settings else "UTC")
        _Drawing(found, where, now).draw(result, gate, rows, None if every_series else MOST_ROWS)
    raise typer.Exit(1 if isinstance(result, PollFailed) or isinstance(gate, PollFailed) else 0)


def _rule(loaded: Loaded, name: str) -> Rule:
    """Return the rule of this name; exit code 2 where there is none."""
    rule = loaded.rules.get(name)
    if loaded.settings is not None and rule is not None:
        return rule
    console = terminal()
    console.stderr = True
    for problem in loaded.problems:
        if problem.error:
            console.print(render(problem), soft_wrap=True)
    if loaded.settings is not None:
        known = [each.name for each in loaded.rules]
        written = sum(not each.built_in for each in loaded.rules)
        near = get_close_matches(name, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; {_number(written)} in {loaded.folder}"
        console.print(line(f'evaluator: there is no rule "{name}"{hint}'), soft_wrap=True)
    raise typer.Exit(2)


def _number(rules: int) -> str:
    return f"there {'is' if rules == 1 else 'are'} {count(rules, 'rule')}"


def _as_json(
    rule: Rule, result: PollResult, gate: PollResult | None, rows: Sequence[Judged], now: float
) -> dict[str, Any]:
    """Return everything as one JSON object."""
    return {
        "rule": rule.name,
        "source": rule.source,
        "query": rule.query.text,
        "unit": rule.unit,
        "at": now,
        "error": _error(result),
        "warnings": [] if isinstance(result, PollFailed) else list(result.warnings),
        "tiers": [{"severity": tier.severity.value, "limit": tier_text(tier, rule.unit)} for tier in rule.tiers],
        "only_if": _gate_json(rule, gate),
        "empty": list(nothing_there(rule, now)) if isinstance(result, Samples) and not rows else [],
        "series": [
            {
                "labels": row.labels,
                # JSON has no NaN and no infinity.
                "value": row.value if math.isfinite(row.value) else str(row.value),
                "verdicts": {tier.severity.value: verdict.value for tier, verdict, _ in _cells(rule, row)},
                "said": {tier.severity.value: said for tier, _, said in _cells(rule, row)},
                "only_if": None if row.gate is None else {"holds": row.gate.holds, "said": row.gate.said},
            }
            for row in rows
        ],
    }


def _error(result: PollResult | None) -> dict[str, str] | None:
    return {"reason": result.reason.value, "message": result.message} if isinstance(result, PollFailed) else None


def _gate_json(rule: Rule, gate: PollResult | None) -> dict[str, Any] | None:
    if rule.only_if is None:
        return None
    query, limit = rule.only_if.query, limit_text(rule.only_if.limit, rule.only_if.unit)
    return {"source": query.source, "query": query.text, "limit": limit, "error": _error(gate)}


def _cells(rule: Rule, row: Judged) -> list[tuple[Tier, Verdict, str]]:
    """Return each tier with its verdict, and what is to be said of it."""
    return list(zip(rule.tiers, row.verdicts, row.said, strict=True))


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The answer for a person."""

    rule: Rule
    where: tzinfo
    now: float

    def draw(self, result: PollResult, gate: PollResult | None, rows: Sequence[Judged], most: int | None) -> None:
        """Draw all of it."""
        console, rule = terminal(), self.rule
        console.print(line((rule.name, "bold"), f"  {rule.source}: {rule.query.text}"))
        if rule.only_if is not None:
            asked, limit = rule.only_if.query, limit_text(rule.only_if.limit, rule.only_if.unit)
            console.print(line(("only_if", "bold"), f"  {asked.source}: {asked.text}, {limit}"))
        for failed in (result, gate):
            if isinstance(failed, PollFailed):
                console.print(line((f"{failed.reason.value}: ", "bold red"), failed.message), soft_wrap=True)
        if isinstance(result, PollFailed):
            return
        for warning in result.warnings:
            console.print(line(("warning: ", "yellow"), warning), soft_wrap=True)
        if not rows:
            self._draw_nothing(console)
            return
        shown = rows if most is None else rows[:most]
        console.print(self._table(shown))
        if len(rows) > len(shown):
            console.print(line((f"… and {len(rows) - len(shown)} more series (--all shows them)", "dim")))
        console.print(self._summary(rows), soft_wrap=True)

    def _draw_nothing(self, console: Console) -> None:
        meant = [self._local(text) for text in nothing_there(self.rule, self.now)]
        told = "" if meant else ": nothing that could breach"
        console.print(f"The source answers, and there is no series{told}.")
        for text in meant:
            console.print(line(text), soft_wrap=True)

    def _table(self, rows: Sequence[Judged]) -> Table:
        """Return the table of series, with a column for each tier, and one for `only_if`."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("series", overflow="fold")
        table.add_column("value", justify="right", no_wrap=True)
        for tier in self.rule.tiers:
            limit = tier_text(tier, self.rule.unit)
            table.add_column(badge(tier.severity.value).append(f" {limit}", "dim"))
        if self.rule.only_if is not None:
            table.add_column("only_if")
        for row in rows:
            seen = _cells(self.rule, row)
            cells = [line((self._word(tier, verdict, said), _STYLES[verdict])) for tier, verdict, said in seen]
            if row.gate is not None:
                cells.append(line((row.gate.said.removeprefix("only_if "), _HOLDS[row.gate.holds])))
            series = plain(series_text(series_of(row.labels))) or "(no labels)"
            value = self._local(value_text(row.value, self.rule.unit))
            table.add_row(Text(series), Text(value), *cells)
        return table

    def _word(self, tier: Tier, verdict: Verdict, said: str) -> str:
        """Return a verdict for a person."""
        if said:
            return self._local(said if said == EARLIER else f"{verdict.value}: {said}")
        if verdict is Verdict.BETWEEN:
            return f"between (clear when {healthy_text(tier, self.rule.unit)})"
        return verdict.value

    def _summary(self, rows: Sequence[Judged]) -> Text:
        """Return the last line: how many of them are beyond a limit, and what was not judged."""
        plain_limits = all(tier.limit is not None and not tier.looks_back for tier in self.rule.tiers)
        of = "beyond a limit" if plain_limits else "in breach"
        beyond = [row for row in rows if Verdict.BREACH in row.verdicts]
        text = line(f"{len(beyond)} of {len(rows)} series {of}." if beyond else f"{len(rows)} series, none {of}.")
        held = sum(row.gate is not None and row.gate.holds is not True for row in beyond)
        if held:
            text.append(f" only_if does not hold, or is not known, for {held} of these: nothing opens there.", "yellow")
        if any(tier.for_ or tier.datapoints for tier in self.rule.tiers):
            text.append(" How long that must last is judged by the daemon.", "dim")
        if any(EARLIER in row.said for row in rows):
            text.append(
                f" Trends and what is usual are judged by the daemon, which keeps samples: `evaluator why"
                f" {self.rule.name}` says what it sees.",
                "dim",
            )
        return text

    def _local(self, text: str) -> str:
        return local(text, self.where)
