"""Which text of which file is in force, and what is fatal."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.config.load import Loaded, load
from evaluator.engine.rules import Limit, Op
from tests.config.conftest import PLUGINS, SETTINGS

Loader = Callable[..., Loaded]
Text = Callable[..., str]
BROKEN = "[rule.a]\nsource = box\n"
ROUTING_KEYS = ("API_PLATFORM", "DATABASE", "PAYMENTS", "CELERY", "AUTH", "INFRA")


def names(loaded: Loaded) -> list[str]:
    return [rule.name for rule in loaded.rules]


def errors(loaded: Loaded) -> list[str]:
    return [problem.headline for problem in loaded.problems if problem.error]


def test_rules_of_all_files_are_in_force(loader: Loader, rule: Text) -> None:
    loaded = loader({"a.toml": rule("a"), "deep/er/b.toml": rule("b"), ".hidden.toml": "nonsense", "notes.txt": "x"})
    assert errors(loaded) == []
    assert names(loaded) == ["a", "b"]
    assert set(loaded.files) == {"a.toml", "deep/er/b.toml"}
    assert loaded.rules.rules["b"].file == "rules/deep/er/b.toml"
    assert loaded.rules.rules["b"].line == 1


def test_a_broken_file_is_fatal_at_a_check_and_at_a_first_start(loader: Loader, rule: Text) -> None:
    files = {"a.toml": BROKEN, "b.toml": rule("b")}
    assert loader(files).fatal
    first = loader(saved={})
    assert first.fatal
    assert names(first) == ["b"]


def test_a_broken_file_keeps_its_last_good_text_and_the_others_reload(loader: Loader, rule: Text) -> None:
    saved = {"a.toml": rule("a"), "b.toml": rule("b")}
    loaded = loader({"a.toml": BROKEN, "b.toml": rule("b").replace("90", "80")}, saved=saved)
    assert names(loaded) == ["a", "b"]
    assert loaded.rules.rules["b"].tiers[0].limit == Limit(Op.ABOVE, 80.0)
    assert loaded.files["a.toml"] == saved["a.toml"]
    assert not loaded.fatal
    assert {error.split(":")[0] for error in errors(loaded)} == {"rules/a.toml"}


def test_a_broken_new_file_is_left_out_once_there_is_something_to_watch(loader: Loader, rule: Text) -> None:
    loaded = loader({"a.toml": BROKEN, "b.toml": rule("b")}, saved={"b.toml": rule("b")})
    assert names(loaded) == ["b"]
    assert errors(loaded)
    assert not loaded.fatal


def test_a_vanished_file_is_removed_at_a_start_and_kept_at_an_automatic_reload(loader: Loader, rule: Text) -> None:
    saved = {"a.toml": rule("a"), "b.toml": rule("b")}
    assert names(loader({"b.toml": rule("b")}, saved=saved)) == ["b"]
    kept = loader(saved=saved, keep_vanished=True)
    assert names(kept) == ["a", "b"]
    assert [problem.file for problem in kept.problems] == ["rules/a.toml"]
    assert errors(kept) == []


@pytest.mark.parametrize("keep_vanished", [True, False])
def test_an_emptied_folder_removes_nothing(loader: Loader, rule: Text, keep_vanished: bool) -> None:
    loaded = loader(saved={"a.toml": rule("a")}, keep_vanished=keep_vanished)
    assert names(loaded) == ["a"]
    assert len(errors(loaded)) == 1
    assert not loaded.fatal


def test_a_folder_that_is_gone_removes_nothing(loader: Loader, rule: Text, folder: Path) -> None:
    (folder / "rules").rmdir()
    loaded = loader(saved={"a.toml": rule("a")})
    assert names(loaded) == ["a"]
    assert "the folder of rules cannot be read" in errors(loaded)[0]
    assert loader().fatal


def test_a_file_that_cannot_be_read_keeps_its_rules(loader: Loader, rule: Text, folder: Path) -> None:
    (folder / "rules" / "a.toml").symlink_to(folder / "nowhere")
    loaded = loader({"b.toml": rule("b")}, saved={"a.toml": rule("a"), "b.toml": rule("b")})
    assert names(loaded) == ["a", "b"]
    assert errors(loaded) == ["rules/a.toml: cannot be read: No such file or directory"]


def test_two_files_with_the_same_rule_are_a_clash_that_names_the_first(loader: Loader, rule: Text) -> None:
    loaded = loader({"a.toml": "# one\n" + rule("x"), "b.toml": rule("x") + rule("y")})
    assert loaded.fatal
    assert errors(loaded) == ['rules/b.toml:1:2: rule "x" is already defined at rules/a.toml:2']


def test_a_clash_refuses_the_change_and_not_what_was_there(loader: Loader, rule: Text) -> None:
    saved = {"a.toml": rule("x"), "b.toml": rule("y")}
    changed = {"a.toml": rule("x"), "b.toml": rule("y") + rule("x")}
    loaded = loader(changed, saved=saved)
    assert names(loaded) == ["x", "y"]
    assert loaded.files == saved
    assert not loaded.fatal
    moved = loader({"a.toml": rule("z"), "b.toml": rule("y") + rule("x")}, saved=saved)
    assert sorted(names(moved)) == ["x", "y", "z"]


def test_a_clash_with_the_saved_text_of_a_broken_file_is_refused_too(loader: Loader, rule: Text) -> None:
    saved = {"a.toml": rule("x"), "b.toml": rule("y")}
    loaded = loader({"a.toml": BROKEN, "b.toml": rule("y") + rule("x")}, saved=saved)
    assert loaded.files == saved
    assert 'rules/b.toml:8:2: rule "x" is already defined at rules/a.toml:1' in errors(loaded)


def test_a_new_clashing_file_is_left_out(loader: Loader, rule: Text) -> None:
    saved = {"b.toml": rule("x")}
    loaded = loader({"a.toml": rule("x"), "b.toml": rule("x")}, saved=saved)
    assert loaded.files == saved
    assert not loaded.fatal


def test_what_is_broken_now_and_in_what_was_saved_refuses_the_whole(loader: Loader, rule: Text) -> None:
    loaded = loader(
        {"a.toml": BROKEN, "b.toml": rule("b")}, saved={"a.toml": "[rule.a]\nbefore = 1\n", "b.toml": rule("b")}
    )
    assert names(loaded) == ["b"]
    assert loaded.fatal
    assert any("no longer right either" in error for error in errors(loaded))


def test_broken_settings_are_fatal_and_rules_are_still_checked(loader: Loader) -> None:
    loaded = loader({"a.toml": BROKEN}, settings=SETTINGS.replace('type = "box"\n\n', "type = box\n\n"))
    assert loaded.settings is None
    assert loaded.fatal
    assert {error.split(":")[0] for error in errors(loaded)} == {"evaluator.toml", "rules/a.toml"}


def test_settings_are_looked_for_in_the_known_places(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    none = load(None, {}, plugins=PLUGINS)
    assert none.fatal
    assert errors(none) == [
        "no settings found: looked for --config, $EVALUATOR_CONFIG, ./evaluator.toml and /etc/evaluator/evaluator.toml"
    ]
    named = {"EVALUATOR_CONFIG": str(folder / "evaluator.toml")}
    assert load(None, named, plugins=PLUGINS).path == folder / "evaluator.toml"
    assert errors(load(None, {"EVALUATOR_CONFIG": "gone.toml"}, plugins=PLUGINS)) == [
        "there is no settings file gone.toml (from $EVALUATOR_CONFIG)"
    ]
    monkeypatch.chdir(folder)
    assert load(None, {}, plugins=PLUGINS).path == Path("evaluator.toml")


def test_a_rule_of_a_disabled_source_is_off_and_says_why(loader: Loader, rule: Text) -> None:
    found = loader({"a.toml": rule("a").replace('"box"', '"off"')}).rules.rules["a"]
    assert found.mode == "off"
    assert found.off_because == 'source "off" is disabled'


def test_the_shipped_settings_and_rules_are_right() -> None:
    root = Path(__file__).parents[2]
    loaded = load(root / "evaluator.toml", {})
    assert not loaded.fatal
    assert [problem.id for problem in loaded.problems] == ["service-cannot-page"]
    assert loaded.notes["infrastructure"] == "PAGERDUTY_INFRA_KEY is not set"
    keys = {f"PAGERDUTY_{name}_KEY": "a" * 31 + "1" for name in ROUTING_KEYS}
    assert load(root / "evaluator.toml", keys).problems == ()


def test_the_example_of_all_keys_is_right() -> None:
    root = Path(__file__).parents[2]
    keys = {f"PAGERDUTY_{name}_KEY": "a" * 31 + "1" for name in ROUTING_KEYS}
    loaded = load(root / "evaluator.toml", keys, only=[root / "rules.example.toml"])
    assert loaded.problems == ()
    assert len(loaded.rules) >= 8


def test_texts_take_the_place_of_the_whole_folder(loader: Loader, rule: Text, folder: Path) -> None:
    loader({"a.toml": rule("a"), "broken.toml": "[rule"})
    texts = {"b.toml": rule("b"), "sub/c.toml": rule("c")}
    loaded = load(folder / "evaluator.toml", os.environ, plugins=PLUGINS, texts=texts)
    assert (names(loaded), loaded.files, errors(loaded)) == (["b", "c"], texts, [])
    assert loaded.rules.rules["c"].file == "rules/sub/c.toml"


def test_only_the_named_files_are_read(loader: Loader, rule: Text, folder: Path) -> None:
    loader({"a.toml": rule("a"), "sub/b.toml": rule("b"), "sub/c.toml": rule("c")})
    config = folder / "evaluator.toml"
    assert names(load(config, os.environ, plugins=PLUGINS, only=[folder / "rules" / "sub"])) == ["b", "c"]
    missing = load(config, os.environ, plugins=PLUGINS, only=[folder / "rules" / "no.toml"])
    assert errors(missing) == ["rules/no.toml: cannot be read: No such file or directory"]
    assert missing.fatal
