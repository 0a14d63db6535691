"""The command line: one module for each command, and this one to hold them together.

This module knows their names. Each command parses, calls one station, and prints.
"""

import sys
from typing import Annotated

import typer

from evaluator import __version__
from evaluator.cli import check, doctor, incidents, resolve, run, schema, silence, status, why
from evaluator.cli import eval as evaluate
from evaluator.cli.output import Output

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
def _options(
    context: typer.Context,
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Do one thing; see `evaluator COMMAND --help`."""
    if context.invoked_subcommand == "run" and isinstance(context.obj, Output):
        context.obj.give_back()


for command in (run, check, evaluate, why, doctor, status, incidents, resolve, silence, schema):
    command.register(app)


def main() -> None:
    """Run the command that the command line names, and exit; output that cannot be written is no traceback."""
    output = Output()
    code = 0
    try:
        app(prog_name="evaluator", obj=output)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except OSError:
        if output.error is None:
            raise
    sys.exit(output.finish(code))
