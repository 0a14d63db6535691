"""What `evaluator doctor` says of CloudWatch: who we are, what we may do, and what the rules cost in a month.

This module knows permissions and prices. It changes nothing at AWS; what it asks is what one poll asks.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.engine.units import format_duration
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.cloudwatch_answer import Answer
from evaluator.sources.cloudwatch_client import Aws
from evaluator.sources.cloudwatch_errors import DENIALS, WAYS, code_of, failure_of
from evaluator.sources.cloudwatch_instances import NAMESPACES, states
from evaluator.sources.cloudwatch_plan import Item, edge_of, lookback, wanted_of
from evaluator.sources.cloudwatch_query import CloudWatchQuery, CloudWatchSettings
from evaluator.sources.cloudwatch_reader import Plan, Reader, Talk

PRICE = 0.01 / 1000
"""Dollars for a metric requested by GetMetricData (https://aws.amazon.com/cloudwatch/pricing/)."""
DEAR = 50.0
"""Dollars a month from which on a warning is due."""
_REACH = "see that `region` (or `endpoint_url`) is right, and that a firewall or a proxy lets this machine reach AWS"
_MENDS = {
    FailureReason.BAD_QUERY: "mend the query of the rule",
    FailureReason.TOO_BIG: "mend the query of the rule",
    FailureReason.RATE_LIMITED: "try again; if it stays so, ask for fewer metrics, or AWS for a higher quota",
    FailureReason.UNAVAILABLE: "try again; https://health.aws.amazon.com says whether AWS has trouble",
    FailureReason.BAD_ANSWER: "see that `endpoint_url`, or a proxy, leads to AWS",
}
"""How to mend what is neither a credential nor a permission; else it was not reached."""
_MONTH = 30 * 86_400.0
_PERIODS = 12
_CHOOSE_PERIOD = "a period shorter than the metric's own costs more and says no more"


def policy(*actions: str) -> str:
    """Return an IAM policy that allows these actions, which know no narrower resource."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Examination:
    """One look at everything that polls need."""

    def __init__(self, aws: Aws, reader: Reader, settings: CloudWatchSettings, where: str) -> None:
        """Ask nothing yet."""
        self._aws = aws
        self._reader = reader
        self._settings = settings
        self._where = where

    async def examine(self, queries: Mapping[str, CloudWatchQuery], now: float) -> list[Checkup]:
        """Return what was found; it never raises for the weather."""
        until = asyncio.get_running_loop().time() + self._settings.timeout
        metrics = {spec: query for spec, query in queries.items() if query.measure is None}
        who, listing, data, instances = await asyncio.gather(
            self._credentials(until),
            self._listing(until),
            self._data(metrics, now, until),
            self._instances(metrics, until),
        )
        # Without credentials everything else says the same.
        return [who] if who.grade is Grade.WRONG else [who, listing, *data, *instances]

    async def _credentials(self, until: float) -> Checkup:
        """Say who we are to AWS."""
        subject = "credentials"
        try:
            found = await self._aws.do("sts", self._identity, until)
        except Exception as error:  # noqa: BLE001 - every error of boto3 is a reason here.
            failed = self._failure(error)
            if failed.reason is FailureReason.AUTH and code_of(error) not in DENIALS:
                return Checkup(Grade.WRONG, subject, failed.message, f"mend the credentials; {WAYS}")
            found = f"whose they are, STS does not say: {failed.message}"
            return Checkup(Grade.WARNING, subject, found, "let this machine reach STS, if you want to know")
        return Checkup(Grade.FINE, subject, found)

    def _identity(self, client: Any) -> str:  # noqa: ANN401  # A client of boto3.
        kind = self._aws.credentials()
        identity = client.get_caller_identity()
        return f"{kind}: account {identity.get('Account')}, {identity.get('Arn')}"

    async def _listing(self, until: float) -> Checkup:
        """Try what `"*"` needs."""
        action = "cloudwatch:ListMetrics"
        try:
            await self._aws.do("cloudwatch", lambda client: client.list_metrics(Namespace="AWS/EC2"), until)
        except Exception as error:  # noqa: BLE001 - every error of boto3 is a reason here.
            return self._refused(action, self._failure(error), Grade.WRONG)
        return Checkup(Grade.FINE, f"permission {action}", "granted")

    async def _data(self, queries: Mapping[str, CloudWatchQuery], now: float, until: float) -> list[Checkup]:
        """Ask what the rules ask, and reckon what that costs."""
        action = "cloudwatch:GetMetricData"
        # Without a rule there is still the permission to be tried, with the cheapest question there is.
        asked = queries or {"": CloudWatchQuery(namespace="AWS/EC2", metric="CPUUtilization", period="5m")}  # type: ignore[arg-type]  # It is parsed.
        talk = Talk()
        plan = await self._reader.plan(asked, talk, until)
        items = list(dict.fromkeys(item for some in plan.items.values() for item in some))
        ranges = {}
        for period in {item.period for item in items}:
            edge = edge_of(period, now, self._settings.delay)
            ranges[period] = (edge - max(lookback(period), _PERIODS * period), edge)
        answers = await self._reader.read(items, ranges, talk, until)
        denied = next((each for each in map(self._failure, talk.errors) if each.reason is FailureReason.AUTH), None)
        failed = next((answer.failed for answer in answers.values() if answer.failed is not None), None)
        if failed is not None and all(answer.failed is not None for answer in answers.values()):
            return [self._refused(action, failed, Grade.WRONG)]
        checks = [Checkup(Grade.FINE, f"permission {action}", "granted")] if answers else []
        if denied is not None and not answers:
            checks = []
        checks += [each for spec, query in queries.items() for each in self._query(spec, query, plan, answers)]
        return checks + ([self._cost(items, len(plan.failed))] if queries else [])

    def _query(self, spec: str, query: CloudWatchQuery, plan: Plan, answers: Mapping[Item, Answer]) -> list[Checkup]:
        """Say what is wrong with the query of a rule."""
        subject = f"query {spec}"
        if spec in plan.failed:
            return [self._refused("cloudwatch:ListMetrics", plan.failed[spec], Grade.WRONG, subject)]
        mine = [answers[item] for item in plan.items[spec]]
        failed = next((answer.failed for answer in mine if answer.failed is not None), None)
        if failed is not None:
            return [Checkup(Grade.WRONG, subject, failed.message, "mend the query of the rule")]
        rows = [row for answer in mine for row in answer.points.values() if row]
        if not rows:
            what = "no such metric was found" if wanted_of(query) and not mine else "there are no points of late"
            mend = "see whether namespace, name and dimensions are right, all of them: they are case-sensitive"
            return [Checkup(Grade.WARNING, subject, what, mend)]
        gaps = [later[0] - sooner[0] for row in rows for sooner, later in pairwise(row)]
        period = query.period or 60.0
        if gaps and min(gaps) > 1.5 * period:
            own = format_duration(min(gaps))
            found = f"it has a point every {own}, and is asked for every {format_duration(period)}"
            return [Checkup(Grade.WARNING, subject, found, f'write `period = "{own}"`: {_CHOOSE_PERIOD}')]
        return []

    def _cost(self, items: Sequence[Item], unknown: int) -> Checkup:
        """Reckon what a month costs; of some queries it is unknown what they would ask for."""
        metrics = {(metric, item.account, item.period) for item in items for _, metric in item.metrics}
        dollars = sum(_MONTH / period * PRICE for _, _, period in metrics)
        found = f"{len(metrics)} metrics, each asked for once in its period: about ${dollars:.2f} a month"
        if any(item.many for item in items):
            found += ", and what SEARCH and SELECT find"
        if unknown:
            found += f", without {unknown} of the queries, whose metrics are not known"
        if dollars <= DEAR:
            return Checkup(Grade.FINE, "cost", found)
        return Checkup(Grade.WARNING, "cost", found, "ask for fewer metrics, or for longer periods (`period`)")

    async def _instances(self, queries: Mapping[str, CloudWatchQuery], until: float) -> list[Checkup]:
        """Try whether terminated instances can be told from silent ones, where a rule has instances."""
        names = {(query.namespace, "InstanceId" in query.dimensions) for query in queries.values()}
        names |= {
            (each.namespace, "InstanceId" in each.dimensions) for q in queries.values() for each in q.metrics.values()
        }
        if not any(own and namespace in NAMESPACES for namespace, own in names):
            return []
        action = "ec2:DescribeInstances"
        try:
            await self._aws.do("ec2", lambda client: states(client, ["i-00000000000000000"]), until)
        except Exception as error:  # noqa: BLE001 - every error of boto3 is a reason here.
            check = self._refused(action, self._failure(error), Grade.WARNING)
            found = f"{check.found}; a terminated instance cannot be told from a silent one, so its alerts stay"
            return [Checkup(check.grade, check.subject, found, check.mend)]
        return [Checkup(Grade.FINE, f"permission {action}", "granted")]

    def _failure(self, error: Exception) -> PollFailed:
        return failure_of(error, self._where, self._settings.timeout)

    @staticmethod
    def _refused(action: str, failed: PollFailed, grade: Grade, subject: str = "") -> Checkup:
        """Say that something was refused, and how to grant it."""
        mend = _MENDS.get(failed.reason, _REACH)
        if failed.reason is FailureReason.AUTH:
            mend = f"attach this policy to the role or user: {policy(action)}"
        return Checkup(grade, subject or f"permission {action}", failed.message, mend)
