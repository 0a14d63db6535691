"""What a rule may ask of UptimeRobot, and the settings of the source `uptimerobot`.

This module knows the words. It never talks to a server.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from evaluator.sources.addresses import ApiUrl
from evaluator.sources.api_settings import ApiSettings
from evaluator.sources.fields import Options, Seconds, Strict, refuse_idle_options
from evaluator.sources.names import Names

Measure = Literal["up", "monitor_up", "response_time", "uptime_percent"]
Window = Literal["1d", "7d", "30d"]

_MONITORS = frozenset({"monitor_up", "response_time", "uptime_percent"})
_OPTIONS: Options = {
    "monitor": (_MONITORS, "the measures of monitors"),
    "id": (_MONITORS, "the measures of monitors"),
    "window": (frozenset({"uptime_percent"}), "`uptime_percent`"),
}


class UptimeRobotSettings(ApiSettings):
    """Settings of `type = "uptimerobot"`."""

    token: SecretStr = Field(
        min_length=1,
        description="An API key of the account; a read-only one is enough (Integrations & API > API). Never shown.",
    )
    url: ApiUrl = Field("https://api.uptimerobot.com", description="Where the API is, without `/v3`.")
    version: Literal[2, 3] = Field(3, description="The API's version. 2 still answers, but is no longer cared for.")
    requests_per_minute: int = Field(
        10,
        ge=1,
        le=5000,
        description="What we send at most in a minute. The free plan allows 10, a paid one twice its number of "
        "monitors.",
    )
    refresh: Seconds = Field(
        60.0, description="The list of monitors is read no more often than this; polls in between share it."
    )


class UptimeRobotQuery(Strict):
    """What a rule asks: `query = { measure = "monitor_up", monitor = "api*" }`, or `query = "monitor_up"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `monitor_up` (1 up, 0 down, unknown while UptimeRobot is not sure), "
        "`response_time` (seconds), `uptime_percent` (percent, 0 to 100), `up` (1, or 0 when the API refuses "
        "connections or is silent)."
    )
    monitor: Names | None = Field(
        None,
        description="The name of a monitor, a pattern with `*` and `?`, or a list of them (label `monitor`); default "
        "all.",
    )
    id: int | tuple[int, ...] | None = Field(
        None, description="The number of a monitor, or a list of them (label `id`), where names change; no unit."
    )
    window: Window = Field("1d", description="uptime_percent: the time that it is of.")

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        return self
