"""The samples that a rule keeps: which ones, of how many series, for how long."""

import math

import pytest

from evaluator.engine import kept
from evaluator.engine.alerts import State
from evaluator.engine.kept import Kept
from evaluator.engine.rules import Query, Rule, Severity, Tier
from evaluator.engine.samples import Samples, series_of
from evaluator.engine.shapes import Trend, Unusual, Way
from evaluator.engine.trail import CHUNK, Chunk, points
from tests.engine.plays import Play, rows
from tests.stories import FAILED, LO, NAN, WEB, rule, tier

HOUR = 3600.0
RISING = Trend(Way.RISING, 0.5, share=True, over=900.0)


def rising(trend: Trend = RISING, **fields: object) -> Rule:
    return rule(Tier(Severity.P1, None, trend=trend), **fields)  # type: ignore[arg-type]


def kept_of(story: Play, width: float = 60.0, series=WEB) -> list[tuple[float, float]]:
    return list(points(story.trails.get((width, series), {}), width, 0.0, 1e6))


def test_the_first_sample_of_each_bucket_is_kept_at_its_slot() -> None:
    story = Play(rising())
    for now, value in ((0, 1.0), (59, 2.0), (60, 3.0), (120, NAN), (150, 4.0)):
        story.look(now, rows(value))
    assert kept_of(story) == [(0.0, 1.0), (60.0, 3.0), (120.0, 4.0)]


def test_samples_are_kept_at_their_own_timestamps_late_ones_too() -> None:
    story = Play(rising(query=Query("cloudwatch", "{}", step=60.0)))
    story.look(300, rows(1.0, 3.0, at=[60.0, 180.0]))
    story.look(360, rows(1.0, 2.0, 9.0, 4.0, at=[60.0, 120.0, 180.0, 240.0]))
    assert kept_of(story) == [(60.0, 1.0), (120.0, 2.0), (180.0, 3.0), (240.0, 4.0)]


def test_what_is_too_old_to_be_judged_is_not_kept() -> None:
    story = Play(rising())
    story.look(9000, rows(1.0, 2.0, at=[9000.0 - HOUR - 1.0, 9000.0 - HOUR]))
    assert kept_of(story) == [(5400.0, 2.0)]


def test_a_sample_of_the_past_is_kept_in_each_width_only_as_far_as_that_is_looked_back() -> None:
    both = rule(Tier(Severity.P1, None, trend=RISING, unusual=Unusual(by=4.0)))
    short, long = both.keeps
    now, latest = 4_000_000.0, 4_000_000.0 - HOUR
    noting = Kept(both, {}, now)
    for at in (latest - short.span - 0.5, latest - short.span, latest - long.span - 0.5, latest - long.span):
        noting.note(WEB, at, 1.0)
    assert sum(math.isfinite(value) for chunk in _chunks(noting, short.width) for value in chunk) == 1
    assert sum(math.isfinite(value) for chunk in _chunks(noting, long.width) for value in chunk) == 2


def _chunks(noting: Kept, width: float) -> list[Chunk]:
    return [chunk for (of, _, _), chunk in noting.chunks.items() if of == width and chunk is not None]


def test_a_late_sample_has_its_place_in_a_window_that_is_shorter_than_its_lag() -> None:
    fast = Tier(Severity.P1, None, trend=Trend(Way.RISING, 0.5, share=True, over=300.0))
    story = Play(rule(fast, lag=360.0))
    for slot in range(480, 720, 60):
        newest = slot - 360.0
        # Every second sample comes two periods after the others.
        at = [newest - 180.0, newest] if newest % 120 else [newest - 60.0]
        story.look(slot, rows(*at, at=at))
    story.look(720, rows(240.0, 300.0, 360.0, at=[240.0, 300.0, 360.0]))
    assert story.state() is State.FIRING


def test_a_quiet_series_is_kept_without_a_row() -> None:
    story = Play(rising())
    for now in range(0, 600, 60):
        story.look(now, rows(LO))
    assert story.book == {}
    assert len(kept_of(story)) == 10


def test_a_rule_that_does_not_look_back_keeps_nothing() -> None:
    story = Play(rule(tier(for_=600)))
    assert story.look(0, rows(99.0)).chunks == {}


def test_a_failed_poll_keeps_and_drops_nothing() -> None:
    story = Play(rising())
    story.look(0, rows(1.0))
    assert story.look(60, FAILED).chunks == {}


def test_each_condition_has_its_own_width() -> None:
    usual = Tier(Severity.P2, None, unusual=Unusual(4.0))
    story = Play(rule(Tier(Severity.P1, None, trend=RISING), usual))
    for now in range(0, 900, 60):
        story.look(now, rows(float(now)))
    assert len(kept_of(story, 60.0)) == 15
    assert kept_of(story, 300.0) == [(0.0, 0.0), (300.0, 300.0), (600.0, 600.0)]


def test_so_many_series_are_kept_and_the_first_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rising()
    monkeypatch.setattr(kept, "MOST_POINTS", 12 * asked.keeps[0].points)
    assert Kept(asked, {}, 0.0).most == 12
    story = Play(asked)
    names = [{"n": f"{number:02d}"} for number in range(20)]
    story.look(0, Samples(names[10:], [1.0] * 10))
    evaluation = story.look(60, Samples(names, [1.0] * 20))
    found = {dict(series)["n"] for _, series in story.trails}
    assert found == {"00", "01", *(f"{number}" for number in range(10, 20))}
    said = {dict(looked.series)["n"]: looked for looked in evaluation.looked}
    assert said["05"].said == "the rule keeps samples of 12 series, and this one is beyond them"
    assert said["05"].verdict.value == "unknown"
    assert said["01"].said == "only 1 of at least 5 samples within 15m"


def test_samples_that_take_much_room_are_kept_of_a_few_series_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_POINTS", 1)
    assert Kept(rising(), {}, 0.0).most == 10
    assert Kept(rule(), {}, 0.0).most == 0


def test_two_million_samples_are_the_most() -> None:
    asked = rule(Tier(Severity.P1, None, trend=RISING, unusual=Unusual(4.0)))
    assert Kept(asked, {}, 0.0).most == 2_000_000 // sum(keep.points for keep in asked.keeps)


def test_what_is_outlived_is_dropped_once_an_hour_whether_its_series_comes_or_not() -> None:
    story = Play(rising())
    story.look(0, Samples([{"host": "web-1"}, {"host": "web-2"}], [1.0, 1.0]))
    # The last sample of a chunk is needed for the window and one bucket more, and that of the oldest that is judged.
    end = CHUNK * 60.0 + 960.0 + HOUR
    hour = math.ceil(end / HOUR) * HOUR
    story.look(hour - 60, rows(1.0))
    assert len(story.trails) == 2
    assert 0 in story.trails[60.0, WEB]
    story.look(hour, rows(1.0))
    assert set(story.trails) == {(60.0, WEB)}
    assert 0 not in story.trails[60.0, WEB]


def test_what_is_needed_is_not_dropped() -> None:
    story = Play(rising())
    story.look(CHUNK * 60.0 - 60.0, rows(1.0))
    early = CHUNK * 60.0 + 900.0
    assert not any(chunk is None for chunk in story.look(early // HOUR * HOUR, rows(2.0)).chunks.values())


def test_another_width_begins_anew_and_drops_the_old_one() -> None:
    story = Play(rising())
    story.look(0, rows(1.0))
    story.rule = rising(Trend(Way.RISING, 0.5, share=True, over=7200.0))
    story.look(60, rows(2.0))
    assert set(story.trails) == {(60.0, WEB), (120.0, WEB)}
    story.look(HOUR, rows(3.0))
    assert set(story.trails) == {(120.0, WEB)}


def test_a_rule_that_no_longer_looks_back_drops_all_of_it_at_once() -> None:
    story = Play(rising())
    story.look(0, rows(1.0))
    story.rule = rule()
    story.look(60, rows(2.0))
    assert story.trails == {}


def test_beyond_the_last_place_nothing_is_usual_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_POINTS", 1)
    story = Play(rule(Tier(Severity.P1, None, unusual=Unusual(4.0))))
    evaluation = story.look(0, Samples([{"n": f"{number:02d}"} for number in range(11)], [1.0] * 11))
    assert story.said(evaluation)[-1] == "the rule keeps samples of 10 series, and this one is beyond them"


def test_nothing_that_is_given_is_changed() -> None:
    story = Play(rising())
    story.look(0, rows(1.0))
    given = {key: dict(trail) for key, trail in story.trails.items()}
    again = Kept(story.rule, given, 60.0)
    again.note(WEB, 60.0, 2.0)
    again.note(series_of({"host": "web-2"}), 60.0, 2.0)
    assert given == story.trails
    assert again.has_place_for(series_of({"host": "web-2"}))
