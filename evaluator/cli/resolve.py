"""`evaluator resolve`: end an incident by hand, for all who were told of it.

This module writes a command into the store, and waits until the daemon has carried it out.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from evaluator.cli.asking import Unanswered, settings_of
from evaluator.cli.wishes import LATER, ask, who
from evaluator.daemon.identifiers import new_id
from evaluator.incidents.commands import Command, CommandKind
from evaluator.store.errors import CommitFailed, StoreUnavailable
from evaluator.store.store import Store, open_store

Id = Annotated[str, typer.Argument(metavar="ID", help="The incident, as `evaluator incidents` shows it.")]
Note = Annotated[str, typer.Option("--note", "-m", help="Why, for the timeline.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", exists=True, dir_okay=False, help="The settings file.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(resolve)


def resolve(incident: Id, note: Note = "", config: Config = None) -> None:
    """End an incident. What still breaches after half an hour opens a new one.

    Exit code 0: it has ended. 1: there is no such incident, or no daemon carried it out within ten seconds.
    """
    try:
        settings = settings_of(config)
        with open_store(settings.store.url.get_secret_value(), read_only=True) as store:
            _require_open(store, incident.upper())
        with open_store(settings.store.url.get_secret_value()) as store:
            done = _ask(store, incident.upper(), note)
    except (Unanswered, StoreUnavailable, CommitFailed) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    if not done:
        typer.echo(LATER, err=True)
        raise typer.Exit(1)
    typer.echo(f"{incident.upper()} is resolved")


def _require_open(store: Store, incident: str) -> None:
    found = store.incident(incident)
    if found is None:
        typer.echo(f"evaluator: there is no incident {incident}; `evaluator incidents` lists them", err=True)
        raise typer.Exit(1)
    if not found[0].open:
        typer.echo(f"{incident} is resolved already")
        raise typer.Exit(0)


def _ask(store: Store, incident: str, note: str) -> bool:
    """Write the command, and return whether the incident has ended in time."""
    command = Command(new_id(), CommandKind.RESOLVE, incident, who(), time.time(), note)

    def is_over() -> bool:
        found = store.incident(incident)
        return found is not None and not found[0].open

    return ask(store, command, is_over)
