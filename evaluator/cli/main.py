"""The command line: one module for each command, and this one to hold them together.

This module knows their names. Each command parses, calls one station, and prints.
"""

from typing import Annotated

import typer

from evaluator import __version__
from evaluator.cli import check, incidents, resolve, run, schema, status
from evaluator.cli import eval as evaluate

app = typer.Typer(
    name="evaluator",
    help="Reads metrics where they already are, judges rules, and opens, raises and closes incidents by itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evaluator {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Do one thing; see `evaluator COMMAND --help`."""


for command in (run, check, evaluate, status, incidents, resolve, schema):
    command.register(app)
