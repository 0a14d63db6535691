"""The shipped rules that ask CloudWatch: a look-alike with the day of two instances in it, asked through boto3."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evaluator.incidents.incident import CloseReason
from evaluator.testing.cloudwatch import CloudWatch
from tests.rules.shipped import START, Watch, watch

BAD, WELL = "i-0123456789abcdef0", "i-0123456789abcdef1"


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@contextmanager
def lived(
    rule: str, metric: str, usual: float, bad: float, *, minutes: tuple[int, int, int], period: int = 1
) -> Iterator[tuple[Watch, CloudWatch]]:
    """Watch two instances from `START` on; one of them is bad from a minute to another, and seen until a third."""
    begins, ends, last = minutes
    with CloudWatch() as aws:
        aws.instances = {BAD: "running", WELL: "running"}
        for minute in range(-60, last, period):
            value = bad if begins <= minute < ends else usual
            aws.put("AWS/EC2", metric, {"InstanceId": BAD}, {START + 60 * minute: value})
        for minute in range(-60, 300, period):
            aws.put("AWS/EC2", metric, {"InstanceId": WELL}, {START + 60 * minute: usual})
        with watch(rule, **aws.settings) as watched:
            watched.is_quiet()
            watched.look_until(watched.rule.tiers[0].limit, within=3600)
            assert not watched.incidents
            assert watched.now - START - 60 * begins <= 120 + 2 * watched.rule.every
            yield watched, aws


def test_an_instance_that_fails_its_checks_opens_and_closes_when_it_passes_them() -> None:
    with lived("ec2-instance-down", "StatusCheckFailed", 0, 1, minutes=(20, 40, 120)) as (watched, _):
        incident = watched.opens("P0")
        assert incident.title == f"EC2 instance {BAD} is down"
        assert incident.group == (("InstanceId", BAD),)
        watched.stays_open_while_blind()
        # The minute that begins 3 minutes after the end is complete, and published, another 3 minutes later.
        watched.look_for(START + 60 * (40 + 3 + 3) - watched.now)
        assert watched.open
        watched.look()
        assert [each.close_reason for each in watched.incidents] == [CloseReason.RECOVERED]


def test_an_instance_that_is_terminated_ends_its_incident_as_gone() -> None:
    with lived("ec2-instance-down", "StatusCheckFailed", 0, 1, minutes=(20, 30, 30)) as (watched, aws):
        watched.opens("P0")
        aws.instances[BAD] = "terminated"
        watched.look_for(900)
        assert [each.close_reason for each in watched.incidents] == [CloseReason.GONE]


def test_an_instance_that_is_stopped_opens_and_closes_when_it_is_started() -> None:
    with CloudWatch() as aws, watch("ec2-instance-down", **aws.settings) as watched:
        aws.instances = {BAD: "running"}
        for minute in [*range(-60, 30), *range(60, 120)]:
            aws.put("AWS/EC2", "StatusCheckFailed", {"InstanceId": BAD}, {START + 60 * minute: 0})
        watched.look_for(60 * 30)
        aws.instances[BAD] = "stopped"
        # Its last point is of minute 30. Silence counts after 3 steps and the rule's lag, and then for 2 minutes.
        watched.look_for(START + 60 * (30 + 3 + 5) - watched.now)
        assert not watched.open
        watched.look_for(60 * 7)
        (incident,) = watched.open
        watched.says(incident, "P0")
        assert incident.title == f"EC2 instance {BAD} is down"
        watched.stays_open_while_blind()
        watched.look_for(START + 60 * 60 - watched.now)
        assert watched.open
        aws.instances[BAD] = "running"
        watched.look_for(60 * 10)
        assert [each.close_reason for each in watched.incidents] == [CloseReason.RECOVERED]


def test_metrics_that_are_late_for_an_hour_page_for_no_instance_that_runs() -> None:
    with CloudWatch() as aws, watch("ec2-instance-down", **aws.settings) as watched:
        aws.instances = {BAD: "running", WELL: "running"}
        for minute in [*range(-60, 20), *range(80, 200)]:
            for instance in aws.instances:
                aws.put("AWS/EC2", "StatusCheckFailed", {"InstanceId": instance}, {START + 60 * minute: 0})
        watched.look_for(60 * 120)
        assert not watched.incidents
        # Whatever becomes of them after that is seen.
        aws.put(
            "AWS/EC2",
            "StatusCheckFailed",
            {"InstanceId": BAD},
            dict.fromkeys(range(int(START) + 7200, int(START) + 9000, 60), 1),
        )
        watched.look_for(60 * 10)
        assert [incident.group for incident in watched.open] == [(("InstanceId", BAD),)]


def test_an_instance_that_scaling_takes_away_pages_nobody() -> None:
    with CloudWatch() as aws, watch("ec2-instance-down", **aws.settings) as watched:
        for minute in range(-60, 10):
            aws.put("AWS/EC2", "StatusCheckFailed", {"InstanceId": BAD}, {START + 60 * minute: 0})
        watched.look_for(60 * 10)
        aws.instances = {BAD: "terminated"}
        watched.look_for(60 * 60)
        assert not watched.incidents


@pytest.mark.parametrize("points", [5, 1])
def test_a_busy_instance_opens_and_closes_with_basic_and_with_detailed_monitoring(points: int) -> None:
    with lived("cpu-high", "CPUUtilization", 30.0, 96.5, minutes=(20, 60, 200), period=points) as (watched, _):
        incident = watched.opens("P1")
        assert incident.title == f"CPU of {BAD} is 96.5 %"
        watched.stays_open_while_blind(2)
        watched.look_for(START + 60 * (60 + 5 + 5) - watched.now)
        assert watched.open
        watched.look_for(600)
        assert [each.close_reason for each in watched.incidents] == [CloseReason.RECOVERED]
