"""What is worth a word, where it stands, and how it is ignored."""

from collections.abc import Callable

import pytest

from evaluator.config.lint import IDS
from evaluator.config.load import Loaded

Loader = Callable[..., Loaded]
HEAD = '[rule.x]\nsource = "box"\nquery = "cpu"\nservice = "infrastructure"\n'


def warnings(loaded: Loaded) -> list[tuple[int, str]]:
    assert not loaded.fatal
    return [(problem.line, problem.id) for problem in loaded.problems]


CASES = [
    ('severity = "P2"\nabove = 1\n', [(1, "flap-prone")]),
    ('severity = "P2"\nequals = 1\n', []),
    ('severity = "P2"\nabove = 1\nrecover = { margin = 0.5 }\n', []),
    ('severity = "P2"\nabove = 1\ndatapoints = "2 of 3"\n', []),
    ('severity = "P1"\nabove = 1\nfor = "5m"\n', [(1, "no-runbook")]),
    ('severity = "P1"\nabove = 1\nfor = "5m"\ndescription = "d"\n', []),
    ('severity = "P2"\nabove = 1\nevery = "1m"\nfor = "30s"\n', [(8, "for-shorter-than-every")]),
    ('severity = "P2"\nunit = "percent"\nat_least = 0\nfor = "5m"\n', [(7, "never-recovers")]),
    ('severity = "P2"\nunit = "count"\nabove = 5\nrecover = { margin = 10 }\n', [(8, "never-recovers")]),
    ('severity = "P2"\nabove = 5\nrecover = { margin = 10 }\n', []),
    ('for = "5m"\nP2 = { above = 2 }\nP3 = { above = 3 }\n', [(6, "tiers-out-of-order")]),
    ('for = "5m"\nP2 = { below = 2 }\nP3 = { below = 1 }\n', [(6, "tiers-out-of-order")]),
    ('above = 5\nP2 = { for = "10m" }\nP3 = { for = "5m" }\n', []),
    ('severity = "P1"\nabove = 1\nmode = "shadow"\n', []),
    ('severity = "P2" # lint: ignore[flap-prone]\nabove = 1\n', []),
    ('severity = "P2" # lint: ignore[flop-prone]\nabove = 1\n', [(1, "flap-prone"), (5, "")]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_warnings(loader: Loader, text: str, expected: list[tuple[int, str]]) -> None:
    assert warnings(loader({"x.toml": HEAD + text})) == expected


def test_a_comment_at_the_top_ignores_for_the_whole_file(loader: Loader) -> None:
    text = "# lint: ignore[flap-prone]\n" + HEAD + 'severity = "P2"\nabove = 1\n'
    assert warnings(loader({"x.toml": text})) == []


def test_a_comment_in_another_rule_ignores_nothing_here(loader: Loader) -> None:
    other = HEAD.replace("rule.x", "rule.y") + 'severity = "P2"\nabove = 1\nfor = "5m" # lint: ignore[flap-prone]\n'
    assert warnings(loader({"x.toml": other + HEAD + 'severity = "P2"\nabove = 1\n'})) == [(8, "flap-prone")]


def test_the_settings_ignore_for_all_files(loader: Loader) -> None:
    settings = (
        '[lint]\nignore = ["flap-prone", "no-heartbeat"]\n[sources.box]\ntype = "box"\n[services.infrastructure]\n'
    )
    text = HEAD + 'severity = "P2"\nabove = 1\n'
    assert warnings(loader({"x.toml": text}, settings=settings)) == [(5, "service-cannot-page")]


def test_every_case_is_an_id_with_a_page() -> None:
    assert {name for _, found in CASES for _, name in found if name} < IDS
