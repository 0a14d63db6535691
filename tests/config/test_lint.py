"""What is worth a word, where it stands, and how it is ignored."""

from collections.abc import Callable

import pytest

from evaluator.config.document import read_document
from evaluator.config.lint import IDS
from evaluator.config.lint_rule import hold_of_mortal_series
from evaluator.config.load import Loaded
from evaluator.engine.rules import Limit, Op, Query, Rule, Severity, Tier

Loader = Callable[..., Loaded]
HEAD = '[rule.x]\nsource = "box"\nquery = "cpu"\nservice = "infrastructure"\n'


def warnings(loaded: Loaded) -> list[tuple[int, str]]:
    assert not loaded.fatal
    return [(problem.line, problem.id) for problem in loaded.problems]


TIERS = "tiers-out-of-order"
ORDER = [(6, TIERS)]
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
    ('severity = "P2"\nrising = { by = 1, over = "1h" }\n', [(1, "flap-prone")]),
    ('severity = "P2"\nunusual = { by = "4 mad" }\nrecover = { for = "5m" }\n', []),
    ('severity = "P2"\nabsent = true\n', []),
    ('severity = "P2"\nmissed = { cron = "0 2 * * *" }\n', []),
    ('severity = "P2"\nunit = "percent"\nat_least = 0\nrising = { by = 1, over = "1h" }\nfor = "5m"\n', []),
    (
        'severity = "P2"\nunit = "count"\nrising = { by = 1, over = "1h" }\nrecover = { below = 0 }\n',
        [(8, "never-recovers")],
    ),
    ('for = "5m"\nP2 = { rising = { by = 1, over = "1h" } }\nP3 = { rising = { by = 2, over = "1h" } }\n', ORDER),
    ('for = "5m"\nP2 = { rising = { by = 2, over = "1h" } }\nP3 = { rising = { by = 1, over = "1h" } }\n', []),
    ('for = "5m"\nP2 = { rising = { by = 1, over = "1h" } }\nP3 = { rising = { by = "2%", over = "1h" } }\n', []),
    ('for = "5m"\nP2 = { rising = { by = 1, over = "1h" } }\nP3 = { falling = { by = 2, over = "1h" } }\n', []),
    (
        'for = "5m"\nP2 = { unusual = { by = "4 mad" } }\nP3 = { unusual = { by = "5 mad", direction = "low" } }\n',
        ORDER,
    ),
    ('for = "5m"\nP2 = { unusual = { by = "4 mad", direction = "low" } }\nP3 = { unusual = { by = "5 mad" } }\n', []),
    ('for = "5m"\nP2 = { above = 5 }\nP3 = { above = 5, rising = { by = 1, over = "1h" } }\n', ORDER),
    ('for = "5m"\nP2 = { above = 5 }\nP3 = { above = 4, rising = { by = 1, over = "1h" } }\n', []),
    ('for = "5m"\nP2 = { above = 5 }\nP3 = { rising = { by = 1, over = "1h" } }\n', []),
    ('for = "5m"\nP2 = { above = 5 }\nP3 = { below = 5 }\n', []),
    ('for = "5m"\nP2 = { outside = [1, 2] }\nP3 = { outside = [0, 3] }\n', []),
    (
        'P2 = { missed = { cron = "0 2 * * *" } }\nP3 = { missed = { cron = "0 2 * * *", grace = "1h" } }\n',
        [(5, TIERS)],
    ),
    ('P2 = { missed = { cron = "0 2 * * *", grace = "1h" } }\nP3 = { missed = { cron = "0 2 * * *" } }\n', []),
    ('P2 = { missed = { cron = "0 3 * * *" } }\nP3 = { missed = { cron = "0 2 * * *" } }\n', []),
    ('absent = true\nP2 = { for = "1h" }\nP3 = { for = "5m" }\n', []),
    ('absent = true\nP2 = { for = "5m" }\nP3 = { for = "1h" }\n', [(6, TIERS)]),
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


MORTAL = [
    ("query = 'sum by (pod, le) (rate(errors[5m]))'", True),
    ("query = 'sum by (le) (rate(errors[5m]))'", False),
    ("query = 'max by(TaskId)(load)'", True),
    ('query = "cpu"\ngroup_by = ["container_id"]', True),
    ('query = "cpu"\ngroup_by = ["host"]', False),
    ('query = { measure = "cpu", mount = ["/", "pod"] }', False),
    ('query = { measure = "cpu", mount = ["sum by (pod) (x)"] }', True),
    ("query = 'sum by (pod) (x)'\nno_data = \"hold\"", False),
    ("query = 'sum by (pod) (x)'\nno_data = { resolve_after = \"1h\" }", False),
]


@pytest.mark.parametrize(("text", "warned"), MORTAL)
def test_series_that_come_and_go_keep_incidents_open(loader: Loader, text: str, warned: bool) -> None:
    head = HEAD.replace('query = "cpu"\n', "") + 'severity = "P2"\nabove = 1\nfor = "5m"\n'
    found = warnings(loader({"x.toml": f"{head}{text}\n"}))
    assert found == [(7, "hold-of-mortal-series")] * warned
    absent = head.replace("above = 1", "absent = true")
    assert "no_data" in text or warnings(loader({"x.toml": f"{absent}{text}\n"})) == []


def test_what_the_defaults_say_of_missing_series_is_said(loader: Loader) -> None:
    text = HEAD.replace('"cpu"', '"sum by (pod) (x)"') + 'severity = "P2"\nabove = 1\nfor = "5m"\n'
    assert len(warnings(loader({"x.toml": text}))) == 1
    assert warnings(loader({"x.toml": f'[defaults]\nno_data = "hold"\n{text}'})) == []


def test_the_patterns_of_a_query_name_the_series_that_come_and_go() -> None:
    spec = '{"dimensions": {"ClusterName": "shop", "TaskId": "*", "InstanceId": "*"}, "metric": "cpu"}'
    limit = Tier(Severity.P2, Limit(Op.ABOVE, 1.0), for_=300.0)
    document = read_document("a.toml", b"")
    found = hold_of_mortal_series(Rule("x", Query("aws", spec), (limit,)), document, ("rule", "x"))
    assert [message for _, message, _ in found] == [
        'rule "x" keeps the incident of a TaskId open that is gone for good'
    ]
    spec = spec.replace("TaskId", "QueueName")
    assert list(hold_of_mortal_series(Rule("x", Query("aws", spec), (limit,)), document, ("rule", "x"))) == []


SILENT = [("shadow", True), ("off", True), ("page", False)]


@pytest.mark.parametrize(("mode", "warned"), SILENT)
def test_a_rule_that_tells_nobody_inhibits_nobody(loader: Loader, mode: str, warned: bool) -> None:
    right = 'severity = "P2"\nabove = 1\nfor = "5m"\n'
    parent = HEAD.replace("rule.x", "rule.p") + f'mode = "{mode}"\n{right}'
    child = HEAD + right + 'inhibited_by = ["p"]\n'
    assert warnings(loader({"p.toml": parent, "x.toml": child})) == [(8, "inhibited-by-silent")] * warned
    assert warnings(loader({"x.toml": child.replace("query", 'mode = "shadow"\nquery')})) == []
    defaults = HEAD.replace("[rule.x]", '[defaults]\ninhibited_by = ["p"]\n[rule.x]') + right
    assert warnings(loader({"x.toml": defaults})) == [(2, "inhibited-by-silent")] * warned


def test_a_rule_whose_source_is_off_may_inhibit_once_it_is_on(loader: Loader) -> None:
    right = 'severity = "P2"\nabove = 1\nfor = "5m"\n'
    parent = HEAD.replace("rule.x", "rule.p").replace('"box"', '"off"') + right
    assert warnings(loader({"p.toml": parent, "x.toml": HEAD + right + 'inhibited_by = ["p"]\n'})) == []
