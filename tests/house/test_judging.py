"""The pages on judging and on the command line say what the code does."""

import re

from evaluator.cli.main import app
from evaluator.engine.alerts import TABLE, State, Verdict
from tests.house.repository import ROOT


def test_the_state_table_of_the_docs_is_the_engines() -> None:
    text = (ROOT / "docs/judging.md").read_text(encoding="utf-8")
    verdicts = [Verdict.BREACH, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN]
    for state in State:
        cells = " | ".join(TABLE[state, verdict].value for verdict in verdicts)
        assert f"| {state.value} | {cells} |" in text


def test_the_page_of_the_command_line_has_every_command_and_no_other() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert set(re.findall(r"^\| `evaluator ([a-z]+)", text, re.MULTILINE)) == commands
