"""The pages on judging and on the command line say what the code does."""

import re

import pytest

from evaluator.cli.main import app
from tests.house.judging_tables import PAGE, made
from tests.house.repository import ROOT


def test_the_tables_of_the_docs_are_those_by_which_is_judged() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert made(page) == page, "run `make docs`"


def test_a_page_without_the_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no part between"):
        made("# How evaluator judges")


def test_the_page_of_the_command_line_has_every_command_and_no_other() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    groups = {group.name for group in app.registered_groups}
    assert set(re.findall(r"^\| `evaluator ([a-z]+)", text, re.MULTILINE)) == commands | groups
