"""What a rule may ask of CloudWatch, and the settings of the source `cloudwatch`.

This module knows the words of both. It never talks to AWS, and never knows what a metric means.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from evaluator.sources.fields import Seconds, Strict

LAG = 120.0
"""Seconds after the end of a period in which most AWS services have published it."""
MOST_DELAY = 1800.0
"""Seconds; a longer `delay` would outlive what the engine remembers of samples that were judged."""
_STAT = re.compile(
    r"SampleCount|Average|Sum|Minimum|Maximum|IQM"
    r"|(?:p|tm|tc|ts|wm)(?:100|\d{1,2})(?:\.\d{1,10})?"
    r"|(?:PR|TM|TC|TS|WM)\(\d*(?:\.\d+)?%?:\d*(?:\.\d+)?%?\)"
)
_NAME = re.compile(r"[a-z][a-zA-Z0-9_]*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SHORT_PERIODS = frozenset({1.0, 5.0, 10.0, 20.0, 30.0})

Text = Annotated[str, Field(min_length=1, max_length=255)]
Value = Annotated[str, Field(min_length=1, max_length=1024)]
Dimensions = Annotated[dict[Text, Value], Field(max_length=30)]


def is_pattern(value: str) -> bool:
    """Return whether the value of a dimension stands for many: it has a `*` or a `?` in it."""
    return "*" in value or "?" in value


def searches(expression: str) -> bool:
    """Return whether an expression finds its metrics itself: `SEARCH(...)`, or a `SELECT` of Metrics Insights."""
    bare = _QUOTED.sub("", expression)
    return re.search(r"\bSEARCH\s*\(", bare) is not None or selects(expression)


def selects(expression: str) -> bool:
    """Return whether an expression is a query of Metrics Insights, of which a request may hold one."""
    return re.match(r"\s*SELECT\b", expression, re.IGNORECASE) is not None


def _checked_stat(stat: str) -> str:
    """Return a statistic that CloudWatch knows.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
    """
    if _STAT.fullmatch(stat) is None:
        msg = "is no statistic; write Average, Sum, Minimum, Maximum, SampleCount, or a percentile such as p95 or tm99"
        raise ValueError(msg)
    return stat


class CloudWatchMetric(Strict):
    """One metric, or with `"*"` in a dimension many: an entry of the table `metrics`."""

    namespace: Text = Field(description="The namespace, such as `AWS/EC2`.")
    metric: Text = Field(description="The metric's name, such as `CPUUtilization`.")
    dimensions: Dimensions = Field(
        default_factory=dict,
        description='Its dimensions, all of them; `"*"` (or a pattern such as `"web-*"`) finds every value.',
    )
    stat: str = Field("Average", description="The statistic: `Average`, `Sum`, `Maximum`, `p95`, `tm99`, ...")

    _stat_is_known = field_validator("stat")(_checked_stat)


class CloudWatchSettings(Strict):
    """Settings of `type = "cloudwatch"`."""

    region: str = Field(
        description="The region whose metrics are read, such as `us-east-1`.", pattern=r"^[a-z]{2,}(-[a-z]+)+-\d+$"
    )
    profile: str | None = Field(None, description="A profile of `~/.aws/config`; default: the usual chain of boto3.")
    role_arn: str | None = Field(
        None, description="A role to assume first, for metrics of another account.", pattern=r"^arn:[^\s]+$"
    )
    external_id: SecretStr | None = Field(None, description="The external id that the role asks for.", min_length=2)
    access_key_id: str | None = Field(None, description="A static key, where there is nothing better.")
    secret_access_key: SecretStr | None = Field(None, description="The secret of that key.")
    session_token: SecretStr | None = Field(None, description="The token of that key, if it is a temporary one.")
    endpoint_url: str | None = Field(
        None,
        description="Where all three services (CloudWatch, STS, EC2) are asked instead of AWS: LocalStack, a proxy.",
        pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$",
    )
    delay: Seconds = Field(
        LAG, description="How long after its end a period is taken as complete; at most 30m.", le=MOST_DELAY
    )
    timeout: Seconds = Field(10.0, description="A poll takes no longer, with everything that it needs.")
    refresh: Seconds = Field(300.0, description='How long what `"*"` found is kept.')
    max_metrics: int = Field(
        5000, description="A query that finds more metrics than this fails: each one costs money.", ge=1, le=100_000
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        """Refuse half a key, and a key beside a profile."""
        if (self.access_key_id is None) != (self.secret_access_key is None):
            msg = "`access_key_id` and `secret_access_key` need each other"
            raise ValueError(msg)
        if self.session_token is not None and self.access_key_id is None:
            msg = "`session_token` needs `access_key_id`"
            raise ValueError(msg)
        if self.profile is not None and self.access_key_id is not None:
            msg = "`profile` and `access_key_id` cannot both say who we are"
            raise ValueError(msg)
        if self.external_id is not None and self.role_arn is None:
            msg = "`external_id` needs `role_arn`"
            raise ValueError(msg)
        return self


class CloudWatchQuery(Strict):
    """What a rule asks: one metric (`namespace`, `metric`, ...), an `expression`, or `{ measure = "up" }`."""

    shorthand: ClassVar[str] = "expression"
    lag: ClassVar[float] = LAG

    measure: Literal["up"] | None = Field(
        None, description="`up`: 1, or 0 when the API refuses connections or is silent; no unit."
    )
    namespace: Text | None = Field(None, description="The metric's namespace, such as `AWS/EC2`.")
    metric: Text | None = Field(None, description="The metric's name; the value is in the metric's own unit.")
    dimensions: Dimensions = Field(
        default_factory=dict,
        description='The metric\'s dimensions, all of them: the labels of a series. `"*"`, or a pattern such as '
        '`"web-*"`, is a series for each value that there is.',
    )
    stat: str = Field("Average", description="The statistic: `Average`, `Sum`, `Maximum`, `p95`, `tm99`, ...")
    expression: str | None = Field(
        None,
        description="Metric math over the names in `metrics` (`100 * e / r`), or a `SEARCH(...)` or `SELECT ...` of "
        "CloudWatch's own; the unit is what it works out.",
        min_length=1,
        max_length=2048,
    )
    metrics: Mapping[str, CloudWatchMetric] = Field(
        default_factory=lambda: MappingProxyType({}),
        description="expression: the metrics in it, by the name that it calls them.",
    )
    account: str | None = Field(
        None, description="The account whose metric it is, seen from a monitoring account.", pattern=r"^\d{12}$"
    )
    period: Seconds | None = Field(
        None,
        description='The period of a sample: `1s`, `5s`, `10s`, `20s`, `30s`, or whole minutes; default `"1m"`.',
    )

    _stat_is_known = field_validator("stat")(_checked_stat)

    @model_validator(mode="before")
    @classmethod
    def _metrics_have_a_period(cls, given: Any) -> Any:  # noqa: ANN401  # Whatever was written.
        """Let the period be there even where nobody wrote it: it is the rule's step."""
        if isinstance(given, dict) and given.get("measure") is None and given.get("period") is None:
            return {**given, "period": "1m"}
        return given

    @field_serializer("metrics")
    def _metrics_as_table(self, metrics: Mapping[str, CloudWatchMetric]) -> dict[str, Any]:
        """Write the table as it was given."""
        return {name: metric.model_dump(mode="json", exclude_unset=True) for name, metric in metrics.items()}

    @field_validator("period")
    @classmethod
    def _period_is_one(cls, period: float | None) -> float | None:
        """Take the periods that CloudWatch has."""
        if period is not None and period not in _SHORT_PERIODS and (period % 60 or period > 86_400):
            msg = "must be 1s, 5s, 10s, 20s, 30s, or whole minutes up to 1d"
            raise ValueError(msg)
        return period

    @model_validator(mode="after")
    def _is_one_question(self) -> Self:
        """Take one metric, one expression or `up`, and nothing beside it."""
        kinds = [name for name in ("measure", "metric", "expression") if getattr(self, name) is not None]
        if len(kinds) != 1:
            msg = "needs one of `metric` (with `namespace`), `expression` or `measure`"
            raise ValueError(msg)
        if (self.metric is None) != (self.namespace is None):
            msg = "`metric` and `namespace` need each other"
            raise ValueError(msg)
        idle = {"measure": ("dimensions", "stat", "metrics", "account", "period"), "metric": ("metrics",)}
        idle["expression"] = ("dimensions", "stat") if self.metrics else ("dimensions", "stat", "account")
        for name in idle[kinds[0]]:
            value = getattr(self, name)
            if value and value != type(self).model_fields[name].default:
                msg = f"`{name}` does nothing beside `{kinds[0]}`"
                raise ValueError(msg)
        if self.expression is not None:
            _check_expression(self.expression, self.metrics)
        return self


def _check_expression(expression: str, metrics: Mapping[str, CloudWatchMetric]) -> None:
    """Raise `ValueError` for names that do not fit together."""
    bare = _QUOTED.sub("", expression)
    if re.search(r"\bMETRICS\s*\(", bare):
        msg = "METRICS() would be all metrics of a request, also those of other rules; name them one by one"
        raise ValueError(msg)
    for name in metrics:
        if _NAME.fullmatch(name) is None:
            msg = f"`{name}` is no name for a metric: it begins with a small letter, and has letters, digits and _"
            raise ValueError(msg)
        if re.search(rf"\b{name}\b", bare) is None:
            msg = f"`{name}` in `metrics` is not in the expression"
            raise ValueError(msg)
    if not metrics and not searches(expression):
        msg = "an expression needs the table `metrics`, unless it is a SEARCH or a SELECT"
        raise ValueError(msg)
