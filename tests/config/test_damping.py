"""What holds a rule back: its hours, its gate, other rules, flapping and storms."""

from collections.abc import Callable

import pytest

from evaluator.config.load import Loaded
from evaluator.engine.calendar import ActiveHours
from evaluator.engine.damping import Flapping, Storm
from evaluator.engine.rules import Limit, Mode, OnlyIf, Op, Query, Rule

Loader = Callable[..., Loaded]
SETTINGS = """\
timezone = "Europe/Vienna"

[sources.box]
type = "box"

[sources.other]
type = "box"

[sources.off]
type = "box"
enabled = false
"""
HEAD = '[rule.{}]\nsource = "box"\nquery = "cpu"\nseverity = "P2"\nabove = 5\n'
WEEK = frozenset(range(7))


@pytest.fixture
def reads(loader: Loader) -> Callable[..., Rule]:
    def one_rule(text: str = "", defaults: str = "") -> Rule:
        loaded = loader({"a.toml": f"[defaults]\n{defaults}\n{HEAD.format('x')}{text}\n"}, settings=SETTINGS)
        assert [problem.headline for problem in loaded.problems if problem.error] == []
        return loaded.rules.rules["x"]

    return one_rule


@pytest.mark.parametrize(
    ("written", "days", "start", "end", "timezone"),
    [
        ("Mon-Fri 08:00-20:00 America/New_York", {0, 1, 2, 3, 4}, 480, 1200, "America/New_York"),
        ("Sat,Sun 22:00-06:00", {5, 6}, 1320, 360, "Europe/Vienna"),
        ("Fri-Mon 00:00-24:00", {4, 5, 6, 0}, 0, 1440, "Europe/Vienna"),
        ("mon, wed-thu , SUN 09:30 - 10:00 UTC", {0, 2, 3, 6}, 570, 600, "UTC"),
        ("07:00-07:01", WEEK, 420, 421, "Europe/Vienna"),
        ("Tue-Tue 07:00-08:00", {1}, 420, 480, "Europe/Vienna"),
    ],
)
def test_hours_of_the_week(
    reads: Callable[..., Rule], written: str, days: set[int], start: int, end: int, timezone: str
) -> None:
    assert reads(f'active = "{written}"').active == (ActiveHours(written, frozenset(days), start, end, timezone),)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("weekdays 08:00-20:00", 'did you mean "Mon-Fri"?'),
        ("Weekend 08:00-20:00", 'did you mean "Sat,Sun"?'),
        ("daily 08:00-20:00", 'did you mean "Mon-Sun"?'),
        ("Mon-Fri 08:00-20:00, Sat 10:00-12:00", 'write a list: ["Mon-Fri 08:00-20:00", "Sat 10:00-12:00"]'),
    ],
)
def test_what_people_call_their_hours_is_told_as_it_is_written(loader: Loader, written: str, hint: str) -> None:
    loaded = loader({"a.toml": f'{HEAD.format("x")}active = "{written}"\n'}, settings=SETTINGS)
    assert [problem.hint for problem in loaded.problems if problem.error] == [hint]


def test_several_hours_are_a_list_and_those_of_a_rule_take_the_place_of_the_files(reads: Callable[..., Rule]) -> None:
    defaults = 'active = ["08:00-09:00", "10:00-11:00 UTC"]'
    assert [each.text for each in reads(defaults=defaults).active] == ["08:00-09:00", "10:00-11:00 UTC"]
    assert [each.text for each in reads('active = "00:00-24:00"', defaults).active] == ["00:00-24:00"]
    assert reads().active == ()


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ("", "", Flapping()),
        ("flapping = false", "", None),
        ("", "flapping = false", None),
        ("flapping = { opens = 5 }", "flapping = false", Flapping(opens=5)),
        ('flapping = { hold = "1h" }', "flapping = { opens = 5 }", Flapping(opens=5, hold=3600.0)),
        ("flapping = false", "flapping = { opens = 5 }", None),
        ('flapping = { within = "1d" }', "", Flapping(within=86_400.0)),
    ],
)
def test_a_part_of_flapping_inherits_the_rest(
    reads: Callable[..., Rule], own: str, defaults: str, expected: Flapping | None
) -> None:
    assert reads(own, defaults).flapping == expected


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ("", "", Storm()),
        ("storm = false", "storm = { opens = 5 }", None),
        ("storm = { opens = 2 }", "storm = false", Storm(opens=2)),
        ('storm = { within = "5m" }', "storm = { opens = 5 }", Storm(5, 300.0)),
    ],
)
def test_a_part_of_a_storm_inherits_the_rest(
    reads: Callable[..., Rule], own: str, defaults: str, expected: Storm | None
) -> None:
    assert reads(own, defaults).storm == expected


def test_a_gate_asks_the_source_of_its_rule_or_one_of_its_own(reads: Callable[..., Rule]) -> None:
    rule = reads('only_if = { query = "load", above = 50 }')
    assert rule.only_if == OnlyIf(Query("box", '{"measure": "load"}'), Limit(Op.ABOVE, 50.0))
    table = '{ measure = "load", period = 300 }'
    rule = reads(f'only_if = {{ source = "other", query = {table}, unit = "ratio", at_least = "5%" }}')
    asked = Query("other", '{"measure": "load", "period": 300.0}', 300.0)
    assert rule.only_if == OnlyIf(asked, Limit(Op.AT_LEAST, 0.05), "ratio")
    assert rule.every == 30.0, "the gate does not slow its rule down"


def test_a_rule_whose_gate_cannot_be_asked_is_off_and_says_why(reads: Callable[..., Rule]) -> None:
    rule = reads('only_if = { source = "off", query = "load", above = 50 }')
    assert (rule.mode, rule.off_because) == (Mode.OFF, 'source "off" of its only_if is disabled')
    rule = reads('mode = "off"\nonly_if = { source = "off", query = "load", above = 50 }')
    assert (rule.mode, rule.off_because) == (Mode.OFF, "")


@pytest.fixture
def told(loader: Loader) -> Callable[..., list[str]]:
    def errors(files: dict[str, str], saved: dict[str, str] | None = None) -> list[str]:
        loaded = loader(files, settings=SETTINGS, saved=saved)
        return [problem.headline for problem in loaded.problems if problem.error]

    return errors


def inhibited(name: str, *by: str) -> str:
    return HEAD.format(name) + f"inhibited_by = {list(by)}\n"


def test_each_rule_is_named_once_and_the_defaults_make_no_rule_inhibit_itself(loader: Loader) -> None:
    text = '[defaults]\ninhibited_by = ["a", "source-down", "a"]\n' + HEAD.format("a") + HEAD.format("b")
    loaded = loader({"a.toml": text + HEAD.format("c") + "inhibited_by = []\n"}, settings=SETTINGS)
    assert [problem.headline for problem in loaded.problems if problem.error] == []
    found = {rule.name: rule.inhibited_by for rule in loaded.rules if not rule.built_in}
    assert found == {"a": ("source-down",), "b": ("a", "source-down"), "c": ()}


def test_a_rule_of_another_file_may_inhibit(told: Callable[..., list[str]]) -> None:
    assert told({"a.toml": inhibited("a", "b"), "b.toml": HEAD.format("b")}) == []


def test_a_circle_through_files_is_told_at_each_of_its_rules(told: Callable[..., list[str]]) -> None:
    files = {"a.toml": inhibited("a", "b"), "b.toml": inhibited("b", "c") + inhibited("c", "a") + inhibited("d", "a")}
    assert [error.split(": ", 1) for error in told(files)] == [
        ["rules/a.toml:6:17", 'rule "a" is inhibited in a circle: a by b by c by a'],
        ["rules/b.toml:6:17", 'rule "b" is inhibited in a circle: b by c by a by b'],
        ["rules/b.toml:12:17", 'rule "c" is inhibited in a circle: c by a by b by c'],
    ]


def test_a_long_circle_is_not_named_whole(told: Callable[..., list[str]]) -> None:
    files = {"a.toml": "".join(inhibited(f"r{number}", f"r{(number + 1) % 40}") for number in range(40))}
    errors = told(files)
    assert len(errors) == 40
    assert errors[0].endswith("r0 by r1 by r2 by r3 by r4 by r5 by ... by r0")


def test_the_change_that_closes_a_circle_is_refused(loader: Loader) -> None:
    saved = {"a.toml": inhibited("a", "b"), "b.toml": HEAD.format("b"), "c.toml": HEAD.format("c")}
    edited = {**saved, "b.toml": inhibited("b", "a"), "c.toml": inhibited("c", "a")}
    loaded = loader(edited, settings=SETTINGS, saved=saved)
    assert not loaded.fatal
    assert loaded.files == {**saved, "c.toml": edited["c.toml"]}
    assert [problem.file for problem in loaded.problems if problem.error] == ["rules/a.toml", "rules/b.toml"]


def test_an_edit_that_names_no_rule_is_refused(loader: Loader) -> None:
    saved = {"a.toml": HEAD.format("a"), "b.toml": HEAD.format("b")}
    loaded = loader({**saved, "a.toml": inhibited("a", "bb")}, settings=SETTINGS, saved=saved)
    assert not loaded.fatal
    assert loaded.files == saved


def test_an_edit_that_takes_an_inhibitor_away_is_refused(loader: Loader) -> None:
    saved = {"a.toml": inhibited("a", "b"), "b.toml": HEAD.format("b") + HEAD.format("c")}
    both = {"a.toml": saved["a.toml"] + "# edited\n", "b.toml": HEAD.format("c")}
    for edited in ({**saved, "b.toml": HEAD.format("c")}, both):
        loaded = loader(edited, settings=SETTINGS, saved=saved)
        assert not loaded.fatal
        assert loaded.files == saved
        assert {problem.file for problem in loaded.problems if problem.error} == {"rules/a.toml"}


def test_a_rule_goes_on_when_the_file_of_its_inhibitor_is_gone(loader: Loader) -> None:
    saved = {"a.toml": inhibited("a", "b"), "b.toml": HEAD.format("b")}
    loaded = loader({"a.toml": saved["a.toml"]}, settings=SETTINGS, saved=saved)
    assert not loaded.fatal
    assert loaded.rules.rules["a"].inhibited_by == ("b",)
    (error,) = [problem for problem in loaded.problems if problem.error]
    assert error.message == 'rule "a" is inhibited by "b", and there is no such rule'


def test_a_rule_in_a_broken_file_is_known_all_the_same(told: Callable[..., list[str]]) -> None:
    broken = HEAD.format("b") + "abvoe = 3\n"
    (error,) = told({"a.toml": inhibited("a", "b"), "b.toml": broken})
    assert "`abvoe`" in error
    errors = told({"a.toml": inhibited("a", "b"), "b.toml": '[rule.\nsource = "box"\n'})
    assert all(error.startswith("rules/b.toml") for error in errors), "its name may be what cannot be read"


def test_a_rule_that_is_not_among_the_files_to_check_is_looked_up(loader: Loader) -> None:
    from evaluator.config.load import load
    from tests.config.conftest import PLUGINS

    loaded = loader({"a.toml": inhibited("a", "b"), "b.toml": HEAD.format("b")}, settings=SETTINGS)
    place = loaded.path
    one = load(place, {}, plugins=PLUGINS, only=(place.parent / "rules" / "a.toml",))
    assert [problem.headline for problem in one.problems if problem.error] == []
    loader({"b.toml": None})
    one = load(place, {}, plugins=PLUGINS, only=(place.parent / "rules" / "a.toml",))
    assert len([problem for problem in one.problems if problem.error]) == 1


def test_the_name_of_storms_is_taken(told: Callable[..., list[str]]) -> None:
    (error,) = told({"a.toml": HEAD.format("storm")})
    assert error == 'rules/a.toml:1:2: the name "storm" is taken by evaluator itself'
