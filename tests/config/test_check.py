"""`evaluator check`, as a person or a machine sees it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evaluator.cli.check import register

SETTINGS = '[sources.here]\ntype = "host"\n[lint]\nignore = ["no-heartbeat"]\n'
RULE = '[rule.a]\nsource = "here"\nquery = "cpu"\nunit = "percent"\nseverity = "P2"\nabove = 90\nfor = "5m"\n'


@pytest.fixture
def app() -> typer.Typer:
    found = typer.Typer()
    register(found)
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "evaluator.toml").write_text(SETTINGS)
    (tmp_path / "rules" / "a.toml").write_text(RULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALUATOR_CONFIG", raising=False)
    return tmp_path


def test_fine_is_one_line(app: typer.Typer, place: Path) -> None:
    result = CliRunner().invoke(app, [])
    assert (result.exit_code, result.stdout) == (0, "1 rule in 1 file (and 2 built in), fine\n")


def test_a_mistake_is_shown_with_its_line_and_exits_with_2(app: typer.Typer, place: Path) -> None:
    (place / "rules" / "a.toml").write_text(RULE.replace("above", "abvoe"))
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert result.stdout == (
        "rules/a.toml:6:1: `abvoe` is not a key that evaluator knows here\n"
        "  6 | abvoe = 90\n"
        "    | ^^^^^\n"
        "    = hint: did you mean `above`?\n"
        "1 error in 1 file\n"
    )


def test_warnings_exit_with_0_and_name_their_pages(app: typer.Typer, place: Path) -> None:
    (place / "rules" / "a.toml").write_text(RULE.replace('for = "5m"\n', ""))
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "[flap-prone]" in result.stdout
    assert "docs/lint/<id>.md" in result.stdout
    assert result.stdout.endswith("1 rule in 1 file (and 2 built in), 1 warning\n")


def test_from_another_folder_paths_still_lead_there(
    app: typer.Typer, place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "rules" / "a.toml").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = CliRunner().invoke(app, ["--config", str(place / "evaluator.toml")])
    assert result.stdout.startswith(f"{place}/rules/a.toml:1:1: ")


def test_only_the_named_files(app: typer.Typer, place: Path) -> None:
    (place / "rules" / "b.toml").write_text("x = 1\n")
    assert CliRunner().invoke(app, ["rules/a.toml"]).exit_code == 0
    assert CliRunner().invoke(app, ["rules/b.toml"]).exit_code == 2
    assert CliRunner().invoke(app, ["rules"]).exit_code == 2


def test_no_settings_is_one_sentence(app: typer.Typer, place: Path) -> None:
    result = CliRunner().invoke(app, ["--config", "gone.toml"])
    assert (result.exit_code, result.stdout) == (2, "there is no settings file gone.toml\n1 error\n")


def test_json_for_machines(app: typer.Typer, place: Path) -> None:
    (place / "rules" / "a.toml").write_text(RULE.replace("90", "True"))
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert (answer["errors"], answer["warnings"]) == (1, 0)
    (problem,) = answer["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("rules/a.toml", 6, 9)
