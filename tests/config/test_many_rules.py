"""Reading grows with what is written, and not with its square: a reload of many rules must not hold up judging."""

import time
from pathlib import Path

from evaluator.config.document import read_document
from evaluator.config.load import load

SETTINGS = '[sources.host]\ntype = "host"\n\n[services.ops]\n'
RULE = '[rule.cpu-{}]\nseverity = "P2"\nsource = "host"\nservice = "ops"\nquery = {{ measure = "cpu" }}\nabove = 90\n\n'


CHAIN = 'inhibited_by = ["cpu-{}", "source-down"]\n\n'
WINDOW = '[window.w{}]\nrules = ["cpu-{}*"]\nwhen = {{ cron = "0 2 * * *", for = "1h" }}\n\n'


def seconds_to_load(folder: Path, rules: int, *, chained: bool = False) -> float:
    (folder / "rules").mkdir(parents=True)
    (folder / "evaluator.toml").write_text(SETTINGS)
    texts = [RULE.format(number) + (CHAIN.format(number - 1) if chained and number else "") for number in range(rules)]
    (folder / "rules" / "many.toml").write_text("".join(texts))
    started = time.process_time()
    loaded = load(folder / "evaluator.toml", {}, {})
    assert sum(not rule.built_in for rule in loaded.rules) == rules
    return time.process_time() - started


def test_eight_times_the_rules_take_about_eight_times_as_long(tmp_path: Path) -> None:
    few = min(seconds_to_load(tmp_path / str(number), 250) for number in range(3))
    many = min(seconds_to_load(tmp_path / str(number), 2000) for number in range(3, 5))
    assert many < 24 * few, f"{few:.3f} s, then {many:.3f} s"


def test_a_chain_of_inhibitors_is_followed_once(tmp_path: Path) -> None:
    few = min(seconds_to_load(tmp_path / str(number), 250, chained=True) for number in range(3))
    many = min(seconds_to_load(tmp_path / str(number), 2000, chained=True) for number in range(3, 5))
    assert many < 24 * few, f"{few:.3f} s, then {many:.3f} s"


def test_a_hundred_windows_are_held_beside_each_other_in_a_moment(tmp_path: Path) -> None:
    without = seconds_to_load(tmp_path / "without", 1000)
    windows = "".join(WINDOW.format(number, number) for number in range(10, 110))
    (tmp_path / "without" / "rules" / "windows.toml").write_text(windows)
    started = time.process_time()
    loaded = load(tmp_path / "without" / "evaluator.toml", {}, {})
    assert len(loaded.rules.windows) == 100
    assert {problem.id for problem in loaded.problems if "window" in problem.message} == {"windows-overlap"}
    assert time.process_time() - started < 2 * without + 5


def test_tables_have_the_lines_of_their_headers() -> None:
    document = read_document("rules.toml", b"[rule.a]\nabove = 1\n\n[rule.b]\nabove = 2\n[rule.b.P0]\nabove = 3\n")
    assert document.regions(("rule", "a")) == [(1, 3)]
    assert document.regions(("rule", "b")) == [(4, 5), (6, 8)]
    assert document.regions(("rule",)) == [(1, 3), (4, 5), (6, 8)]
    assert document.regions(("rule", "c")) == []


def test_a_table_without_a_header_has_its_own_line() -> None:
    document = read_document("rules.toml", b"rule.a = { above = 1 }\n")
    assert document.regions(("rule", "a")) == [(1, 1)]
