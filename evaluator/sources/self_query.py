"""What can be asked of the source `self`: the words of its settings and queries.

This module knows measures and which options they take. It never knows how they are answered.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from evaluator.sources.fields import Options, Seconds, Strict, refuse_idle_options

Measure = Literal[
    "up",
    "uptime",
    "source_silent",
    "rule_blind",
    "cycle_lag",
    "missed_slots",
    "delivery_age",
    "deliveries_pending",
    "deliveries_refused",
    "services_unpaged",
    "config_problems",
    "store_failing",
    "mistakes",
    "memory_used",
]

_GROWING = ("missed_slots", "mistakes")
_BY_SOURCE = ("source_silent", "cycle_lag", "missed_slots")
_OPTIONS: Options = {
    "per": (_GROWING, "counts that grow"),
    "source": (_BY_SOURCE, "measures of sources"),
    "unwatched": (("source_silent",), "`source_silent`"),
    "rule": (("rule_blind",), "`rule_blind`"),
}


class SelfSettings(Strict):
    """`[sources.self]`, which need not be there: it has no settings of its own."""


class SelfQuery(Strict):
    """A query to the source `self`; a plain text is its `measure`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `uptime`, `source_silent`, `rule_blind`, `cycle_lag`, `delivery_age`, "
        "`store_failing` (seconds), `deliveries_pending`, `deliveries_refused` (deliveries), `services_unpaged` "
        "(services), `config_problems` (problems), `missed_slots`, `mistakes` (count in the time of `per`), "
        "`memory_used` (bytes), `up` (1)."
    )
    source: str | None = Field(
        None, description="Measures of sources: only this source; default a series for each (label `source`)."
    )
    rule: str | None = Field(None, description="rule_blind: only this rule; default a series for each (label `rule`).")
    unwatched: bool = Field(
        default=False,
        description="source_silent: `true`: only sources without a rule that pages for their `up`.",
    )
    per: Seconds | None = Field(None, description='missed_slots, mistakes: how many in this time, like `"1h"`.')

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        """Refuse an option that would do nothing, and a growing count without `per`."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if self.measure in _GROWING and self.per is None:
            message = f'`{self.measure}` only grows; say how many in which time: per = "1h"'
            raise ValueError(message)
        return self
