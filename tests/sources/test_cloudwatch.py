"""The source `cloudwatch` against a look-alike that enforces AWS' limits, and against bad weather."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.cloudwatch import CloudWatchSource
from evaluator.sources.cloudwatch_client import Aws, LateError
from evaluator.sources.cloudwatch_query import CloudWatchSettings
from evaluator.sources.source import Source
from evaluator.testing.cloudwatch import SECRET, CloudWatch, refused, settings_at, throttled
from evaluator.testing.peers import peer
from evaluator.testing.sources import NOW, RemoteSourceConformance, build, polled, query, run
from evaluator.testing.wire import hang

EDGE = NOW // 60 * 60 - 120
"""The end of the newest complete minute at `NOW`."""
CPU = {"namespace": "AWS/EC2", "metric": "CPUUtilization", "dimensions": {"InstanceId": "*"}}
ONE = {"namespace": "App", "metric": "errors"}
WEB_1, WEB_2 = "i-0123456789abcdef0", "i-0123456789abcdef1"


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws() -> Iterator[CloudWatch]:
    with CloudWatch() as look_alike:
        yield look_alike


def ask(aws: CloudWatch, *queries: Mapping[str, Any], now: float = NOW, **settings: object) -> list[PollResult]:
    source = build(CloudWatchSource, {**aws.settings, **settings})
    answers: list[list[PollResult]] = run(polled(source, [query(CloudWatchSource, each) for each in queries], now))
    return answers[0]


def used(source: Source) -> Mapping[str, float]:
    assert isinstance(source, CloudWatchSource)
    return source.usage()


def good(result: PollResult) -> Samples:
    assert isinstance(result, Samples), result
    return result


def rows(result: PollResult) -> list[tuple[str, float, float]]:
    """Return (labels, minutes before the edge, value) of each row."""
    samples = good(result)
    assert samples.at is not None
    texts = [",".join(f"{name}={value}" for name, value in sorted(row.items())) for row in samples.labels]
    return sorted(zip(texts, [(at - EDGE) / 60 for at in samples.at], samples.values, strict=True))


def bad(result: PollResult) -> PollFailed:
    assert isinstance(result, PollFailed), result
    return result


def minutes(*values: float | None, until: float = EDGE) -> dict[float, float]:
    """Return points, the last of which is in the minute that ends at `until`."""
    starts = [until - 60 * (len(values) - index) for index in range(len(values))]
    return {start: value for start, value in zip(starts, values, strict=True) if value is not None}


class TestConformance(RemoteSourceConformance):
    kind = CloudWatchSource
    # boto3 takes most of a usual half second to make its client, on a machine that is busy.
    timeout = 1.0
    queries = (
        {**CPU, "stat": "p95"},
        {"namespace": "App", "metric": "errors", "stat": "Sum", "period": "5m"},
        {"expression": "100 * e / r", "metrics": {"e": ONE, "r": {"namespace": "App", "metric": "requests"}}},
        {"expression": "SEARCH('{AWS/EC2,InstanceId} MetricName=\"CPUUtilization\"', 'Average')"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (SECRET,)
    many = tuple({"namespace": "App", "metric": f"m{number}"} for number in range(700))
    most_requests = 2
    bad_query = MappingProxyType({"expression": "e ++* r", "metrics": {"e": ONE, "r": ONE}})

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return settings_at(f"http://{host}:{port}")

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with CloudWatch() as look_alike:
            for host in (WEB_1, WEB_2):
                look_alike.put("AWS/EC2", "CPUUtilization", {"InstanceId": host}, minutes(*range(1, 40)))
            for name in ("errors", "requests"):
                look_alike.put("App", name, {}, minutes(*range(1, 40)))
            yield look_alike.settings


def test_a_sample_is_as_of_the_end_of_its_complete_period(aws: CloudWatch) -> None:
    aws.put("App", "errors", {}, minutes(*range(1, 11), until=EDGE + 180))
    assert rows(ask(aws, ONE)[0]) == [
        ("", -4.0, 3.0),
        ("", -3.0, 4.0),
        ("", -2.0, 5.0),
        ("", -1.0, 6.0),
        ("", 0.0, 7.0),
    ]
    # The slot is 20 s into its minute: with less delay the same period is the newest that is complete.
    assert rows(ask(aws, ONE, delay="1m")[0])[-1] == ("", 1.0, 8.0)
    assert rows(ask(aws, ONE, now=NOW + 39)[0])[-1] == ("", 0.0, 7.0)
    assert rows(ask(aws, ONE, now=NOW + 40)[0])[-1] == ("", 1.0, 8.0)


def test_a_star_finds_each_instance_and_a_pattern_some(aws: CloudWatch) -> None:
    aws.page_metrics = 1
    for host in ("web-1", "web-2", "db-1", "odd[1]"):
        aws.put("App", "load", {"host": host}, minutes(1.0))
    aws.put("App", "load", {"host": "web-1", "core": "0"}, minutes(9.0))
    aws.put("Other", "load", {"host": "web-9"}, minutes(9.0))
    load = {"namespace": "App", "metric": "load"}
    every, web, odd, none = ask(
        aws, *({**load, "dimensions": {"host": host}} for host in ("*", "web-?", "odd[*", "cache-*"))
    )
    assert [row[0] for row in rows(every)] == ["host=db-1", "host=odd[1]", "host=web-1", "host=web-2"]
    assert [row[0] for row in rows(web)] == ["host=web-1", "host=web-2"]
    assert [row[0] for row in rows(odd)] == ["host=odd[1]"]
    assert rows(none) == []


def test_math_joins_on_common_dimensions(aws: CloudWatch) -> None:
    for name, bad_ones, all_of_them in (("a", 5.0, 100.0), ("b", 0.0, 50.0)):
        aws.put("LB", "bad", {"lb": name}, minutes(bad_ones))
        aws.put("LB", "all", {"lb": name}, minutes(all_of_them))
    aws.put("LB", "all", {"lb": "calm"}, minutes(10.0))
    aws.put("LB", "total", {}, minutes(1000.0))
    share = {
        "expression": "100 * FILL(e, 0) / r + 0 * t",
        "metrics": {
            "e": {"namespace": "LB", "metric": "bad", "dimensions": {"lb": "*"}, "stat": "Sum"},
            "r": {"namespace": "LB", "metric": "all", "dimensions": {"lb": "*"}, "stat": "Sum"},
            "t": {"namespace": "LB", "metric": "total"},
        },
    }
    assert rows(ask(aws, share)[0]) == [("lb=a", 0.0, 5.0), ("lb=b", 0.0, 0.0), ("lb=calm", 0.0, 0.0)]


def test_search_has_a_series_for_each_label(aws: CloudWatch) -> None:
    aws.put("App", "load", {"host": "a"}, minutes(1.0))
    aws.put("App", "load", {"host": "b"}, minutes(2.0))
    (found,) = ask(aws, {"expression": "SEARCH('{App,host} MetricName=\"load\"', 'Average')"})
    assert rows(found) == [("label=a", 0.0, 1.0), ("label=b", 0.0, 2.0)]


def test_percentiles_and_statistics(aws: CloudWatch) -> None:
    for value in range(1, 101):
        aws.put("App", "errors", {}, {EDGE - 30: float(value)})
    stats = ["p95", "p50", "Sum", "Maximum", "Minimum", "SampleCount", "Average"]
    answers = ask(aws, *({**ONE, "stat": stat} for stat in stats))
    assert [good(answer).values[0] for answer in answers] == [95.0, 50.0, 5050.0, 100.0, 1.0, 100.0, 50.5]
    assert len(aws.calls("GetMetricData")) == 1


def test_a_thousand_queries_are_two_requests_and_equal_ones_are_paid_once(aws: CloudWatch) -> None:
    for number in range(998):
        aws.put("App", "load", {"n": str(number)}, minutes(1.0))
    queries = [{"namespace": "App", "metric": "load", "dimensions": {"n": str(number)}} for number in range(998)]
    queries += queries[:500]
    ratio = {"expression": "a / b", "metrics": {"a": queries[0], "b": queries[1]}}

    async def story() -> tuple[list[PollResult], Mapping[str, float]]:
        source = build(CloudWatchSource, aws.settings)
        answers = await source.poll([query(CloudWatchSource, each) for each in [*queries, ratio]], NOW)
        await source.close()
        return answers, used(source)

    answers, usage = run(story())
    assert all(good(answer).values == [1.0] for answer in answers)
    asked = aws.calls("GetMetricData")
    assert sorted(len(each["MetricDataQueries"]) for each in asked) == [499, 500]
    assert usage["requests"] == len(aws.wire.log) == 2
    assert usage["metrics"] == 998
    assert usage["throttled"] == 0


def test_many_points_are_divided_so_that_no_page_is_missed(aws: CloudWatch) -> None:
    queries = [{"namespace": "App", "metric": f"m{number}", "period": "1s"} for number in range(400)]
    ask(aws, *queries)
    asked = aws.calls("GetMetricData")
    assert sorted(len(each["MetricDataQueries"]) for each in asked) == [64, 336]


def test_pages_are_put_together_by_id(aws: CloudWatch) -> None:
    aws.page_points = 3
    for number in range(4):
        aws.put("App", "load", {"n": str(number)}, minutes(1.0, 2.0, 3.0, 4.0, 5.0))
    (answer,) = ask(aws, {"namespace": "App", "metric": "load", "dimensions": {"n": "*"}})
    assert list(good(answer).values) == [1.0, 2.0, 3.0, 4.0, 5.0] * 4
    assert len(aws.calls("GetMetricData")) == 7


def test_a_period_is_paid_for_once_and_read_again_with_the_next(aws: CloudWatch) -> None:
    aws.put("App", "errors", {}, minutes(1.0, None, 3.0))

    async def story() -> list[list[tuple[str, float, float]]]:
        source = build(CloudWatchSource, aws.settings)
        asked = [query(CloudWatchSource, each) for each in (ONE, {**ONE, "stat": "Average"})]
        seen = [rows((await source.poll(asked, now))[0]) for now in (NOW, NOW + 10, NOW + 39)]
        # What comes late is seen with the next period.
        aws.put("App", "errors", {}, {EDGE - 120: 2.0, EDGE: 4.0})
        seen.append(rows((await source.poll(asked, NOW + 40))[0]))
        assert used(source) == {"requests": 2, "metrics": 2, "throttled": 0}
        await source.close()
        return seen

    first, again, still, last = run(story())
    assert first == again == still == [("", -2.0, 1.0), ("", 0.0, 3.0)]
    assert last == [("", -2.0, 1.0), ("", -1.0, 2.0), ("", 0.0, 3.0), ("", 1.0, 4.0)]


def test_what_is_found_is_remembered_for_a_while(aws: CloudWatch) -> None:
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_1}, minutes(1.0))

    async def story(every: str) -> int:
        source = build(CloudWatchSource, {**aws.settings, "refresh": every})
        before = len(aws.calls("ListMetrics"))
        for number in range(3):
            await source.poll([query(CloudWatchSource, CPU)], NOW + 60 * number)
            await asyncio.sleep(0.01)
        await source.close()
        return len(aws.calls("ListMetrics")) - before

    assert run(story("5m")) == 1
    assert run(story("1ms")) == 3
    assert aws.calls("ListMetrics")[0]["RecentlyActive"] == "PT3H"


def test_an_old_list_is_better_than_none(aws: CloudWatch) -> None:
    aws.put("App", "load", {"host": "a"}, minutes(1.0))

    async def story() -> list[PollResult]:
        source = build(CloudWatchSource, {**aws.settings, "refresh": "1ms"})
        asked = [query(CloudWatchSource, {"namespace": "App", "metric": "load", "dimensions": {"host": "*"}})]
        first = await source.poll(asked, NOW)
        await asyncio.sleep(0.01)
        aws.wire.forecast(*[refused("InternalServiceFault", status=500)] * 3)
        second = await source.poll(asked, NOW)
        aws.denied.add("cloudwatch:ListMetrics")
        third = await source.poll(asked, NOW)
        await source.close()
        return [*first, *second, *third]

    first, second, third = run(story())
    assert rows(first) == rows(second) == [("host=a", 0.0, 1.0)]
    assert "old one" in good(second).warnings[0]
    assert bad(third).reason is FailureReason.AUTH
    assert "cloudwatch:ListMetrics" in bad(third).message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("PartialData", FailureReason.UNAVAILABLE),
        ("InternalError", FailureReason.UNAVAILABLE),
        ("Forbidden", FailureReason.AUTH),
    ],
)
def test_half_an_answer_is_none_and_fails_only_its_query(aws: CloudWatch, status: str, reason: FailureReason) -> None:
    aws.status["errors"] = status
    aws.put("App", "errors", {}, minutes(1.0))
    aws.put("App", "requests", {}, minutes(5.0))
    half, whole = ask(aws, ONE, {"namespace": "App", "metric": "requests"})
    assert bad(half).reason is reason
    assert status in bad(half).message
    assert list(good(whole).values) == [5.0]


def test_a_bad_query_spoils_no_other_and_is_asked_apart_next_time(aws: CloudWatch) -> None:
    aws.bad_metrics = {"m7", "m8"}
    queries = [{"namespace": "App", "metric": f"m{number}"} for number in range(20)]
    for number in range(20):
        aws.put("App", f"m{number}", {}, minutes(1.0))

    async def story() -> tuple[list[PollResult], int]:
        source = build(CloudWatchSource, aws.settings)
        asked = [query(CloudWatchSource, each) for each in queries]
        await source.poll(asked, NOW)
        before = len(aws.wire.log)
        answers = await source.poll(asked, NOW + 60)
        await source.close()
        return answers, len(aws.wire.log) - before

    answers, requests = run(story())
    assert requests == 3
    for number, answer in enumerate(answers):
        if number in (7, 8):
            assert bad(answer).reason is FailureReason.BAD_QUERY
            assert "not valid" in bad(answer).message
        else:
            good(answer)


def test_each_select_has_a_request_of_its_own(aws: CloudWatch) -> None:
    selects = [{"expression": f"SELECT MAX(m{number}) FROM App"} for number in range(2)]
    for answer in ask(aws, *selects, ONE):
        good(answer)
    assert len(aws.calls("GetMetricData")) == 3


def test_throttling_is_waited_out_and_shown(aws: CloudWatch) -> None:
    aws.put("App", "errors", {}, minutes(1.0))
    aws.wire.forecast(throttled())

    async def story() -> tuple[PollResult, PollResult, Mapping[str, float]]:
        source = build(CloudWatchSource, aws.settings)
        (first,) = await source.poll([query(CloudWatchSource, ONE)], NOW)
        aws.wire.always = throttled()
        asked = [query(CloudWatchSource, each) for each in (ONE, {"measure": "up"})]
        second, up = await source.poll(asked, NOW + 60)
        usage = used(source)
        await source.close()
        assert good(up).values == [1.0]
        return first, second, usage

    first, second, usage = run(story())
    assert list(good(first).values) == [1.0]
    assert "throttled 1 request" in good(first).warnings[0]
    assert bad(second).reason is FailureReason.RATE_LIMITED
    assert usage["throttled"] >= 2


def test_a_query_that_finds_too_many_metrics_is_not_paid_for(aws: CloudWatch) -> None:
    for number in range(11):
        aws.put("App", "load", {"host": str(number)}, minutes(1.0))
    (answer,) = ask(aws, {"namespace": "App", "metric": "load", "dimensions": {"host": "*"}}, max_metrics=10)
    assert bad(answer).reason is FailureReason.TOO_BIG
    assert "max_metrics" in bad(answer).message
    assert aws.calls("GetMetricData") == []


@pytest.mark.parametrize(("name", "dimensions"), [("load", {"host": "*"}), ("load", {"host": "web-*"})])
def test_a_list_is_read_no_further_than_it_must_be_and_not_again(
    aws: CloudWatch, name: str, dimensions: Mapping[str, str]
) -> None:
    aws.page_metrics = 1
    for number in range(100):
        aws.put("App", name, {"host": str(number)}, minutes(1.0))
    aws.put("App", name, {"host": "web-1"}, minutes(1.0))

    async def story() -> list[PollResult]:
        source = build(CloudWatchSource, {**aws.settings, "max_metrics": 2})
        asked = query(CloudWatchSource, {"namespace": "App", "metric": name, "dimensions": dimensions})
        answers = [(await source.poll([asked], NOW + 60 * minute))[0] for minute in range(3)]
        await source.close()
        return answers

    # Also where few of them match: the others could be behind what is not read any more.
    assert [bad(answer).reason for answer in run(story())] == [FailureReason.TOO_BIG] * 3
    assert len(aws.calls("ListMetrics")) == (3 if dimensions["host"] == "*" else 41)


def test_a_list_that_hangs_keeps_no_other_data_from_being_read(aws: CloudWatch) -> None:
    aws.put("App", "errors", {}, minutes(1.0))
    aws.wire.forecast(hang())
    listed, known = ask(aws, CPU, ONE, timeout="1s")
    assert bad(listed).reason is FailureReason.TIMEOUT
    assert "no answer within 0.75 s" in bad(listed).message
    assert good(known).values == [1.0]


def test_an_error_that_comes_just_too_late_leaves_nothing_behind(
    aws: CloudWatch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Aws("cloudwatch", CloudWatchSettings.model_validate(aws.settings))
    thrown = threading.Event()

    def work(_: object) -> None:
        thrown.set()
        raise ValueError

    async def late(waiting: "asyncio.Future[object]", seconds: float) -> None:
        # The thread ends with its error, of which the loop has not heard yet.
        thrown.wait(seconds)
        time.sleep(0.05)
        raise TimeoutError

    async def story() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "wait_for", late)
            with pytest.raises(LateError):
                await client.do("cloudwatch", work, asyncio.get_running_loop().time() + 5)
        await asyncio.sleep(0)
        client.close()

    run(story())
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("code", "status", "reason", "word"),
    [
        ("AccessDenied", 403, FailureReason.AUTH, "cloudwatch:GetMetricData"),
        ("ExpiredTokenException", 403, FailureReason.AUTH, "expired"),
        ("UnrecognizedClientException", 403, FailureReason.AUTH, "does not know"),
        ("SignatureDoesNotMatch", 403, FailureReason.AUTH, "clock"),
        ("ValidationError", 400, FailureReason.BAD_QUERY, "it says no"),
        ("InvalidParameterValue", 400, FailureReason.BAD_QUERY, "it says no"),
        ("InternalServiceFault", 500, FailureReason.UNAVAILABLE, "it says no"),
        ("Oddity", 503, FailureReason.UNAVAILABLE, "503"),
    ],
)
def test_what_aws_refuses(aws: CloudWatch, code: str, status: int, reason: FailureReason, word: str) -> None:
    aws.wire.always = refused(code, status=status)
    failed, up = ask(aws, ONE, {"measure": "up"}, timeout="10s")
    assert bad(failed).reason is reason
    assert word in bad(failed).message
    if code in ("AccessDenied", "ValidationError", "InvalidParameterValue"):
        assert good(up).values == [1.0]
    else:
        assert bad(up).reason is reason


def test_up_is_told_by_the_data_or_asked_for_without_a_price(aws: CloudWatch) -> None:
    assert good(ask(aws, {"measure": "up"})[0]).values == [1.0]
    assert aws.calls("GetMetricData") == []
    _, up = ask(aws, ONE, {"measure": "up"})
    assert good(up).values == [1.0]
    assert len(aws.wire.log) == 2


def test_without_credentials_it_says_how_to_give_some(aws: CloudWatch) -> None:
    bare = {key: value for key, value in aws.settings.items() if "key" not in key}
    source = build(CloudWatchSource, bare)
    ((data, up),) = run(polled(source, [query(CloudWatchSource, each) for each in (ONE, {"measure": "up"})]))
    for answer in (data, up):
        assert bad(answer).reason is FailureReason.AUTH
        assert "AWS_ACCESS_KEY_ID" in bad(answer).message
    assert aws.wire.log == []


def test_a_silent_metadata_service_is_a_matter_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer() as hole:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{hole.port}")
        source = build(CloudWatchSource, {"region": "us-east-1", "timeout": "300ms"})
        ((data, up),) = run(polled(source, [query(CloudWatchSource, each) for each in (ONE, {"measure": "up"})]))
    assert bad(data).reason is bad(up).reason is FailureReason.AUTH


def test_an_unknown_profile_is_named(aws: CloudWatch) -> None:
    source = build(CloudWatchSource, {"region": "us-east-1", "profile": "nobody"})
    ((answer,),) = run(polled(source, [query(CloudWatchSource, ONE)]))
    assert bad(answer).reason is FailureReason.AUTH
    assert "nobody" in bad(answer).message


def test_of_a_late_instance_nobody_is_told_what_ec2_says(aws: CloudWatch) -> None:
    aws.instances = dict.fromkeys((WEB_1, WEB_2), "running")
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_1}, minutes(1.0, None, None))
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_2}, minutes(1.0, None, None, None))
    assert good(ask(aws, CPU)[0]).notes == {(("InstanceId", WEB_2),): "EC2 says that it is running"}


def test_a_running_instance_that_is_silent_is_unseen_and_an_agent_that_is_silent_is_missing(aws: CloudWatch) -> None:
    aws.instances = {WEB_1: "running", WEB_2: "stopped"}
    agent = {"namespace": "CWAgent", "metric": "mem_used_percent", "dimensions": {"InstanceId": "*"}}
    for host in (WEB_1, WEB_2):
        aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": host}, minutes(1.0, None, None, None))
        aws.put("CWAgent", "mem_used_percent", {"InstanceId": host}, minutes(1.0, None, None, None))
    machine, inside = (good(each) for each in ask(aws, CPU, agent))
    assert machine.blind == {(("InstanceId", WEB_1),)}
    assert inside.blind == frozenset()


def test_a_terminated_instance_is_gone_and_a_stopped_one_is_not(aws: CloudWatch) -> None:
    third, forth = WEB_1[:-1] + "2", WEB_1[:-1] + "3"
    for host in (WEB_1, WEB_2, third, forth):
        aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": host}, minutes(1.0, 2.0, None, None, None))
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": "i-0123456789abcdef4"}, minutes(1.0, 1.0))
    # The third one ended so long ago that EC2 has forgotten it.
    aws.instances = {WEB_1: "terminated", WEB_2: "stopped", forth: "shutting-down"}

    async def story() -> tuple[Samples, Samples]:
        source = build(CloudWatchSource, aws.settings)
        (first,) = await source.poll([query(CloudWatchSource, CPU)], NOW)
        (second,) = await source.poll([query(CloudWatchSource, CPU)], NOW + 1)
        await source.close()
        return good(first), good(second)

    first, second = run(story())
    assert first.gone == second.gone == {(("InstanceId", host),) for host in (WEB_1, third)}
    # Of those that are not gone a person is told what EC2 says.
    assert first.notes[("InstanceId", WEB_2),] == "EC2 says that it is stopped"
    assert first.notes[("InstanceId", forth),] == "EC2 says that it is shutting-down"
    assert not any(("InstanceId", "i-0123456789abcdef4") in series for series in first.notes)
    assert {row["InstanceId"] for row in first.labels} == {WEB_2, forth, "i-0123456789abcdef4"}
    # The second question is about those that are left of the first; nothing is asked again within a minute.
    assert len(aws.calls("DescribeInstances")) == 2


def test_without_the_permission_nothing_is_gone_and_ec2_is_left_alone(aws: CloudWatch) -> None:
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_1}, minutes(1.0, None, None, None))
    aws.denied.add("ec2:DescribeInstances")

    async def story() -> list[PollResult]:
        source = build(CloudWatchSource, aws.settings)
        answers = [(await source.poll([query(CloudWatchSource, CPU)], NOW + 60 * n))[0] for n in range(3)]
        await source.close()
        return answers

    for answer in run(story()):
        assert good(answer).gone == frozenset()
    assert len(aws.calls("DescribeInstances")) == 1


def test_history_is_what_polls_would_have_answered(aws: CloudWatch) -> None:
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_1}, minutes(*range(1, 61)))
    aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": WEB_2}, minutes(5.0, None, None, 7.0, until=EDGE - 600))
    aws.instances = {WEB_2: "running"}
    asked = query(CloudWatchSource, CPU)

    async def story() -> tuple[list[tuple[float, PollResult]], list[tuple[float, PollResult]]]:
        source = build(CloudWatchSource, aws.settings)
        past = await source.history(asked, NOW - 1800, NOW, 30.0)
        before = len(aws.wire.log)
        live = [(NOW - 1800 + 30 * n, (await source.poll([asked], NOW - 1800 + 30 * n))[0]) for n in range(61)]
        await source.close()
        assert before == 2
        assert past is not None
        return past, live

    past, live = run(story())
    assert [at for at, _ in past] == [at for at, _ in live]
    for (_, then), (_, now) in zip(past, live, strict=True):
        assert rows(then) == rows(now)


def test_history_ends_where_cloudwatch_forgets(aws: CloudWatch) -> None:
    aws.put("App", "errors", {}, minutes(*range(1, 31)))

    async def story(period: str, back: float) -> list[tuple[float, PollResult]]:
        source = build(CloudWatchSource, aws.settings)
        past = await source.history(query(CloudWatchSource, {**ONE, "period": period}), NOW - back, NOW, back / 10)
        await source.close()
        assert past is not None
        return past

    day = 86_400.0
    for period, kept in (("10s", 3 * 3600.0), ("1m", 15 * day), ("5m", 63 * day), ("1h", 455 * day)):
        past = run(story(period, 1.25 * kept))
        assert [isinstance(result, PollFailed) for _, result in past[:2]] == [True, True], period
        assert all(isinstance(result, Samples) for _, result in past[3:]), period
    assert all(len(each["MetricDataQueries"]) <= 500 for each in aws.calls("GetMetricData"))


def test_history_of_bad_weather_is_unknown(aws: CloudWatch) -> None:
    aws.denied.add("cloudwatch:ListMetrics")

    async def story() -> list[tuple[float, PollResult]]:
        source = build(CloudWatchSource, aws.settings)
        past = await source.history(query(CloudWatchSource, CPU), NOW - 600, NOW, 60.0)
        assert await source.history(query(CloudWatchSource, {"measure": "up"}), NOW - 600, NOW, 60.0) is None
        assert await source.history(query(CloudWatchSource, CPU), NOW, NOW - 600, 60.0) == []
        await source.close()
        assert past is not None
        return past

    assert [bad(result).reason for _, result in run(story())] == [FailureReason.AUTH] * 11


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "needs one of"),
        ({**ONE, "measure": "up"}, "needs one of"),
        ({"metric": "errors"}, "namespace"),
        ({**ONE, "stat": "p101"}, "statistic"),
        ({**ONE, "stat": "average"}, "statistic"),
        ({**ONE, "period": "7s"}, "period|whole minutes"),
        ({**ONE, "period": "90s"}, "whole minutes"),
        ({**ONE, "metrics": {"e": ONE}}, "does nothing"),
        ({"measure": "up", "stat": "Sum"}, "does nothing"),
        ({"expression": "1 + 1"}, "needs the table"),
        ({"expression": "SUM(METRICS())", "metrics": {"e": ONE}}, "METRICS"),
        ({"expression": "e / r", "metrics": {"e": ONE}, "stat": "Sum"}, "does nothing"),
        ({"expression": "e", "metrics": {"e": ONE, "r": ONE}}, "`r`"),
        ({"expression": "E", "metrics": {"E": ONE}}, "no name"),
        ({**ONE, "account": "12"}, "account"),
    ],
)
def test_queries_that_cannot_be_meant(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        query(CloudWatchSource, fields)


def test_settings_that_cannot_be_meant() -> None:
    region = {"region": "us-east-1"}
    for fields, word in (
        ({}, "region"),
        ({"region": "Ohio"}, "region"),
        ({**region, "access_key_id": "A"}, "need each other"),
        ({**region, "session_token": SECRET}, "access_key_id"),
        ({**region, "access_key_id": "A", "secret_access_key": SECRET, "profile": "p"}, "both"),
        ({**region, "external_id": SECRET}, "role_arn"),
        ({**region, "delay": "31m"}, "delay"),
        ({**region, "endpoint_url": f"http://me:{SECRET}@x"}, "endpoint_url"),
    ):
        with pytest.raises(ValueError, match=word) as caught:
            build(CloudWatchSource, fields)
        assert SECRET not in str(caught.value)


def test_the_rules_names_become_ids_but_texts_stay() -> None:
    from evaluator.sources.cloudwatch_plan import batches_of, items_of
    from evaluator.sources.cloudwatch_query import CloudWatchQuery

    fields = {"expression": "IF(e > 1, e, FILL(err, 0)) + m1", "metrics": {"e": ONE, "err": ONE, "m1": ONE}}
    (item,) = items_of(CloudWatchQuery.model_validate(fields), {})
    (batch,) = batches_of([item], {60.0: 300.0})
    assert batch.queries[-1]["Expression"] == "IF(m0 > 1, m0, FILL(m0, 0)) + m0"
    assert [each["ReturnData"] for each in batch.queries] == [False, True]
