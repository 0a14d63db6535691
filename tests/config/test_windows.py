"""Maintenance windows: how they are read, and what is worth a word about them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from evaluator.config.load import Loaded, load
from evaluator.engine.maintenance import Recurring, Selector, Window
from tests.config.conftest import PLUGINS

Loader = Callable[..., Loaded]
SETTINGS = """\
timezone = "America/New_York"

[sources.box]
type = "box"

[heartbeat]
url = "https://hc.example.com/abc"
"""
RULES = "".join(
    f'[rule.{name}]\nsource = "box"\nquery = "cpu"\nseverity = "P2"\nabove = 5\nfor = "5m"\n'
    for name in ("a1", "a2", "b")
)
FIXED = '[window.{}]\nfrom = "2026-12-{:02} 02:00"\nuntil = "2026-12-{:02} 02:00"\n'
AGAIN = '[window.{}]\nwhen = {{ cron = "{}", for = "{}" }}\n'


def at(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # Year, month, day, ...


@pytest.fixture
def reads(loader: Loader) -> Callable[..., Window]:
    def one_window(text: str) -> Window:
        loaded = loader({"a.toml": f"{RULES}[window.w]\n{text}\n"}, settings=SETTINGS)
        assert [problem.headline for problem in loaded.problems] == []
        return loaded.rules.windows["w"]

    return one_window


@pytest.fixture
def warns(loader: Loader) -> Callable[..., list[tuple[str, str]]]:
    def warnings(text: str, now: tuple[int, ...] = (2026, 11, 1)) -> list[tuple[str, str]]:
        place = loader({"a.toml": RULES + text}, settings=SETTINGS).path
        loaded = load(place, {}, plugins=PLUGINS, now=at(*now))
        assert [problem.headline for problem in loaded.problems if problem.error] == []
        return [(problem.id, f"{problem.message} | {problem.hint}") for problem in loaded.problems]

    return warnings


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ("2026-12-01T02:00:00Z", at(2026, 12, 1, 2)),
        ("2026-12-01T02:00:00+01:00", at(2026, 12, 1, 1)),
        ('"2026-12-01 02:00 UTC"', at(2026, 12, 1, 2)),
        ("2026-12-01T02:00:00", at(2026, 12, 1, 7)),
        ("2026-12-01 02:00:00", at(2026, 12, 1, 7)),
        ('"2026-12-01 02:00"', at(2026, 12, 1, 7)),
        ('" 2026-07-01T02:00 "', at(2026, 7, 1, 6)),
        ('"2026-12-01T02:00:30.5Z"', at(2026, 12, 1, 2) + 30.5),
    ],
)
def test_a_time_without_an_offset_is_in_the_time_zone_of_the_settings(
    reads: Callable[..., Window], written: str, start: float
) -> None:
    window = reads(f"from = {written}\nuntil = 2027-01-01T00:00:00Z")
    assert (window.start, window.end, window.when) == (start, at(2027, 1, 1), None)


def test_a_window_says_all_that_it_knows(reads: Callable[..., Window]) -> None:
    window = reads(
        'rules = ["a*", "b"]\nexcept = ["a2"]\nseries = { host = "web-*" }\nreason = "disk swap"\n'
        'when = { cron = "0 2 * * SUN", for = "2h" }'
    )
    assert window.selector == Selector(("a*", "b"), ("a2",), {"host": "web-*"})
    assert window.when == Recurring("0 2 * * SUN", "America/New_York", 7200.0)
    assert (window.name, window.reason, window.file, window.line) == ("w", "disk swap", "rules/a.toml", 19)


def test_without_rules_it_selects_all_of_them(reads: Callable[..., Window]) -> None:
    window = reads('when = { cron = "0 2 * * SUN", for = "2h", timezone = "UTC" }')
    assert window.selector == Selector()
    assert window.when == Recurring("0 2 * * SUN", "UTC", 7200.0)


def test_two_files_cannot_define_one_window(loader: Loader) -> None:
    text = FIXED.format("w", 1, 2)
    loaded = loader({"a.toml": text, "b.toml": text + RULES}, settings=SETTINGS)
    (error,) = [problem for problem in loaded.problems if problem.error]
    assert error.headline == 'rules/b.toml:1:2: window "w" is already defined at rules/a.toml:1'
    assert loaded.fatal


def test_a_rule_and_a_window_may_have_one_name(loader: Loader) -> None:
    loaded = loader({"a.toml": RULES + FIXED.format("b", 1, 2)}, settings=SETTINGS)
    assert [problem.headline for problem in loaded.problems] == []


def test_a_window_that_is_long_over_is_worth_a_word(warns: Callable[..., list[tuple[str, str]]]) -> None:
    text = FIXED.format("w", 1, 2) + 'rules = ["gone"]\n' + FIXED.format("v", 1, 2)
    over, gone = "window-over", "window-without-rules"
    assert [name for name, _ in warns(text)] == [gone]
    assert [name for name, _ in warns(text, (2026, 12, 9, 7))] == [over, over]
    assert [name for name, _ in warns(text, (2026, 12, 9, 6))] == [gone]
    assert warns(text, (2026, 12, 12, 7))[0][1].startswith('window "w" has been over for 10d')


def test_nobody_is_told_of_the_past_where_nobody_said_what_time_it_is(loader: Loader) -> None:
    text = RULES + '[window.w]\nfrom = "2001-12-01 02:00"\nuntil = "2001-12-02 02:00"\n'
    assert loader({"a.toml": text}, settings=SETTINGS).problems == ()


def test_a_pattern_that_means_no_rule_is_worth_a_word(warns: Callable[..., list[tuple[str, str]]]) -> None:
    found = warns(FIXED.format("w", 1, 2) + 'rules = ["a*", "source-*", "bb", "A*"]\nexcept = ["*x", "*"]\n')
    assert [name for name, _ in found] == ["window-without-rules"] * 3
    assert found[0][1] == 'no rule of window "w" is meant by "bb" | did you mean "b"?'
    assert '"A*"' in found[1][1]
    assert '"*x"' in found[2][1]
    (alone,) = warns(FIXED.format("w", 1, 2) + 'rules = ["a*"]\nexcept = ["a?"]\n')
    assert alone[1].startswith('window "w" selects no rule')


OVERLAPS = [
    (FIXED.format("w", 1, 3) + FIXED.format("v", 2, 4), "2026-12-01 02:00 EST to 2026-12-04 02:00 EST"),
    (FIXED.format("w", 1, 3) + FIXED.format("v", 3, 4), ""),
    (FIXED.format("w", 1, 3) + 'rules = ["a*"]\n' + FIXED.format("v", 2, 4) + 'rules = ["b"]\n', ""),
    (FIXED.format("w", 1, 3) + 'rules = ["a*"]\n' + FIXED.format("v", 2, 4) + 'rules = ["*2"]\n', "2026-12-01"),
    (FIXED.format("w", 1, 3) + 'series = { x = "1" }\n' + FIXED.format("v", 2, 4) + 'series = { x = "2" }\n', ""),
    (FIXED.format("w", 1, 3) + 'series = { x = "1*" }\n' + FIXED.format("v", 2, 4) + 'series = { x = "2" }\n', ""),
    (FIXED.format("w", 1, 3) + 'series = { x = "1" }\n' + FIXED.format("v", 2, 4) + 'series = { x = "?" }\n', "2026"),
    (FIXED.format("w", 1, 3) + 'series = { x = "1*" }\n' + FIXED.format("v", 2, 4) + 'series = { x = "*2" }\n', "2026"),
    (FIXED.format("w", 1, 3) + 'series = { x = "1" }\n' + FIXED.format("v", 2, 4) + 'series = { y = "2" }\n', "2026"),
    (FIXED.format("w", 1, 3) + AGAIN.format("v", "0 1 3 * *", "2h"), "2026-12-01 02:00 EST to 2026-12-03 03:00 EST"),
    (FIXED.format("w", 1, 3) + AGAIN.format("v", "0 2 3 * *", "2h"), ""),
    (FIXED.format("w", 1, 3) + AGAIN.format("v", "0 0 1 * *", "2h"), ""),
    (AGAIN.format("v", "0 0 1 * *", "3h") + FIXED.format("w", 1, 3), "2026-12-01 00:00 EST"),
    (AGAIN.format("w", "0 2 * * *", "1h") + AGAIN.format("v", "0 3 * * *", "1h"), ""),
    (AGAIN.format("w", "30 2 * * *", "1h") + AGAIN.format("v", "30 3 * * *", "1h"), ""),
    (AGAIN.format("w", "0 2 * * *", "61m") + AGAIN.format("v", "0 3 * * *", "1h"), "America/New_York, and so again"),
    (AGAIN.format("w", "0 2 * * SUN", "2h") + AGAIN.format("v", "0 3 1 * *", "1h"), "and so again"),
]


@pytest.mark.parametrize(("text", "said"), OVERLAPS)
def test_windows_that_overlap_join(warns: Callable[..., list[tuple[str, str]]], text: str, said: str) -> None:
    found = warns(text)
    assert [name for name, _ in found] == ["windows-overlap"] * bool(said)
    assert all("(rules/a.toml:19): they join" in words and said in words for _, words in found)


def test_places_that_change_their_clocks_on_other_days_are_told_apart(
    warns: Callable[..., list[tuple[str, str]]],
) -> None:
    here = AGAIN.format("w", "0 2 * * *", "1h")
    there = '[window.v]\nwhen = { cron = "0 8 * * *", for = "1h", timezone = "Europe/Vienna" }\n'
    (found,) = warns(here + there)
    assert "EST" in found[1] or "EDT" in found[1]
    assert warns(here + there.replace("0 8", "0 12")) == []


def test_a_comment_in_a_window_ignores(warns: Callable[..., list[tuple[str, str]]]) -> None:
    text = FIXED.format("w", 1, 3) + FIXED.format("v", 2, 4)
    assert warns(text + "# lint: ignore[windows-overlap]\n") == []
    assert len(warns("# lint: ignore[windows-overlap]\n" + text)) == 1, "that comment is part of a rule"
