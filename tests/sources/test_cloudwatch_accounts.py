"""Who `cloudwatch` is to AWS, what the doctor finds, and moto's server as a second opinion of the API."""

import asyncio
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from structlog.testing import capture_logs

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.cloudwatch import CloudWatchSource
from evaluator.sources.cloudwatch_answer import samples_of
from evaluator.sources.cloudwatch_errors import failure_of
from evaluator.testing.cloudwatch import ACCOUNT, KEY_ID, SECRET, CloudWatch, refused, settings_at
from evaluator.testing.servers import free_port
from evaluator.testing.sources import NOW, build, polled, query, run

EDGE = NOW // 60 * 60 - 120
ROLE = "arn:aws:iam::123456789012:role/monitoring"
LOAD: dict[str, Any] = {"namespace": "App", "metric": "load"}
CPU: dict[str, Any] = {"namespace": "AWS/EC2", "metric": "CPUUtilization", "dimensions": {"InstanceId": "*"}}


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
        look_alike.put("App", "load", {}, {EDGE - 60: 1.0, EDGE - 120: 1.0})
        yield look_alike


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def ask(settings: Mapping[str, Any], *queries: Mapping[str, Any], now: float = NOW) -> list[PollResult]:
    asked = [query(CloudWatchSource, each) for each in queries]
    answers: list[list[PollResult]] = run(polled(build(CloudWatchSource, settings), asked, now))
    return answers[0]


def examined(settings: Mapping[str, Any], *queries: Mapping[str, Any], now: float = NOW) -> dict[str, Checkup]:
    async def look() -> Sequence[Checkup]:
        source = build(CloudWatchSource, settings)
        assert isinstance(source, CloudWatchSource)
        await source.open()
        try:
            return await source.examine([query(CloudWatchSource, each) for each in queries], now)
        finally:
            await source.close()

    found = run(look())
    return {checkup.subject: checkup for checkup in found}


# Who we are.


def test_a_role_is_assumed_with_its_external_id_and_once(aws: CloudWatch) -> None:
    aws.external_id = "s3cret-external-id"
    settings = {**aws.settings, "role_arn": ROLE}

    async def story() -> None:
        source = build(CloudWatchSource, {**settings, "external_id": "s3cret-external-id"})
        for number in range(3):
            answers = await source.poll([query(CloudWatchSource, LOAD)], NOW + 60 * number)
            assert isinstance(answers[0], Samples), answers
        await source.close()

    run(story())
    assert len(aws.calls("AssumeRole")) == 1
    assert aws.calls("AssumeRole")[0]["RoleArn"] == ROLE
    (wrong,) = ask({**settings, "external_id": "another"}, LOAD)
    assert isinstance(wrong, PollFailed)
    assert wrong.reason is FailureReason.AUTH
    assert "sts:AssumeRole" in wrong.message
    assert "another" not in wrong.message


def test_the_credentials_of_a_role_are_renewed_before_they_expire(aws: CloudWatch) -> None:
    aws.role_lasts = 30.0

    async def story() -> None:
        source = build(CloudWatchSource, {**aws.settings, "role_arn": ROLE})
        for number in range(3):
            answers = await source.poll([query(CloudWatchSource, LOAD)], NOW + 60 * number)
            assert isinstance(answers[0], Samples), answers
        await source.close()

    run(story())
    assert len(aws.calls("AssumeRole")) >= 3


def test_a_profile_of_the_shared_file_is_used(aws: CloudWatch, tmp_path: Path) -> None:
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "credentials").write_text(f"[monitoring]\n{keys}")
    bare = {key: value for key, value in aws.settings.items() if "key" not in key}
    (answer,) = ask({**bare, "profile": "monitoring"}, LOAD)
    assert isinstance(answer, Samples), answer


def test_credentials_that_come_later_are_found(aws: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.sources.cloudwatch_client._LOOK_AGAIN", 0.0)
    bare = {key: value for key, value in aws.settings.items() if "key" not in key}

    async def story() -> tuple[PollResult, PollResult]:
        source = build(CloudWatchSource, bare)
        asked = [query(CloudWatchSource, LOAD)]
        (before,) = await source.poll(asked, NOW)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        (after,) = await source.poll(asked, NOW)
        await source.close()
        return before, after

    before, after = run(story())
    assert isinstance(before, PollFailed)
    assert before.reason is FailureReason.AUTH
    assert isinstance(after, Samples), after


def test_another_account_is_asked_for_by_its_number(aws: CloudWatch) -> None:
    ask(
        aws.settings, {**LOAD, "account": "210987654321"}, {**LOAD, "dimensions": {"x": "*"}, "account": "210987654321"}
    )
    assert aws.calls("GetMetricData")[0]["MetricDataQueries"][0]["AccountId"] == "210987654321"
    assert aws.calls("ListMetrics")[0]["OwningAccount"] == "210987654321"


# What the doctor finds.


def test_the_doctor_of_a_well_installation(aws: CloudWatch) -> None:
    found = examined(aws.settings, LOAD)
    assert {each.grade for each in found.values()} == {Grade.FINE}
    assert f"account {ACCOUNT}" in found["credentials"].found
    assert "1 metrics" in found["cost"].found
    assert "$0.43 a month" in found["cost"].found


def test_the_doctor_prints_the_policy_that_is_missing(aws: CloudWatch) -> None:
    instance = {"InstanceId": "i-0123456789abcdef0"}
    aws.put("AWS/EC2", "CPUUtilization", instance, {EDGE - 60: 1.0})
    aws.denied = {
        "cloudwatch:ListMetrics",
        "cloudwatch:GetMetricData",
        "ec2:DescribeInstances",
        "sts:GetCallerIdentity",
    }
    found = examined(aws.settings, LOAD, CPU)
    for action in ("cloudwatch:ListMetrics", "cloudwatch:GetMetricData"):
        assert found[f"permission {action}"].grade is Grade.WRONG
        assert f'"Action": ["{action}"]' in found[f"permission {action}"].mend
    ec2 = found["permission ec2:DescribeInstances"]
    assert ec2.grade is Grade.WARNING
    assert "terminated" in ec2.found
    assert '"ec2:DescribeInstances"' in ec2.mend


def test_the_doctor_warns_of_dear_rules_and_of_periods_shorter_than_the_metrics(aws: CloudWatch) -> None:
    for number in range(200):
        aws.put("App", "many", {"n": str(number)}, {EDGE - 300 * back: 1.0 for back in range(1, 4)})
    many = {"namespace": "App", "metric": "many", "dimensions": {"n": "*"}}
    found = examined(aws.settings, many)
    assert found["cost"].grade is Grade.WARNING
    assert "200 metrics" in found["cost"].found
    assert "$86.40" in found["cost"].found
    (slow,) = (each for subject, each in found.items() if subject.startswith("query"))
    assert slow.grade is Grade.WARNING
    assert 'period = "5m"' in slow.mend


def test_the_doctor_says_what_is_wrong_with_a_query(aws: CloudWatch) -> None:
    aws.bad_metrics = {"wrong"}
    found = examined(
        aws.settings,
        LOAD,
        {"namespace": "App", "metric": "wrong"},
        {"namespace": "app", "metric": "load"},
        {"namespace": "App", "metric": "load", "dimensions": {"host": "*"}},
    )
    grades = [each.grade for subject, each in found.items() if subject.startswith("query")]
    assert grades == [Grade.WRONG, Grade.WARNING, Grade.WARNING]


def test_the_doctor_says_where_aws_cannot_be_reached() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    found = examined(settings_at(nobody), CPU)
    wrong = [each for each in found.values() if each.grade is Grade.WRONG]
    assert wrong
    assert all("a firewall or a proxy" in each.mend for each in wrong)
    assert "without 1 of the queries" in found["cost"].found


def test_the_doctor_says_who_is_not_known(aws: CloudWatch) -> None:
    (only,) = examined({**aws.settings, "access_key_id": "AKIASTRANGER"}, LOAD).values()
    assert only.grade is Grade.WRONG
    bare = {key: value for key, value in aws.settings.items() if "key" not in key}
    (only,) = examined(bare, LOAD).values()
    assert only.grade is Grade.WRONG
    assert "AWS_ACCESS_KEY_ID" in only.mend


def test_a_throttled_sts_is_no_wrong_credential(aws: CloudWatch) -> None:
    aws.wire.forecast(*[refused("ServiceUnavailable", status=503)] * 3)
    found = examined(aws.settings, LOAD)
    assert found["permission cloudwatch:GetMetricData"].grade is Grade.FINE


# moto's server, which is not ours.


def test_moto_has_the_same_api(moto: str) -> None:
    keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    now = math.floor(datetime.now(UTC).timestamp() / 60) * 60.0
    with_keys = {"region": "us-east-1", "endpoint_url": moto, "access_key_id": "a", "secret_access_key": "b"}
    cloudwatch = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=moto, **keys)
    ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=moto, **keys)
    (image,) = ec2.describe_images(Owners=["amazon"])["Images"][:1]
    started = ec2.run_instances(ImageId=image["ImageId"], MinCount=3, MaxCount=3)["Instances"]
    ended, stopped, alive = (each["InstanceId"] for each in started)
    ec2.terminate_instances(InstanceIds=[ended])
    ec2.stop_instances(InstanceIds=[stopped])
    for host in (ended, stopped, alive):
        for back in (6, 5) if host != alive else (6, 5, 4, 3):
            datum: Any = {
                "MetricName": "CPUUtilization",
                "Dimensions": [{"Name": "InstanceId", "Value": host}],
                "Timestamp": datetime.fromtimestamp(now - 60 * back, UTC),
                "Value": float(back),
            }
            cloudwatch.put_metric_data(Namespace="AWS/EC2", MetricData=[datum])
    asked = [CPU, {**CPU, "dimensions": {"InstanceId": alive}, "stat": "Maximum"}, {"measure": "up"}]
    for settings in (with_keys, {**with_keys, "role_arn": ROLE, "external_id": "outside"}):
        every, one, up = ask(settings, *asked, now=now)
        assert isinstance(every, Samples), every
        assert every.gone == {(("InstanceId", ended),)}
        assert {row["InstanceId"] for row in every.labels} == {stopped, alive}
        assert isinstance(one, Samples), one
        assert list(one.values) == [6.0, 5.0, 4.0, 3.0]
        assert one.at is not None
        assert [at - now for at in one.at] == [-300.0, -240.0, -180.0, -120.0]
        assert isinstance(up, Samples)
        assert up.values == [1.0]
    found = examined(with_keys, CPU, now=now)
    assert {each.grade for each in found.values()} == {Grade.FINE}
    cloudwatch.close()
    ec2.close()


def test_a_poll_that_nobody_waits_for_stops_asking(aws: CloudWatch) -> None:
    async def story() -> int:
        source = build(CloudWatchSource, {**aws.settings, "timeout": "200ms"})
        aws.wire.always = refused("InternalServiceFault", status=500)
        await source.poll([query(CloudWatchSource, LOAD)], NOW)
        before = len(aws.wire.log)
        await asyncio.sleep(2.5)
        await source.close()
        return len(aws.wire.log) - before

    assert run(story()) <= 1


def test_a_mistake_of_ours_is_called_one_and_keeps_its_traceback() -> None:
    with pytest.raises(TypeError) as caught:
        samples_of(None, (), frozenset())  # type: ignore[arg-type]  # That is the mistake.
    mistake = caught.value
    with capture_logs() as logs:
        failed = failure_of(mistake, "CloudWatch in eu-west-1", 1.0)
    assert failed.reason is FailureReason.INTERNAL
    assert "a mistake of ours" in failed.message
    assert [entry["exc_info"] for entry in logs] == [mistake]
    with pytest.raises(KeyError) as unread:
        os.environ["NO SUCH NAME"]
    with capture_logs() as logs:
        failed = failure_of(unread.value, "CloudWatch in eu-west-1", 1.0)
    assert failed.reason is FailureReason.BAD_ANSWER
    assert logs == []
