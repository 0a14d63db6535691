"""Conditions that look at more than one value: how they are read, inherited, and what they may stand beside."""

from collections.abc import Callable

import pytest

from evaluator.config.load import Loaded
from evaluator.config.times import longest_gap
from evaluator.engine.rules import Limit, NoData, NoDataPolicy, Op, Recover, Rule, Tier
from evaluator.engine.shapes import Comparison, Direction, Missed, Trend, Unusual, Way
from evaluator.engine.units import TIME

Loader = Callable[..., Loaded]
SETTINGS = """\
timezone = "Europe/Vienna"

[sources.box]
type = "box"
"""
HEAD = '[rule.x]\nsource = "box"\nquery = "cpu"\n'
DAY = 86_400.0


@pytest.fixture
def reads(loader: Loader) -> Callable[..., Rule]:
    def one_rule(text: str, defaults: str = "") -> Rule:
        loaded = loader({"a.toml": f"[defaults]\n{defaults}\n{HEAD}{text}\n"}, settings=SETTINGS)
        assert [problem.headline for problem in loaded.problems if problem.error] == []
        return loaded.rules.rules["x"]

    return one_rule


@pytest.fixture
def errors(loader: Loader) -> Callable[..., list[str]]:
    def wrong(text: str, head: str = HEAD) -> list[str]:
        loaded = loader({"a.toml": f"{head}{text}\n"}, settings=SETTINGS)
        return [f"{problem.message} | {problem.hint}" for problem in loaded.problems if problem.error]

    return wrong


def tier(rule: Rule, place: int = 0) -> Tier:
    return rule.tiers[place]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('rising = { by = "50%", over = "15m" }', Trend(Way.RISING, 0.5, share=True, over=900.0)),
        ('falling = { by = 12, over = "1h" }', Trend(Way.FALLING, 12.0, share=False, over=3600.0)),
        ('unit = "percent"\nrising = { by = "5%", over = "1h" }', Trend(Way.RISING, 0.05, share=True, over=3600.0)),
        ('unit = "bytes"\nrising = { by = "2GB", over = "1d" }', Trend(Way.RISING, 2e9, share=False, over=DAY)),
        ('unit = "ratio"\nrising = { by = 0.05, over = "1h" }', Trend(Way.RISING, 0.05, share=False, over=3600.0)),
    ],
)
def test_a_share_is_always_of_where_the_line_begins(reads: Callable[..., Rule], written: str, expected: Trend) -> None:
    rule = reads(f'severity = "P1"\n{written}')
    assert (tier(rule).trend, tier(rule).limit) == (expected, None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('by = "4 mad"', Unusual(4.0, timezone="Europe/Vienna")),
        (
            'by = "3.5 MAD", history = "14d", direction = "high", learn = "0s"',
            Unusual(3.5, 14 * DAY, direction=Direction.HIGH, learn=0.0, timezone="Europe/Vienna"),
        ),
        (
            'by = "4 mad", compared_to = "last 7 days"',
            Unusual(4.0, 7 * DAY, Comparison.LAST_DAYS, learn=3.5 * DAY, timezone="Europe/Vienna"),
        ),
        (
            'by = "4 mad", compared_to = "same hour of the day", history = "366d"',
            Unusual(4.0, 366 * DAY, Comparison.HOUR_OF_DAY, learn=14 * DAY, timezone="Europe/Vienna"),
        ),
    ],
)
def test_what_unusual_leaves_open_is_usual(reads: Callable[..., Rule], written: str, expected: Unusual) -> None:
    assert tier(reads(f'severity = "P1"\nunusual = {{ {written} }}')).unusual == expected


@pytest.mark.parametrize("every", ["5m", "30s"])
def test_enough_history_is_counted_in_samples_that_are_kept(errors: Callable[..., list[str]], every: str) -> None:
    text = 'severity = "P1"\nevery = "{}"\nunusual = {{ by = "4 mad", history = "{}", compared_to = "{}" }}'
    assert errors(text.format(every, "1d", "same hour of the day")) == [], "twelve in one hour"
    (wrong,) = errors(text.format(every, "6d", "same hour of the week"))
    assert "at most 0" in wrong
    assert 'history = "7d"' in wrong
    slow = text.format("20m", "1d", "same hour of the day")
    (wrong,) = errors(slow)
    assert "at most 3" in wrong
    assert 'history = "2d"' in wrong
    assert errors(slow.replace('"1d"', '"2d"')) == []


def test_the_shortest_window_of_a_line_has_five_steps(errors: Callable[..., list[str]]) -> None:
    text = 'severity = "P1"\nquery = {{ measure = "cpu", period = 60 }}\nrising = {{ by = 5, over = "{}" }}'
    head = HEAD.replace('query = "cpu"\n', "")
    (wrong,) = errors(text.format("4m59s"), head)
    assert wrong.endswith('write over = "5m" or more, or a shorter `every`')
    assert errors(text.format("5m"), head) == []


def test_missed_is_in_the_time_zone_of_the_settings(reads: Callable[..., Rule]) -> None:
    rule = reads('severity = "P1"\nmissed = { cron = " 0  2 * * mon-fri", grace = "20m" }')
    assert tier(rule).missed == Missed("0 2 * * mon-fri", "Europe/Vienna", 1200.0)
    rule = reads('severity = "P1"\nmissed = { cron = "0 2 29 2 *", timezone = "UTC" }')
    assert tier(rule).missed == Missed("0 2 29 2 *", "UTC", 0.0)


def test_a_tier_inherits_each_condition_that_it_does_not_name(reads: Callable[..., Rule]) -> None:
    rule = reads(
        'above = 10\nrising = { by = 5, over = "1h" }\nP0 = { falling = { by = 9, over = "1h" } }\n'
        'P1 = { above = 20 }\nP2 = { unusual = { by = "4 mad" } }'
    )
    rises = Trend(Way.RISING, 5.0, share=False, over=3600.0)
    falls = Trend(Way.FALLING, 9.0, share=False, over=3600.0)
    assert [(each.limit, each.trend, each.unusual is None) for each in rule.tiers] == [
        (Limit(Op.ABOVE, 10.0), falls, True),
        (Limit(Op.ABOVE, 20.0), rises, True),
        (Limit(Op.ABOVE, 10.0), rises, False),
    ]


def test_a_tier_may_leave_out_its_limit_where_it_has_a_condition(reads: Callable[..., Rule]) -> None:
    rule = reads('P1 = { above = 20 }\nP2 = { rising = { by = 5, over = "1h" }, recover = { below = 3 } }')
    assert tier(rule, 1).limit is None
    assert tier(rule, 1).recover == Recover(Limit(Op.BELOW, 3.0))


ALONE = 'datapoints = "3 of 5"\nno_data = "breach"\nunit = "percent"\nrecover = { below = 5, for = "3m" }'


@pytest.mark.parametrize("written", ["absent = true", 'missed = { cron = "0 2 * * *" }'])
def test_what_means_nothing_to_a_condition_is_not_inherited(reads: Callable[..., Rule], written: str) -> None:
    rule = reads(f'severity = "P1"\n{written}', ALONE)
    assert (tier(rule).datapoints, tier(rule).recover, rule.no_data) == (None, Recover(for_=180.0), NoData())
    assert rule.unit == ("percent" if tier(rule).absent else TIME)
    other = reads('severity = "P1"\nabove = 9', ALONE)
    assert tier(other).datapoints is not None
    assert other.no_data == NoData(NoDataPolicy.BREACH)


def test_the_time_of_a_success_may_have_a_limit(reads: Callable[..., Rule]) -> None:
    rule = reads('severity = "P1"\nmissed = { cron = "0 2 * * *" }\nabove = 0')
    assert tier(rule).missed is not None
    assert tier(rule).limit == Limit(Op.ABOVE, 0.0)


@pytest.mark.parametrize(
    ("cron", "more_than", "expected"),
    [
        ("* * * * *", 300.0, 60.0),
        ("* 9-17 * * *", 120.0, None),
        ("* * * * 1-5", 60.0, None),
        ("0 2 * * SUN", 7 * DAY, 7 * DAY),
        ("0 2 * * SUN", 7 * DAY - 1, None),
        ("0 0 1 1 *", 400 * DAY, 365 * DAY),
        ("0 0 29 2 *", 366 * DAY, None),
    ],
)
def test_the_longest_time_between_two_times_of_a_crontab_line(
    cron: str, more_than: float, expected: float | None
) -> None:
    assert longest_gap(cron, more_than) == expected


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('missed = "0 2 * * *"', '`missed` must be a table | write missed = { cron = "0 2 * * *", grace = "20m" }'),
        ("unusual = true", '`unusual` must be a table | write unusual = { by = "4 mad" }'),
        ("rising = { by = 10 }", '`over` is missing | write rising = { by = "50%", over = "15m" }'),
        ("above = 1\nlabels = 3", "`labels` must be a table | write it in braces: { key = value }"),
    ],
)
def test_of_a_table_that_is_none_it_is_shown_what_is_in_it(
    errors: Callable[..., list[str]], written: str, said: str
) -> None:
    assert errors(f'severity = "P1"\n{written}') == [said]


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("PST", 'did you mean "America/Los_Angeles"?'),
        ("New York", 'did you mean "America/New_York"?'),
        ("utc", 'did you mean "UTC"?'),
        ("America/NewYork", 'did you mean "America/New_York"?'),
        ("QST", 'write one like "Europe/Vienna" or "UTC"'),
        ("UTC+2", 'write one like "Europe/Vienna" or "UTC"'),
        ("", 'write one like "Europe/Vienna" or "UTC"'),
    ],
)
def test_a_hint_never_leads_to_another_time(errors: Callable[..., list[str]], zone: str, hint: str) -> None:
    written = f'severity = "P1"\nmissed = {{ cron = "0 2 * * *", timezone = "{zone}" }}'
    assert errors(written) == [f'`timezone`: "{zone}" is not a time zone | {hint}']
