"""What a rule may ask of Sentry, and the settings of the source `sentry`.

This module knows the words. It never talks to a server.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from evaluator.sources.addresses import ApiUrl
from evaluator.sources.api_settings import ApiSettings
from evaluator.sources.fields import Options, Seconds, Strict, refuse_idle_options
from evaluator.sources.names import Names, several

Measure = Literal["up", "errors", "users", "failure_ratio", "p95", "crash_free_ratio", "dropped"]
Outcome = Literal["rate_limited", "client_discard", "filtered", "invalid", "abuse", "cardinality_limited"]

Slug = Annotated[str, Field(pattern=r"^[^\s/?#]+$")]
Slugs = Slug | Annotated[tuple[Slug, ...], Field(min_length=1)]

TABLES = frozenset({"errors", "users", "failure_ratio", "p95"})
"""Measures that are asked of the events table."""
SPANS = frozenset({"failure_ratio", "p95"})
HOURLY = frozenset({"crash_free_ratio", "dropped"})
"""Measures whose data has steps of an hour."""
HOUR = 3600.0
WINDOWS = {"crash_free_ratio": 86400.0, "dropped": HOUR}
"""Windows where the query names none; of all others 5 minutes."""
_ALL = TABLES | HOURLY
_OPTIONS: Options = {
    "project": (_ALL, "the measures of projects"),
    "environment": (TABLES | {"crash_free_ratio"}, "the measures of events and sessions"),
    "query": (TABLES | {"crash_free_ratio"}, "the measures of events and sessions"),
    "window": (_ALL, "the measures of projects"),
    "min_count": (SPANS | {"crash_free_ratio"}, "`failure_ratio`, `p95` and `crash_free_ratio`"),
    "outcome": (frozenset({"dropped"}), "`dropped`"),
}


class SentrySettings(ApiSettings):
    """Settings of `type = "sentry"`."""

    token: SecretStr = Field(
        min_length=1, description="The token of an internal integration with read permissions. Never shown."
    )
    org: Slug = Field(description="The organization's slug, as it is in Sentry's addresses.")
    url: ApiUrl = Field(
        "https://sentry.io",
        description="Where Sentry is: `https://us.sentry.io`, `https://de.sentry.io`, or your own server.",
    )
    delay: Seconds = Field(
        30.0, description="Windows end this long ago, since events need a while until they are counted."
    )
    refresh: Seconds = Field(600.0, description="How long the list of projects is used again.")


class SentryQuery(Strict):
    """What a rule asks: `query = { measure = "errors", project = "api" }`, or `query = "errors"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `errors` (events), `users` (persons who saw an error), `failure_ratio` (ratio, "
        "0 to 1), `p95` (seconds), `crash_free_ratio` (ratio, 0 to 1), `dropped` (events), `up` (1, or 0 when the API "
        "refuses connections or is silent)."
    )
    project: Slugs | None = Field(
        None, description="The slug of a project, or a list of them (label `project`); default all projects."
    )
    environment: Names | None = Field(None, description="Only this environment, or these; a text. Default all.")
    query: str | None = Field(
        None,
        description="Only what this search finds, in Sentry's own words: `level:fatal`; a text. The default of "
        "`failure_ratio` and `p95` is `is_transaction:true`.",
    )
    window: Seconds | None = Field(
        None,
        description="What happened in this time; default 5 minutes, of `dropped` an hour and of `crash_free_ratio` a "
        "day, both in whole hours.",
    )
    min_count: int = Field(
        20,
        ge=1,
        description="failure_ratio, p95, crash_free_ratio: no series where there are fewer transactions or sessions.",
    )
    outcome: Outcome | Annotated[tuple[Outcome, ...], Field(min_length=1)] = Field(
        "rate_limited",
        description="dropped: why events were not counted (label `outcome`), one or a list: `rate_limited` (the quota "
        "is used up), `client_discard`, `filtered`, `invalid`, `abuse`, `cardinality_limited`.",
    )

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and a window that Sentry has no data for."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if self.measure in HOURLY and self.seconds % HOUR:
            msg = f"`window` of `{self.measure}` is in whole hours: Sentry's data has steps of an hour"
            raise ValueError(msg)
        if self.seconds < 60:
            msg = "`window` is at least a minute"
            raise ValueError(msg)
        return self

    @property
    def seconds(self) -> float:
        """The window."""
        return self.window or WINDOWS.get(self.measure, 300.0)

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects that are asked for; none: all."""
        return several(self.project)

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments that are asked for, in one order; none: all."""
        return tuple(sorted(several(self.environment)))

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that are asked for."""
        return several(self.outcome)

    @property
    def search(self) -> str:
        """The search in Sentry's words."""
        return self.query if self.query is not None else "is_transaction:true" if self.measure in SPANS else ""
