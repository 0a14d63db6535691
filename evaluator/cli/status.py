"""`evaluator status`: what the page `/` shows, in a terminal.

This module knows the command line and exit codes; what is shown is worked out in `web.picture`.
"""

from pathlib import Path
from typing import Annotated

import typer

from evaluator.cli.asking import NotThere, Unanswered, find
from evaluator.cli.output import json_text
from evaluator.cli.terminal import draw_status, terminal
from evaluator.web.wording import localised, zone

Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon listens; default: \\[web] listen of the settings.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", exists=True, dir_okay=False, help="The settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the daemon answers, for a machine to read.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(status)


def status(as_json: AsJson = False, url: Url = None, config: Config = None) -> None:
    """Show how the running daemon is, and what is wrong now.

    Exit code 0: no incident is open and the daemon is ready. 1: one is open, or it is not ready, or it does not answer.
    """
    try:
        daemon, _ = find(url, config)
        data = daemon.get("/api/v1/status")
    except (NotThere, Unanswered) as problem:
        if as_json:
            typer.echo(json_text({"error": str(problem)}))
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json_text(data))
    else:
        where = zone(data["timezone"])
        draw_status(terminal(), localised(data, where), where)
    raise typer.Exit(0 if data["ready"] and not data["counts"]["open"] else 1)
