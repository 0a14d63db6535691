"""`evaluator incidents`: what is open, what was, and one incident with its timeline.

It asks the running daemon. Where none answers it reads the store, without changing it, and says so.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from evaluator.cli.asking import Daemon, NotThere, Unanswered, find
from evaluator.cli.output import json_text
from evaluator.cli.terminal import draw_incident, draw_incidents, terminal
from evaluator.config.settings import Settings
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import Store, open_store
from evaluator.web.incidents import incident_json, timeline_json
from evaluator.web.wording import count, localised, zone

Json = dict[str, Any]

_PAGE = 1000

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="One incident, with its timeline.")]
All = Annotated[bool, typer.Option("--all", help="Resolved ones too, the newest first.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a machine to read.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon listens; default: \\[web] listen of the settings.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", exists=True, dir_okay=False, help="The settings file.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(incidents)


def incidents(
    incident: Id = None,
    show_all: All = False,
    limit: Limit = 100,
    as_json: AsJson = False,
    url: Url = None,
    config: Config = None,
) -> None:
    """List incidents, the worst first, or show one with its timeline.

    Exit code 0: here they are. 1: there is no such incident, or neither the daemon nor the store could be asked.
    """
    try:
        answer, timezone = _answer(incident, show_all, limit, url, config)
    except (NotThere, Unanswered, StoreUnavailable) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json_text(answer))
        return
    console, where = terminal(), zone(timezone)
    answer = localised(answer, where)
    if incident is not None:
        draw_incident(console, answer, time.time(), where)
        return
    found = answer["incidents"]
    if found:
        draw_incidents(console, found, time.time(), where)
    else:
        console.print("No incident." if show_all else "No incident is open.")
    if answer["more"]:
        console.print(f"There are more than {count(limit, 'incident')}; --limit shows more.", style="dim")


def _answer(incident: str | None, show_all: bool, limit: int, url: str | None, config: Path | None) -> tuple[Json, str]:
    """Return what was asked for, and the timezone to show it in."""
    daemon, loaded = find(url, config)
    try:
        where = str(daemon.get("/api/v1/status")["timezone"])
        if incident is not None:
            return _one_of_daemon(daemon, incident), where
        return _list(lambda most, before: _page_of_daemon(daemon, show_all, most, before), show_all, limit), where
    except Unanswered as problem:
        if loaded is None or loaded.settings is None:
            raise
        typer.echo(f"evaluator: {problem}. This is what the store says:", err=True)
        return _of_store(loaded.settings, incident, show_all, limit), loaded.settings.timezone


_Page = Callable[[int, str | None], tuple[list[Json], str | None]]


def _list(page: _Page, show_all: bool, limit: int) -> Json:
    """Return incidents page by page: the worst first where only open ones are asked for."""
    found: list[Json] = []
    before: str | None = None
    while len(found) < limit or not show_all:
        some, before = page(_PAGE, before)
        found += some
        if before is None:
            break
    if not show_all:
        found.sort(key=lambda each: each["severity"])
    return {"incidents": found[:limit], "more": len(found) > limit or before is not None}


def _page_of_daemon(daemon: Daemon, show_all: bool, most: int, before: str | None) -> tuple[list[Json], str | None]:
    parameters: dict[str, str | int] = {"state": "all" if show_all else "open", "limit": most}
    if before is not None:
        parameters["before"] = before
    data = daemon.get("/api/v1/incidents", **parameters)
    return data["incidents"], data["next"]


def _one_of_daemon(daemon: Daemon, incident: str) -> Json:
    if not incident.isalnum():
        raise NotThere(f"{incident!r} is not the id of an incident")
    try:
        found: Json = daemon.get(f"/api/v1/incidents/{incident}")
    except NotThere:
        raise NotThere(f"there is no incident {incident}") from None
    return found


def _of_store(settings: Settings, incident: str | None, show_all: bool, limit: int) -> Json:
    now = time.time()
    with open_store(settings.store.url.get_secret_value(), read_only=True) as store:
        if incident is None:
            return _list(lambda most, before: _page_of_store(store, now, show_all, most, before), show_all, limit)
        found = store.incident(incident)
    if found is None:
        raise NotThere(f"there is no incident {incident}")
    return {**incident_json(found[0], now), "timeline": timeline_json(found[1])}


def _page_of_store(
    store: Store, now: float, show_all: bool, most: int, before: str | None
) -> tuple[list[Json], str | None]:
    found = store.incidents(most, before, open_only=not show_all)
    following = found[-1].id if len(found) == most else None
    return [incident_json(each, now) for each in found], following
