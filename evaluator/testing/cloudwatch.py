"""A look-alike of CloudWatch (with a little STS and EC2) that enforces the limits which real AWS documents.

It speaks the JSON protocol that boto3 chooses: GetMetricData with statistics, percentiles, plain arithmetic, SEARCH and
paging, and ListMetrics. What it knows is put into it by the test. Its weather is that of `wire`. It never knows what a
source makes of its answers.

    with CloudWatch() as aws:
        aws.put("AWS/EC2", "CPUUtilization", {"InstanceId": "i-1"}, {1_700_000_000: 12.5})
        settings = aws.settings
"""

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from evaluator.testing.weather import Heard, Reply, Weather, answer
from evaluator.testing.wire import WireServer

MOST_QUERIES = 500
MOST_POINTS = 100_800
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
KEY_ID, SECRET = "AKIAEVALUATORLOOKALI", "look-alike-secret-access-key"
ACCOUNT = "123456789012"
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_SEARCH = re.compile(r"""SEARCH\(\s*'\{([^}]*)\}\s+MetricName="([^"]*)"'\s*,\s*'(\w+)'""")
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and sorted dimensions of a metric."""
Line = dict[int, float]
"""Values by the start of their period."""


def throttled() -> Weather:
    """AWS asks for patience."""
    return answer(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


def refused(code: str, message: str = "it says no", status: int = 400) -> Weather:
    """AWS refuses a request with this code."""
    return answer(status, {"__type": f"com.amazonaws.cloudwatch#{code}", "message": message})


class RefusedError(Exception):
    """A request that is answered with an error of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class CloudWatch:
    """The look-alike: `with CloudWatch() as aws: ...`. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.wire = WireServer(self._reply)
        self.points: dict[Key, dict[float, list[float]]] = {}
        """The raw values of each metric, by time."""
        self.status: dict[str, str] = {}
        """The StatusCode of metrics by name, where it is not `Complete`."""
        self.denied: set[str] = set()
        """IAM actions that are not allowed, such as `cloudwatch:ListMetrics`."""
        self.bad_metrics: set[str] = set()
        """Names of metrics with which a whole request is a ValidationError."""
        self.unlisted: set[str] = set()
        """Names of metrics that ListMetrics does not know, because they have had no data of late."""
        self.page_points = MOST_POINTS
        """How many points a page has at most; less than AWS has makes more pages."""
        self.page_metrics = 500
        """How many metrics a page of ListMetrics has."""
        self.instances: dict[str, str] = {}
        """The state of each EC2 instance."""
        self.keys = {KEY_ID}
        """The ids of keys that it knows; those of assumed roles are added."""
        self.external_id = ""
        """What a role wants to hear, if anything."""
        self.role_lasts = 3600.0
        """Seconds for which the credentials of a role are good."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Every operation with its arguments, oldest first."""

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a source that asks it."""
        return {**settings_at(self.wire.url), "timeout": "5s"}

    def put(self, namespace: str, name: str, dimensions: Mapping[str, str], points: Mapping[float, float]) -> None:
        """Add values to a metric, by time."""
        with self.wire.lock:
            kept = self.points.setdefault((namespace, name, tuple(sorted(dimensions.items()))), {})
            for at, value in points.items():
                kept.setdefault(at, []).append(value)

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Return the arguments of every call of an operation."""
        with self.wire.lock:
            return [arguments for name, arguments in self.asked if name == operation]

    def __enter__(self) -> Self:
        self.wire.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.stop()

    def _reply(self, heard: Heard) -> Reply:
        """Answer a request of any of the three services."""
        target = heard.headers.get("x-amz-target", "")
        form = {} if target else {name: values[0] for name, values in parse_qs(heard.body.decode()).items()}
        operation = target.rpartition(".")[2] or form.get("Action", "")
        arguments = heard.json if target else form
        self.asked.append((operation, arguments))
        try:
            self._check_signature(heard)
            match operation:
                case "GetMetricData":
                    return self._json(self._get_metric_data(arguments))
                case "ListMetrics":
                    return self._json(self._list_metrics(arguments))
                case "AssumeRole":
                    return self._assume(arguments)
                case "GetCallerIdentity":
                    return self._identity()
                case "DescribeInstances":
                    return self._describe(arguments)
                case _:
                    raise RefusedError("UnknownOperationException", operation)  # noqa: TRY301  # Answered below, like all.
        except RefusedError as error:
            if not target:
                text = f"<Code>{error.code}</Code><Message>{error}</Message>"
                body = f"<Response><Errors><Error>{text}</Error></Errors><Error>{text}</Error></Response>"
                return Reply(error.status, body.encode(), {"Content-Type": "text/xml"})
            return self._json({"__type": f"com.amazonaws#{error.code}", "message": str(error)}, error.status)

    @staticmethod
    def _json(document: object, status: int = 200) -> Reply:
        return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    def _check_signature(self, heard: Heard) -> None:
        found = _CREDENTIAL.search(heard.headers.get("authorization", ""))
        if found is None:
            raise RefusedError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        if found[1] not in self.keys:
            raise RefusedError("UnrecognizedClientException", "The security token included is invalid.", 403)

    def _allow(self, action: str) -> None:
        if action in self.denied:
            who = f"arn:aws:iam::{ACCOUNT}:user/evaluator"
            text = f"User: {who} is not authorized to perform: {action}"
            raise RefusedError("UnauthorizedOperation" if action[:3] == "ec2" else "AccessDenied", text, 403)

    def _list_metrics(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._allow("cloudwatch:ListMetrics")
        filters = {each["Name"]: each.get("Value") for each in arguments.get("Dimensions", [])}
        if len(filters) > 10:
            raise RefusedError("ValidationError", "at most 10 dimension filters")
        found = [
            {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions]}
            for namespace, name, dimensions in sorted(self.points)
            if arguments.get("Namespace") in (None, namespace)
            and arguments.get("MetricName") in (None, name)
            and all(n in dict(dimensions) and v in (None, dict(dimensions)[n]) for n, v in filters.items())
            and name not in self.unlisted
        ]
        first = int(arguments.get("NextToken", 0))
        after = first + self.page_metrics
        return {"Metrics": found[first:after], **({"NextToken": str(after)} if after < len(found) else {})}

    def _get_metric_data(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._allow("cloudwatch:GetMetricData")
        queries = arguments["MetricDataQueries"]
        self._check_queries(queries, arguments)
        start, end = arguments["StartTime"], arguments["EndTime"]
        lines = {each["Id"]: self._line(each["MetricStat"], start, end) for each in queries if "MetricStat" in each}
        results: list[tuple[dict[str, Any], Line]] = []
        for each in queries:
            if not each.get("ReturnData", True):
                continue
            if "Expression" in each:
                found = self._expression(each, lines, start, end)
            else:
                name = each["MetricStat"]["Metric"]["MetricName"]
                found = {name: (self.status.get(name, "Complete"), lines[each["Id"]])}
            for label, (status, line) in found.items():
                results.append(({"Id": each["Id"], "Label": label, "StatusCode": status}, line))
        return self._page(results, arguments)

    def _page(self, results: Sequence[tuple[dict[str, Any], Line]], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Cut the results into pages: a result may begin on one page and go on with the next."""
        most = min(self.page_points, int(arguments.get("MaxDatapoints", MOST_POINTS)))
        newest_first = arguments.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        skip, left = int(arguments.get("NextToken", 0)), most
        page: list[dict[str, Any]] = []
        total = sum(len(line) for _, line in results)
        after = skip + most
        for head, line in results:
            points = sorted(line.items(), reverse=newest_first)
            begun = min(skip, len(points))
            skip -= begun
            here = points[begun : begun + left]
            left -= len(here)
            if here or not points:
                rest = begun + len(here) < len(points) and head["StatusCode"] == "Complete"
                times, values = [float(at) for at, _ in here], [value for _, value in here]
                status = "PartialData" if rest else head["StatusCode"]
                page.append({**head, "StatusCode": status, "Timestamps": times, "Values": values})
        return {
            "MetricDataResults": page,
            "Messages": [],
            **({"NextToken": str(after)} if after < total else {}),
        }

    def _check_queries(self, queries: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> None:
        """Refuse what AWS refuses."""
        ids = [each["Id"] for each in queries]
        selects = [each for each in queries if each.get("Expression", "").lstrip().upper().startswith("SELECT")]
        stats = [each["MetricStat"] for each in queries if "MetricStat" in each]
        wrong = {
            f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.": len(ids)
            > MOST_QUERIES,
            "The values for parameter id in MetricDataQueries are not unique.": len(set(ids)) < len(ids),
            "The value for parameter id is not valid.": not all(_ID.fullmatch(each) for each in ids),
            "The parameter EndTime must be greater than StartTime.": arguments["EndTime"] <= arguments["StartTime"],
            "Only one Metrics Insights query is allowed.": len(selects) > 1,
            "The parameter Period is not valid.": any(
                each["Period"] not in (1, 5, 10, 20, 30) and each["Period"] % 60 for each in stats
            ),
            "At least one query must return data.": not any(each.get("ReturnData", True) for each in queries),
            "The metric is not valid.": any(each["Metric"]["MetricName"] in self.bad_metrics for each in stats),
        }
        for text in (text for text, it_is_so in wrong.items() if it_is_so):
            raise RefusedError("ValidationError", text)

    def _line(self, stat: Mapping[str, Any], start: float, end: float) -> Line:
        """Return a metric's values by period; a metric that nobody has put has none."""
        metric, period = stat["Metric"], stat["Period"]
        dimensions = tuple(sorted((each["Name"], each["Value"]) for each in metric.get("Dimensions", [])))
        raw = self.points.get((metric["Namespace"], metric["MetricName"], dimensions), {})
        periods: dict[int, list[float]] = {}
        for at, values in raw.items():
            if start <= at < end:
                periods.setdefault(int((at - start) // period * period + start), []).extend(values)
        return {at: statistic(stat["Stat"], values) for at, values in periods.items()}

    def _expression(
        self, query: Mapping[str, Any], lines: Mapping[str, Line], start: float, end: float
    ) -> dict[str, tuple[str, Line]]:
        """Return what an expression gives, by label."""
        text = query["Expression"]
        if found := _SEARCH.match(text):
            namespace, *names = [word.strip() for word in found[1].split(",")]
            return {
                " ".join(value for _, value in dimensions): (
                    "Complete",
                    self._line(
                        {
                            "Metric": {
                                "Namespace": space,
                                "MetricName": name,
                                "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions],
                            },
                            "Period": query["Period"],
                            "Stat": found[3],
                        },
                        start,
                        end,
                    ),
                )
                for space, name, dimensions in sorted(self.points)
                if (space, name) == (namespace, found[2]) and {n for n, _ in dimensions} == set(names)
            }
        if text.lstrip().upper().startswith("SELECT"):
            return {"all": ("Complete", {int(start): 1.0})}
        times = sorted({at for line in lines.values() for at in line})
        worked = {at: Arithmetic(text, lines, at).value for at in times or [int(start)]}
        return {query["Id"]: ("Complete", {at: value for at, value in worked.items() if value is not None})}

    def _assume(self, form: Mapping[str, str]) -> Reply:
        self._allow("sts:AssumeRole")
        if form.get("ExternalId", "") != self.external_id:
            raise RefusedError("AccessDenied", "User is not authorized to perform: sts:AssumeRole", 403)
        name = f"ASIAROLE{len(self.keys)}"
        self.keys.add(name)
        until = datetime.fromtimestamp(self.wire.clock() + self.role_lasts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = f"<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        inner = f"<Credentials>{keys}<Expiration>{until}</Expiration></Credentials>"
        body = f"<AssumeRoleResponse><AssumeRoleResult>{inner}</AssumeRoleResult></AssumeRoleResponse>"
        return Reply(200, body.encode(), {"Content-Type": "text/xml"})

    def _identity(self) -> Reply:
        self._allow("sts:GetCallerIdentity")
        inner = f"<Arn>arn:aws:iam::{ACCOUNT}:user/evaluator</Arn><UserId>A</UserId><Account>{ACCOUNT}</Account>"
        result = f"<GetCallerIdentityResult>{inner}</GetCallerIdentityResult>"
        body = f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"
        return Reply(200, body.encode(), {"Content-Type": "text/xml"})

    def _describe(self, form: Mapping[str, str]) -> Reply:
        self._allow("ec2:DescribeInstances")
        asked = [value for name, value in form.items() if name.startswith("InstanceId.")]
        if unknown := [each for each in asked if each not in self.instances]:
            text = ", ".join(unknown)
            raise RefusedError("InvalidInstanceID.NotFound", f"The instance IDs '{text}' do not exist")
        items = "".join(
            f"<item><instanceId>{each}</instanceId><instanceState><code>0</code><name>{self.instances[each]}</name>"
            "</instanceState></item>"
            for each in asked
        )
        inner = f"<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>"
        body = f"<DescribeInstancesResponse>{inner}</DescribeInstancesResponse>"
        return Reply(200, body.encode(), {"Content-Type": "text/xml"})


def settings_at(url: str) -> dict[str, Any]:
    """Return settings of a source that asks for AWS at this address."""
    return {"region": "us-east-1", "endpoint_url": url, "access_key_id": KEY_ID, "secret_access_key": SECRET}


def statistic(name: str, values: Sequence[float]) -> float:
    """Return a statistic of the raw values of a period."""
    simple: Mapping[str, Callable[[Sequence[float]], float]] = {
        "Sum": math.fsum,
        "Maximum": max,
        "Minimum": min,
        "SampleCount": len,
        "Average": lambda all_of_them: math.fsum(all_of_them) / len(all_of_them),
    }
    if name in simple:
        return float(simple[name](values))
    if re.fullmatch(r"p\d+(\.\d+)?", name) is None:
        raise RefusedError("ValidationError", f"the look-alike has no statistic {name}")
    rank = math.ceil(float(name[1:]) / 100 * len(values))
    return float(sorted(values)[max(rank, 1) - 1])


class Arithmetic:
    """The value of an expression of names, numbers, `+ - * /`, brackets and FILL at one time; `None`: none.

    Python's own parser is not for threads: https://github.com/python/cpython/issues/106905
    """

    def __init__(self, text: str, lines: Mapping[str, Line], at: int) -> None:
        self._words = [*re.findall(r"\d+(?:\.\d+)?|\w+|\S", text), ""]
        self._lines = lines
        self._at = at
        self.value = self._sum()
        self._take("")

    def _take(self, *words: str) -> str:
        """Take the next word, which must be one of these."""
        word = self._words.pop(0) if self._words else ""
        if words and word not in words:
            raise RefusedError("ValidationError", f"Error in expression: Unexpected '{word}'")
        return word

    def _sum(self) -> float | None:
        value = self._product()
        while self._words[0] in ("+", "-"):
            value = calculated(self._take(), value, self._product())
        return value

    def _product(self) -> float | None:
        value = self._atom()
        while self._words[0] in ("*", "/"):
            value = calculated(self._take(), value, self._atom())
        return value

    def _atom(self) -> float | None:
        word = self._take()
        if word == "FILL":
            self._take("(")
            value = self._sum()
            self._take(",")
            filling = float(self._take())
            self._take(")")
            return filling if value is None else value
        if word == "(":
            value = self._sum()
            self._take(")")
            return value
        if word in self._lines:
            return self._lines[word].get(self._at)
        if not word[:1].isdigit():
            raise RefusedError("ValidationError", f"Error in expression: Unexpected '{word}'")
        return float(word)


def calculated(sign: str, a: float | None, b: float | None) -> float | None:
    """Return what two values make, if both are there."""
    if a is None or b is None or (sign == "/" and b == 0):
        return None
    return float({"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign](a, b))
