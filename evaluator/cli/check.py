"""`evaluator check`: all problems of settings and rules at once.

This command reads files and prints. It asks no source and opens no store; that is `check_running`.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evaluator.cli import check_running
from evaluator.cli.output import json_text
from evaluator.config.load import Loaded, load
from evaluator.config.problems import LINT_DOCS, Problem, counts, render, summary_line

PATHS = typer.Argument(help="Rule files or folders; default: those of the settings.", show_default=False)
CONFIG = typer.Option("--config", "-c", help="Settings file.", show_default=False)
JSON = typer.Option("--json", help="Print one JSON object.")
AGAINST = typer.Option("--against-running", help="Also ask the sources, and say what would open and close.")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("check")(check)


def check(
    paths: Annotated[list[Path] | None, PATHS] = None,
    config: Annotated[Path | None, CONFIG] = None,
    as_json: Annotated[bool, JSON] = False,
    against_running: Annotated[bool, AGAINST] = False,
) -> None:
    """Check settings and rules, and show every problem with its line.

    Exit code 0: fine, or only warnings. 1: what runs could not be compared with. 2: at least one mistake.
    """
    loaded = load(config, os.environ, only=tuple(paths or ()), now=time.time())
    problems = [_from_here(problem, loaded) for problem in loaded.problems]
    errors, _ = counts(problems)
    wrong = bool(errors) or loaded.fatal
    found, why = None, ""
    if against_running and not wrong:
        try:
            found = check_running.effect(loaded, paths or (), config)
        except check_running.Incomparable as reason:
            why = str(reason)
    if as_json:
        _print_json(loaded, problems, None if found is None else check_running.as_json(found), why)
    else:
        console = _print(loaded, problems)
        if found is not None:
            check_running.draw(console, found)
        elif why:
            console.print(f"evaluator: there is nothing to compare with: {why}", style="bold red")
    raise typer.Exit(2 if wrong else 1 if why else 0)


def _from_here(problem: Problem, loaded: Loaded) -> Problem:
    """Return the problem with its file as it is found from the current folder, so that editors can follow it."""
    if not problem.file or Path(problem.file).is_absolute():
        return problem
    place = loaded.path.parent / problem.file
    return replace(problem, file=str(place))


def _print(loaded: Loaded, problems: list[Problem]) -> Console:
    """Print the problems with their lines, then one line for all; return where."""
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    for problem in problems:
        console.print(render(problem))
    if any(problem.id for problem in problems):
        console.print(f"Each id in brackets has a page: {LINT_DOCS}/<id>.md", style="dim")
    built_in = _built_in(loaded)
    line = summary_line(problems, len(loaded.rules) - built_in, len(loaded.files), built_in)
    errors, _ = counts(problems)
    console.print(line, style="bold red" if errors else "bold green")
    return console


def _print_json(loaded: Loaded, problems: list[Problem], effect: dict[str, Any] | None, why: str) -> None:
    """Print everything as one JSON object."""
    errors, warnings = counts(problems)
    answer = {
        "settings": str(loaded.path),
        "rules": len(loaded.rules) - _built_in(loaded),
        "built_in": _built_in(loaded),
        "files": len(loaded.files),
        "errors": errors,
        "warnings": warnings,
        "problems": [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "end_column": problem.end_column,
                "message": problem.message,
                "hint": problem.hint,
                "id": problem.id,
                "error": problem.error,
            }
            for problem in problems
        ],
    }
    if effect is not None or why:
        answer["against_running"] = effect
        answer["incomparable"] = why
    typer.echo(json_text(answer))


def _built_in(loaded: Loaded) -> int:
    """Return how many rules are in force that stand in no file."""
    return sum(rule.built_in for rule in loaded.rules)
