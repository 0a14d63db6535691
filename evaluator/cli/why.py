"""`evaluator why`: what became of a rule in each evaluation, and why nothing was sent.

It asks the running daemon, which remembers its recent evaluations. Where none answers it reads what alerts did from the
store, without changing it, and says so.
"""

import time
from datetime import tzinfo
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evaluator.cli.asking import Daemon, Json, NotThere, Unanswered, find
from evaluator.cli.output import json_text
from evaluator.cli.terminal import SEVERITIES, line, terminal
from evaluator.config.load import Loaded
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import open_store
from evaluator.web.why import LIMIT, MOST, chosen, later_than, pasts_to_read, question, why_json
from evaluator.web.wording import clock, local, moment, zone

_STYLES = {"firing": "bold red", "recovering": "green", "pending": "yellow", "quiet": "dim"}

Rule = Annotated[str, typer.Argument(metavar="RULE", help="Name of the rule.", show_default=False)]
Series = Annotated[str, typer.Argument(metavar="[SERIES]", help="Labels as they are shown: 'host=web-1, device=sda'.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="What was so then: 03:00, 'yesterday 03:00', '2h ago'.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MOST, help="How many lines at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a machine to read.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon listens; default: \\[web] listen of the settings.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", exists=True, dir_okay=False, help="The settings file.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(why)


def why(
    rule: Rule,
    series: Series = "",
    at: At = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
    url: Url = None,
    config: Config = None,
) -> None:
    """Say in one sentence for each evaluation what a rule saw, what it waits for, and why nothing was sent.

    The newest is the last. Exit code 0: here it is. 1: neither the daemon nor the store could be asked. 2: there is no
    such rule, or it is not clear what is asked.
    """
    try:
        answer = _answer(rule, series, at, limit, url, config)
    except (Unanswered, StoreUnavailable) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    except (NotThere, ValueError) as problem:
        typer.echo(f"evaluator: {problem.args[0]}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json_text(answer))
    else:
        _draw(answer, zone(answer["timezone"]))


def _answer(rule: str, series: str, at: str | None, limit: int, url: str | None, config: Path | None) -> Json:
    # What cannot be meant is said before anybody is asked; the daemon reads the time by its own clock and timezone.
    question(rule, series, at, str(limit), time.time(), "UTC")
    daemon, loaded = find(url, config)
    try:
        return _of_daemon(daemon, rule, series, at, limit)
    except Unanswered as problem:
        if loaded is None or loaded.settings is None:
            raise
        typer.echo(f"evaluator: {problem}. This is what the store says:", err=True)
        return _of_store(loaded, loaded.settings.store.url.get_secret_value(), (rule, series, at, limit))


def _of_daemon(daemon: Daemon, rule: str, series: str, at: str | None, limit: int) -> Json:
    parameters: dict[str, str | int] = {"rule": rule, "series": series, "limit": limit}
    if at is not None:
        parameters["at"] = at
    found: Json = daemon.get("/api/v1/why", **parameters)
    return found


def _of_store(loaded: Loaded, url: str, asked_for: tuple[str, str, str | None, int]) -> Json:
    rule, series, at, limit = asked_for
    timezone = loaded.settings.timezone if loaded.settings else "UTC"
    asked = question(rule, series, at, str(limit), time.time(), timezone)
    with open_store(url, read_only=True) as store:
        pasts = store.transitions(rule, None, later_than(asked.at), pasts_to_read(asked))
    try:
        return why_json(asked, chosen(asked, (), pasts, None), loaded.rules.rules, timezone)
    except LookupError as problem:
        broken = any(each.error for each in loaded.problems)
        hint = "; rule files have mistakes, and `evaluator check` says which" if broken else ""
        raise NotThere(f"{problem.args[0]}{hint}") from None


def _draw(answer: Json, where: tzinfo) -> None:
    console, now = terminal(), time.time()
    limits = "; ".join(_limit(each) for each in answer["limits"])
    facts = [limits, f"every {answer['every']:g}s on {answer['source']}" if answer["every"] else "", answer["rule_at"]]
    mode = f" ({answer['mode']})" if answer["mode"] != "page" else ""
    facts.append(f"times in {answer['timezone']}")
    console.print(line((answer["rule"], "bold"), mode, "  ", ("  ".join(fact for fact in facts if fact), "dim")))
    if answer["more"]:
        console.print("earlier lines are left out; --limit shows more", style="dim")
    for each in answer["lines"]:
        console.print(_line(each, now, where), soft_wrap=True)
    if answer["note"]:
        console.print(line(answer["note"]), soft_wrap=True)


def _limit(tier: Json) -> str:
    held = "" if tier["for"] == "0s" else f" for {tier['for']}"
    return f"{tier['severity']} {tier['limit']}{held}"


def _line(each: Json, now: float, where: tzinfo) -> Text:
    slot = moment(each["at"])
    severity, state = each["severity"] or "", each["state"] or ""
    series = f"{each['series_text']}: " if each["series_text"] else ""
    return line(
        (clock(slot, now, where), "dim"),
        "  ",
        (severity or "  ", SEVERITIES.get(severity, "")),
        " ",
        (f"{state:<10}", _STYLES.get(state, "")),
        " ",
        (series, "bold"),
        local(each["text"], where, slot),
    )
