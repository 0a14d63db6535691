"""The source `uptimerobot` against a look-alike of its API, v3 and v2, and against bad weather."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.checkup import Grade
from evaluator.sources.uptimerobot import UptimeRobotSource
from evaluator.sources.uptimerobot_query import UptimeRobotSettings
from evaluator.testing.http_sources import HttpSourceConformance
from evaluator.testing.peers import nobody
from evaluator.testing.sources import NOW, build, polled, query, run
from evaluator.testing.uptimerobot import UptimeRobot
from evaluator.testing.wire import Weather, answer, hang, reset

TOKEN = "u123-s3cret-uptimerobot"
UP = {"measure": "monitor_up"}


@pytest.fixture
def robot() -> Iterator[UptimeRobot]:
    with UptimeRobot(TOKEN, clock=lambda: NOW) as account:
        yield account


@pytest.fixture(params=[3, 2])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def made(robot: UptimeRobot, **settings: object) -> UptimeRobotSource:
    fields = {"url": robot.url, "token": TOKEN, "timeout": "2s", "refresh": "1ms", **settings}
    return UptimeRobotSource("robot", UptimeRobotSettings.model_validate(fields))


def asked(*fields: Mapping[str, Any]) -> list[Any]:
    return [query(UptimeRobotSource, each) for each in fields]


def ask(robot: UptimeRobot, *fields: Mapping[str, Any], **settings: object) -> list[PollResult]:
    answers: list[list[PollResult]] = run(polled(made(robot, **settings), asked(*fields), NOW))
    return answers[0]


def rows(result: PollResult) -> dict[str, float]:
    assert isinstance(result, Samples), result
    return {row["monitor"]: value for row, value in zip(result.labels, result.values, strict=True)}


def failed(result: PollResult, reason: FailureReason) -> str:
    assert isinstance(result, PollFailed), result
    assert result.reason is reason, result
    assert TOKEN not in result.message
    return result.message


async def several(
    source: UptimeRobotSource, queries: Sequence[Any], steps: Sequence[Any], step: float = 60.0
) -> list[Any]:
    """Poll once for each step, and do the step after its poll."""
    await source.open()
    try:
        answers = []
        for number, act in enumerate([*steps, None]):
            answers.append(await source.poll(queries, NOW + step * number))
            await asyncio.sleep(0.005)
            if act is not None:
                act()
        return answers
    finally:
        await source.close()


class TestConformance(HttpSourceConformance):
    kind = UptimeRobotSource
    queries = (
        {"measure": "monitor_up"},
        {"measure": "monitor_up", "monitor": ["api", "shop*"]},
        {"measure": "uptime_percent", "window": "7d", "monitor": "api"},
        {"measure": "response_time", "monitor": "api"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (TOKEN,)
    version = 3

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"http://{host}:{port}", "token": TOKEN, "version": self.version}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with UptimeRobot(TOKEN, clock=lambda: NOW, most=1000) as account:
            account.add("api")
            account.add("shop-de", "DOWN")
            yield {"url": account.url, "token": TOKEN, "version": self.version}


class TestConformanceOfVersion2(TestConformance):
    version = 2


def test_down_is_only_what_uptimerobot_is_sure_of(robot: UptimeRobot, version: int) -> None:
    for status in ("UP", "DOWN", "LOOKS_DOWN", "STARTED", "PAUSED", "FUTURE"):
        robot.add(status.lower(), status)
    (result,) = ask(robot, UP, version=version)
    found = rows(result)
    assert (found["up"], found["down"]) == (1.0, 0.0)
    assert all(math.isnan(found[name]) for name in ("looks_down", "started", "future"))
    assert "paused" not in found
    assert isinstance(result, Samples)
    assert result.warnings == ("paused is paused: no data",)


def test_a_monitor_without_a_status_or_buckets_hides_no_other(robot: UptimeRobot) -> None:
    """What v3 says of a monitor that was just made."""
    empty = {"bucketSize": 0, "histogram": []}
    robot.wire.forecast(
        answer(200, {"data": [{"id": 1, "status": None, "lastDayUptimes": empty}, {"id": 2, "status": "DOWN"}]})
    )
    found = rows(ask(robot, UP)[0])
    assert math.isnan(found["1"])
    assert found["2"] == 0.0


def test_one_list_serves_all_queries(robot: UptimeRobot, version: int) -> None:
    for number in range(30):
        robot.add(f"m{number}")
    answers = ask(robot, *({**UP, "monitor": f"m{number}"} for number in range(30)), UP, version=version)
    assert all(isinstance(each, Samples) for each in answers)
    assert len(robot.asked) == 1


def test_polls_within_refresh_share_a_list(robot: UptimeRobot, version: int) -> None:
    robot.add("api")
    answers = run(several(made(robot, refresh="60s", version=version), asked(UP), [None] * 9))
    assert [rows(each[0]) for each in answers] == [{"api": 1.0}] * 10
    assert len(robot.asked) == 1


def test_all_pages_are_read(robot: UptimeRobot, version: int) -> None:
    for number in range(450):
        robot.add(f"m{number}")
    (result,) = ask(robot, UP, version=version)
    assert len(rows(result)) == 450
    assert len(robot.asked) == (3 if version == 3 else 9)


@pytest.mark.parametrize("weather", [reset(), answer(500), answer(200, b'{"stat"'), hang(), answer(429)])
def test_a_page_that_fails_fails_the_whole_list(robot: UptimeRobot, version: int, weather: Weather) -> None:
    for number in range(250):
        robot.add(f"m{number}", "DOWN")
    robot.wire.forecast(None, weather)
    (result,) = ask(robot, UP, version=version, timeout="300ms")
    assert isinstance(result, PollFailed), result


def test_a_wrong_key_is_auth_also_where_the_status_is_200(robot: UptimeRobot, version: int) -> None:
    robot.token = "another"
    result, up = ask(robot, UP, {"measure": "up"}, version=version)
    failed(result, FailureReason.AUTH)
    failed(up, FailureReason.AUTH)


def test_an_error_of_v2_with_status_200_is_a_failure(robot: UptimeRobot) -> None:
    body = {"stat": "fail", "error": {"type": "internal", "message": f"oops {TOKEN}"}}
    robot.wire.forecast(answer(200, body))
    (result,) = ask(robot, UP, version=2)
    assert "oops ***" in failed(result, FailureReason.BAD_ANSWER)


def test_a_rate_limit_is_kept_until_retry_after(robot: UptimeRobot) -> None:
    robot.add("api")
    robot.most = 1
    source = made(robot)
    first, second, third = run(several(source, asked(UP), [None, None]))
    assert rows(first[0]) == {"api": 1.0}
    assert "told us to wait" in failed(second[0], FailureReason.RATE_LIMITED)
    failed(third[0], FailureReason.RATE_LIMITED)
    # The answer said that none is left, so not even one was sent in vain.
    assert len(robot.asked) == 1
    assert source.usage() == {"requests": 1.0, "throttled": 0.0}


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_429_is_not_asked_again(robot: UptimeRobot, retry_after: bool) -> None:
    robot.most, robot.retry_after = 0, retry_after
    source = made(robot)
    first, second = run(several(source, asked(UP), [None]))
    failed(first[0], FailureReason.RATE_LIMITED)
    failed(second[0], FailureReason.RATE_LIMITED)
    assert source.usage() == {"requests": 1.0, "throttled": 1.0}


def test_the_plan_is_kept_by_ourselves_where_nobody_says_so(robot: UptimeRobot) -> None:
    robot.add("api")
    robot.most = 1000
    source = made(robot, requests_per_minute=3)
    answers = run(several(source, asked(UP), [None] * 4))
    assert [isinstance(each[0], Samples) for each in answers] == [True, True, True, False, False]
    assert "budget of 3 requests in 60 s" in failed(answers[-1][0], FailureReason.RATE_LIMITED)
    assert len(robot.asked) == 3


def test_a_deleted_monitor_is_gone_after_two_whole_lists(robot: UptimeRobot, version: int) -> None:
    robot.add("api", "DOWN")
    robot.add("old", "DOWN")
    named = {**UP, "monitor": "old"}
    answers = run(several(made(robot, version=version), asked(UP, named), [robot.monitors.pop, None, None]))
    old = series_of({"monitor": "old", "id": "800000002"})
    assert [each[0].gone for each in answers] == [frozenset(), frozenset(), {old}, {old}]
    assert rows(answers[2][0]) == {"api": 0.0}
    assert isinstance(answers[1][1], Samples)
    assert answers[2][1].gone == {old}


def test_a_list_that_is_suddenly_empty_ends_nothing(robot: UptimeRobot, version: int) -> None:
    robot.add("api", "DOWN")
    answers = run(several(made(robot, version=version), asked(UP), [robot.monitors.clear, None, None]))
    assert all(each[0].gone == frozenset() for each in answers)


def test_a_renamed_monitor_ends_its_old_series(robot: UptimeRobot, version: int) -> None:
    monitor = robot.add("api", "DOWN")

    def rename() -> None:
        monitor.name = "api (new)"

    def back() -> None:
        monitor.name = "api"

    answers = run(several(made(robot, version=version), asked(UP), [rename, back]))
    assert [rows(each[0]) for each in answers] == [{"api": 0.0}, {"api (new)": 0.0}, {"api": 0.0}]
    assert answers[1][0].gone == {series_of({"monitor": "api", "id": "800000001"})}
    assert answers[2][0].gone == {series_of({"monitor": "api (new)", "id": "800000001"})}


def test_a_name_that_is_not_there_is_a_bad_query(robot: UptimeRobot) -> None:
    robot.add("api-production")
    wrong, half, pattern, number, right = ask(
        robot,
        {**UP, "monitor": "api-prodution"},
        {**UP, "monitor": ["api-production", "shop"]},
        {**UP, "monitor": "shop*"},
        {**UP, "id": 5},
        {**UP, "id": 800_000_001},
    )
    assert "did you mean api-production?" in failed(wrong, FailureReason.BAD_QUERY)
    assert rows(half) == {"api-production": 1.0}
    assert isinstance(half, Samples)
    assert "there is no monitor shop" in half.warnings[0]
    failed(pattern, FailureReason.BAD_QUERY)
    failed(number, FailureReason.BAD_QUERY)
    assert rows(right) == {"api-production": 1.0}


def test_names_are_any_text(robot: UptimeRobot, version: int) -> None:
    for name in ("[prod] *api*", "Zürich 🚀", 'a"b\\c'):
        robot.add(name)
    (one, all_) = ask(robot, {**UP, "monitor": "[prod] *api*"}, UP, version=version)
    assert rows(one) == {"[prod] *api*": 1.0}
    assert len(rows(all_)) == 3


def test_ratios_and_response_times(robot: UptimeRobot, version: int) -> None:
    monitor = robot.add("api")
    monitor.uptime = {1: 99.5, 7: 98.25, 30: 97.125}
    other = robot.add("new")
    other.milliseconds = None
    ratio = {"measure": "uptime_percent", "monitor": "api"}
    results = ask(
        robot,
        ratio,
        {**ratio, "window": "7d"},
        {**ratio, "window": "30d"},
        {"measure": "response_time", "monitor": "api"},
        {"measure": "response_time", "monitor": "new"},
        version=version,
    )
    assert [rows(each).get("api") for each in results[:4]] == [99.5, 98.25, 97.125, 0.12]
    assert math.isnan(rows(results[4])["new"])
    assert len(robot.asked) == (5 if version == 3 else 1)


def test_a_list_without_response_times_is_not_used_for_them(robot: UptimeRobot) -> None:
    robot.add("api")
    source = made(robot, version=2, refresh="60s")

    async def both() -> list[PollResult]:
        await source.open()
        try:
            (first,) = await source.poll(asked(UP), NOW)
            (second,) = await source.poll(asked({"measure": "response_time"}), NOW)
            return [first, second]
        finally:
            await source.close()

    assert [rows(each) for each in run(both())] == [{"api": 1.0}, {"api": 0.12}]


def test_names_of_several_lines_make_sentences_of_one(robot: UptimeRobot) -> None:
    robot.add("two\nlines", "PAUSED")
    paused, absent = ask(robot, UP, {**UP, "monitor": "two lines"})
    assert isinstance(paused, Samples)
    assert paused.warnings == ("two lines is paused: no data",)
    assert "\n" not in failed(absent, FailureReason.BAD_QUERY)


def test_statistics_never_take_the_place_of_the_list(robot: UptimeRobot) -> None:
    for number in range(20):
        robot.add(f"m{number}")
    source = made(robot, refresh="60s")
    answers = run(several(source, asked({"measure": "response_time"}, UP), [None]))
    for each in answers:
        assert "do not suffice" in failed(each[0], FailureReason.RATE_LIMITED)
        assert len(rows(each[1])) == 20
    # 10 a minute: one list and 7 statistics, and two left for the next lists.
    assert source.usage()["requests"] <= 9
    assert source.usage()["throttled"] == 0


def test_the_link_to_the_next_page_never_takes_the_key_elsewhere(robot: UptimeRobot) -> None:
    with UptimeRobot() as thief:
        link = f"{thief.url}/v3/monitors?cursor=7"
        robot.wire.forecast(answer(200, {"data": [], "nextLink": link}))
        robot.add("api")
        assert rows(ask(robot, UP)[0]) == {"api": 1.0}
        assert thief.asked == []
    for link in ("https://example.com/", "?cursor=", "?cursor=a%0d%0ab"):
        robot.wire.forecast(answer(200, {"data": [], "nextLink": link}))
        assert "no new cursor" in failed(ask(robot, UP)[0], FailureReason.BAD_ANSWER)


def test_pages_without_end_end(robot: UptimeRobot) -> None:
    link = "?cursor=7"
    robot.wire.always = answer(200, {"data": [], "nextLink": link})
    assert "no new cursor" in failed(ask(robot, UP)[0], FailureReason.BAD_ANSWER)
    robot.wire.always = answer(200, {"stat": "ok", "pagination": {"total": 5}, "monitors": []})
    assert "5 monitors, and shows 0" in failed(ask(robot, UP, version=2)[0], FailureReason.BAD_ANSWER)


def test_doctor_says_what_is_fine_and_what_is_not(robot: UptimeRobot, version: int) -> None:
    robot.add("api")
    robot.add("shop", "PAUSED")
    queries = asked({**UP, "monitor": "api"}, {**UP, "monitor": "shop"}, {**UP, "monitor": "apo"})

    async def examined(source: UptimeRobotSource) -> list[Any]:
        await source.open()
        try:
            return list(await source.examine(queries, NOW))
        finally:
            await source.close()

    found = {each.subject: each for each in run(examined(made(robot, version=version)))}
    assert {name: each.grade for name, each in found.items()} == {
        "key": Grade.FINE,
        "monitor api": Grade.FINE,
        "monitor apo": Grade.WRONG,
        "monitor shop": Grade.WARNING,
        "clock": Grade.FINE,
        "limits": Grade.FINE,
    }
    assert "did you mean api?" in found["monitor apo"].found
    robot.token = "another"
    (wrong,) = run(examined(made(robot, version=version)))
    assert wrong.grade is Grade.WRONG
    assert "Integrations & API" in wrong.mend
    assert TOKEN not in f"{wrong}"
    (gone,) = run(examined(made(robot, url=f"http://127.0.0.1:{nobody()}")))
    assert "check `url`" in gone.mend


def test_doctor_says_that_the_plan_allows_less(robot: UptimeRobot, version: int) -> None:
    async def examined(source: UptimeRobotSource) -> list[Any]:
        await source.open()
        try:
            return list(await source.examine([], NOW))
        finally:
            await source.close()

    found = {each.subject: each for each in run(examined(made(robot, requests_per_minute=60, version=version)))}
    assert found["plan"].grade is Grade.WARNING
    assert "requests_per_minute = 10" in found["plan"].mend


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://user:pw@host", "https://h?x=1", "http://h:x", "api"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        build(UptimeRobotSource, {"url": url, "token": TOKEN})
