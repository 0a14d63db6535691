"""What a rule may ask of a Prometheus-compatible server, and the settings of the source `prometheus`.

This module knows the words. It never talks to a server.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from evaluator.sources.addresses import ApiUrl
from evaluator.sources.fields import Bytes, Seconds, Strict


class PrometheusSettings(Strict):
    """Settings of `type = "prometheus"`."""

    url: ApiUrl = Field(
        description="Where the server's API begins: what comes before `/api/v1/query` (`http://localhost:9090`, "
        "`https://mimir.example.com/prometheus`). No user or password in it: they have their own keys."
    )
    token: SecretStr | None = Field(None, description="Sent as `Authorization: Bearer …`.")
    username: str | None = Field(None, description="For HTTP basic authentication.")
    password: SecretStr | None = Field(None, description="For HTTP basic authentication.")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="More request headers, such as `X-Scope-OrgID`. Their values are never shown."
    )
    timeout: Seconds = Field(10.0, description="A poll, from the first connection to the last byte, takes no longer.")
    max_size: Bytes = Field(64 * 10**6, description="Largest answer to one query; a larger one is not read to its end.")
    max_concurrency: int = Field(4, ge=1, le=64, description="Queries that are under way at once.")
    verify: bool = Field(
        default=True, description="`false` accepts any TLS certificate. Better: name the authority in `ca`."
    )
    proxy: SecretStr | None = Field(
        None, description="Address of an HTTP proxy (`http://proxy:3128`). The environment's proxies are not used."
    )
    ca: Path | None = Field(None, description="File with the certificate authorities to trust (PEM).")
    cert: Path | None = Field(None, description="File with the client certificate (PEM).")
    key: Path | None = Field(None, description="File with the client certificate's key (PEM).")

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        """Refuse half a credential, and two of them."""
        if (self.username is None) != (self.password is None):
            msg = "`username` and `password` need each other"
            raise ValueError(msg)
        if self.token is not None and self.username is not None:
            msg = "give either `token` or `username` and `password`"
            raise ValueError(msg)
        if self.key is not None and self.cert is None:
            msg = "`key` needs `cert`"
            raise ValueError(msg)
        return self


class PrometheusQuery(Strict):
    """What a rule asks: `query = 'sum(rate(errors_total[5m]))'`, or `query = { measure = "up" }`."""

    shorthand: ClassVar[str] = "promql"

    promql: str | None = Field(
        None,
        min_length=1,
        description="A PromQL expression that gives the value, in the rule's unit, without a comparison: the rule "
        "has the limit. "
        "Instant vectors give a series for each element, scalars one without labels.",
    )
    measure: Literal["up"] | None = Field(
        None, description="`up`: 1 when the server answers queries, 0 when it refuses connections or is silent."
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        """Take exactly one of the two."""
        if (self.promql is None) == (self.measure is None):
            msg = "give either `promql` or `measure`"
            raise ValueError(msg)
        if self.promql is not None and not self.promql.strip():
            msg = "the expression is empty"
            raise ValueError(msg)
        return self
