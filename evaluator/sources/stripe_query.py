"""What a rule may ask of Stripe, and the settings of the source `stripe`.

This module knows the words. It never talks to a server.
"""

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from evaluator.sources.addresses import ApiUrl
from evaluator.sources.api_settings import ApiSettings
from evaluator.sources.fields import Options, Seconds, Strict, refuse_idle_options
from evaluator.sources.names import Names, several

Measure = Literal[
    "up",
    "webhook_failures",
    "webhook_failure_ratio",
    "endpoints_disabled",
    "charge_failure_ratio",
    "refund_ratio",
    "refunds",
    "disputes",
]

API_VERSION = "2026-10-28.endive"
"""Shapes are those of this version, whatever the account's default is (https://docs.stripe.com/api/versioning)."""
LONGEST = 29 * 86400.0
"""Seconds: Stripe keeps events for 30 days (https://docs.stripe.com/api/events)."""


WEBHOOKS = frozenset({"webhook_failures", "webhook_failure_ratio"})
RATIOS = frozenset({"webhook_failure_ratio", "charge_failure_ratio", "refund_ratio"})
_OPTIONS: Options = {
    "window": (WEBHOOKS | RATIOS | {"refunds", "disputes"}, "counts and ratios"),
    "grace": (WEBHOOKS, "the measures of webhooks"),
    "event": (WEBHOOKS, "the measures of webhooks"),
    "endpoint": (frozenset({"endpoints_disabled"}), "`endpoints_disabled`"),
    "min_count": (RATIOS, "ratios"),
    "by_amount": (frozenset({"refund_ratio"}), "`refund_ratio`"),
    "faults": (frozenset({"charge_failure_ratio"}), "`charge_failure_ratio`"),
}


class StripeSettings(ApiSettings):
    """Settings of `type = "stripe"`."""

    token: SecretStr = Field(
        description="A restricted key (`rk_live_…`) that may read what the rules ask for. Never shown. "
        "A secret key (`sk_…`) works, but may do everything."
    )
    url: ApiUrl = Field("https://api.stripe.com", description="Where the API is, without `/v1`.")
    max_pages: int = Field(
        20, ge=2, le=500, description="Pages of 100 objects that a poll reads at most of each kind of object."
    )
    requests_per_second: int = Field(
        10,
        ge=1,
        le=50,
        description="What we send at most in a second. Your payments share Stripe's limit with us: 25 for each kind of "
        "object, and 100 in all (25 in test mode).",
    )

    @field_validator("token")
    @classmethod
    def _token_can_read(cls, key: SecretStr) -> SecretStr:
        """Refuse what is no key, and a publishable one, which can read nothing; repeat nothing of it."""
        text = key.get_secret_value()
        if text.startswith("pk_"):
            msg = "is a publishable key, which can read nothing; make a restricted key (rk_live_…)"
            raise ValueError(msg)
        if not re.fullmatch(r"(rk|sk)_(live|test)_\w+", text, re.ASCII):
            msg = "is no key of Stripe: it begins with rk_live_ (or rk_test_, sk_live_, sk_test_)"
            raise ValueError(msg)
        return key


class StripeQuery(Strict):
    """What a rule asks: `query = { measure = "webhook_failures", grace = "5m" }`, or `query = "webhook_failures"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `webhook_failures` (events), `webhook_failure_ratio`, `charge_failure_ratio`, "
        "`refund_ratio` (ratio, 0 to 1), `endpoints_disabled` (webhook endpoints), `refunds`, `disputes` (objects), "
        "`up` (1, or 0 when the API refuses connections or is silent)."
    )
    window: Seconds = Field(3600.0, description="Counts and ratios: objects that were created in this time.")
    grace: Seconds = Field(
        300.0,
        description="Webhook measures: an event that is younger is not counted, since it may be on its way.",
    )
    event: Names | None = Field(
        None,
        description="Webhook measures: only events of this type, such as `payment_intent.succeeded` or `charge.*`, or "
        "of these types; a text. Default all.",
    )
    endpoint: Names | None = Field(
        None,
        description="endpoints_disabled: only webhook endpoints with this address (`*` and `?` are patterns), or with "
        "these; a text. Default all.",
    )
    min_count: int = Field(
        20, ge=1, description="Ratios: no value where fewer objects are in the window (what is divided by)."
    )
    by_amount: bool = Field(
        default=False,
        description="refund_ratio: of the amounts instead of the numbers, a series for each currency (label "
        "`currency`).",
    )
    faults: Literal["all", "own", "declines"] = Field(
        "all",
        description="charge_failure_ratio: which failures count: `declines` (the bank's or Radar's decision), `own` "
        "(all others: wrong requests, errors while processing), or `all`.",
    )

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and a window that Stripe does not keep."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if self.window + self.grace > LONGEST:
            msg = "`window` and `grace` are longer than the 30 days that Stripe keeps events for"
            raise ValueError(msg)
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """The types of events that are asked for; none: all."""
        return several(self.event)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses of webhook endpoints that are asked for; none: all."""
        return several(self.endpoint)
