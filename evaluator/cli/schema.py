"""`evaluator schema`: JSON Schema, so that editors complete and explain the keys of rules and settings.

This command prints. It reads no file of the user's.
"""

from enum import StrEnum
from typing import Annotated

import typer

from evaluator.cli.output import json_text
from evaluator.config.plugins import installed
from evaluator.config.schema import rules_schema, settings_schema


class What(StrEnum):
    """Of which file."""

    RULES = "rules"
    SETTINGS = "settings"


WHAT = typer.Argument(help="Schema of rule files or of evaluator.toml.")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("schema")(schema)


def schema(what: Annotated[What, WHAT] = What.RULES) -> None:
    """Print the JSON Schema of rule files (or of the settings) for editors.

    `evaluator schema > rules.schema.json`, and `#:schema ../rules.schema.json` as the first line of a rule file.
    """
    plugins = installed()
    for problem in plugins.problems:
        typer.echo(problem.headline, err=True)
    found = rules_schema(plugins) if what is What.RULES else settings_schema(plugins)
    typer.echo(json_text(found))
