"""Reading grows with what is written, and not with its square: a reload of many rules must not hold up judging."""

import time
from pathlib import Path

from evaluator.config.document import read_document
from evaluator.config.load import load

SETTINGS = '[sources.host]\ntype = "host"\n\n[services.ops]\n'
RULE = '[rule.cpu-{}]\nseverity = "P2"\nsource = "host"\nservice = "ops"\nquery = {{ measure = "cpu" }}\nabove = 90\n\n'


def seconds_to_load(folder: Path, rules: int) -> float:
    (folder / "rules").mkdir(parents=True)
    (folder / "evaluator.toml").write_text(SETTINGS)
    (folder / "rules" / "many.toml").write_text("".join(RULE.format(number) for number in range(rules)))
    started = time.process_time()
    loaded = load(folder / "evaluator.toml", {}, {})
    assert sum(not rule.built_in for rule in loaded.rules) == rules
    return time.process_time() - started


def test_eight_times_the_rules_take_about_eight_times_as_long(tmp_path: Path) -> None:
    few = min(seconds_to_load(tmp_path / str(number), 250) for number in range(3))
    many = min(seconds_to_load(tmp_path / str(number), 2000) for number in range(3, 5))
    assert many < 24 * few, f"{few:.3f} s, then {many:.3f} s"


def test_tables_have_the_lines_of_their_headers() -> None:
    document = read_document("rules.toml", b"[rule.a]\nabove = 1\n\n[rule.b]\nabove = 2\n[rule.b.P0]\nabove = 3\n")
    assert document.regions(("rule", "a")) == [(1, 3)]
    assert document.regions(("rule", "b")) == [(4, 5), (6, 8)]
    assert document.regions(("rule",)) == [(1, 3), (4, 5), (6, 8)]
    assert document.regions(("rule", "c")) == []


def test_a_table_without_a_header_has_its_own_line() -> None:
    document = read_document("rules.toml", b"rule.a = { above = 1 }\n")
    assert document.regions(("rule", "a")) == [(1, 1)]
