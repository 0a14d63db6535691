"""`evaluator eval`: ask a rule's source now, and show each value beside its limits.

This command judges single values. What needs time (`for`, `datapoints`) is the daemon's, which this command never asks.
"""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from evaluator.cli.output import json_text
from evaluator.cli.polling import answers_of
from evaluator.cli.terminal import badge, line, plain, terminal
from evaluator.config.load import Loaded, load
from evaluator.config.problems import render
from evaluator.engine.alerts import Verdict
from evaluator.engine.conditions import verdict_of
from evaluator.engine.rules import Op, Rule, Tier
from evaluator.engine.samples import PollFailed, PollResult, Samples, series_of, series_text
from evaluator.engine.wording import healthy_text, tier_text, value_text
from evaluator.web.wording import count

MOST_ROWS = 20
_RANK = {Verdict.BREACH: 0, Verdict.BETWEEN: 1, Verdict.UNKNOWN: 2, Verdict.CLEAR: 3}
_STYLES = {
    Verdict.BREACH: "bold red",
    Verdict.BETWEEN: "yellow",
    Verdict.UNKNOWN: "dim",
    Verdict.CLEAR: "green",
}

RULE = typer.Argument(metavar="RULE", help="Name of the rule.", show_default=False)
CONFIG = typer.Option("--config", "-c", help="Settings file.", show_default=False)
JSON = typer.Option("--json", help="Print one JSON object.")
ALL = typer.Option("--all", help=f"Show every series, not only the {MOST_ROWS} worst.")


@dataclass(frozen=True, slots=True)
class Judged:
    """One series, as its value stands to the rule's limits."""

    labels: dict[str, str]
    value: float
    verdicts: tuple[Verdict, ...]
    """One for each tier, the worst tier first."""


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

    Exit code 0: the source answered. 1: it did not, and the output says why. 2: wrong settings, or no such rule.
    """
    loaded = load(config, os.environ)
    found = _rule(loaded, rule)
    now = time.time()
    try:
        result = asyncio.run(answers_of(loaded, [found.query], now))[found.query]
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    rows = judge(found, result) if isinstance(result, Samples) else []
    if as_json:
        typer.echo(json_text(_as_json(found, result, rows, now)))
    else:
        _draw(found, result, rows, None if every_series else MOST_ROWS)
    raise typer.Exit(1 if isinstance(result, PollFailed) else 0)


def judge(rule: Rule, samples: Samples) -> list[Judged]:
    """Return the rows of an answer with their verdicts, worst first; of a series' several samples the newest."""
    newest: dict[object, int] = {}
    for row, labels in enumerate(samples.labels):
        series = series_of(labels)
        before = newest.get(series)
        if before is None or samples.at is None or samples.at[row] >= samples.at[before]:
            newest[series] = row
    judged = []
    for row in newest.values():
        value = samples.values[row]
        verdicts = tuple(verdict_of(tier, value) for tier in rule.tiers)
        judged.append(Judged(dict(samples.labels[row]), value, verdicts))
    return sorted(judged, key=lambda each: _order(rule, each))


def _order(rule: Rule, row: Judged) -> tuple[object, ...]:
    """Return what worse rows are smaller in: the verdicts tier by tier, then the value, then the name."""
    limit = rule.tiers[0].limit
    low_is_bad = limit is not None and limit.op in (Op.BELOW, Op.AT_MOST)
    value = math.inf if math.isnan(row.value) else row.value if low_is_bad else -row.value
    return tuple(_RANK[verdict] for verdict in row.verdicts), value, series_text(series_of(row.labels))


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


def _as_json(rule: Rule, result: PollResult, rows: Sequence[Judged], now: float) -> dict[str, Any]:
    """Return everything as one JSON object."""
    failed = {"reason": result.reason.value, "message": result.message} if isinstance(result, PollFailed) else None
    return {
        "rule": rule.name,
        "source": rule.source,
        "query": rule.query.text,
        "unit": rule.unit,
        "at": now,
        "error": failed,
        "warnings": [] if isinstance(result, PollFailed) else list(result.warnings),
        "tiers": [{"severity": tier.severity.value, "limit": tier_text(tier, rule.unit)} for tier in rule.tiers],
        "series": [
            {
                "labels": row.labels,
                # JSON has no NaN and no infinity.
                "value": row.value if math.isfinite(row.value) else str(row.value),
                "verdicts": {
                    tier.severity.value: verdict.value for tier, verdict in zip(rule.tiers, row.verdicts, strict=True)
                },
            }
            for row in rows
        ],
    }


def _draw(rule: Rule, result: PollResult, rows: Sequence[Judged], most: int | None) -> None:
    """Draw the answer for a person."""
    console = terminal()
    console.print(line((rule.name, "bold"), f"  {rule.source}: {rule.query.text}"))
    if isinstance(result, PollFailed):
        console.print(line((f"{result.reason.value}: ", "bold red"), result.message), soft_wrap=True)
        return
    for warning in result.warnings:
        console.print(line(("warning: ", "yellow"), warning), soft_wrap=True)
    if not rows:
        console.print("The source answers, and there is no series: nothing that could breach.")
        return
    shown = rows if most is None else rows[:most]
    console.print(_table(rule, shown))
    if len(rows) > len(shown):
        console.print(line((f"… and {len(rows) - len(shown)} more series (--all shows them)", "dim")))
    console.print(_summary(rule, rows))


def _table(rule: Rule, rows: Sequence[Judged]) -> Table:
    """Return the table of series, with a column for each tier."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("series", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    for tier in rule.tiers:
        table.add_column(badge(tier.severity.value).append(f" {tier_text(tier, rule.unit)}", "dim"))
    for row in rows:
        cells = [Text(f"{_word(verdict, tier, rule)}", _STYLES[verdict]) for verdict, tier in _paired(rule, row)]
        series = plain(series_text(series_of(row.labels))) or "(no labels)"
        table.add_row(Text(series), Text(value_text(row.value, rule.unit)), *cells)
    return table


def _paired(rule: Rule, row: Judged) -> list[tuple[Verdict, Tier]]:
    """Return each verdict with its tier."""
    return list(zip(row.verdicts, rule.tiers, strict=True))


def _word(verdict: Verdict, tier: Tier, rule: Rule) -> str:
    """Return a verdict for a person."""
    if verdict is Verdict.BETWEEN:
        return f"between (clear when {healthy_text(tier, rule.unit)})"
    return verdict.value


def _summary(rule: Rule, rows: Sequence[Judged]) -> Text:
    """Return the last line: how many of them are beyond a limit, and what was not judged."""
    beyond = sum(Verdict.BREACH in row.verdicts for row in rows)
    text = line(f"{beyond} of {len(rows)} series beyond a limit." if beyond else f"{len(rows)} series, none beyond.")
    if any(tier.for_ or tier.datapoints for tier in rule.tiers):
        text.append(" How long that must last is judged by the daemon.", "dim")
    return text
