"""The source `elasticsearch`: the health of a cluster, in one request for all queries.

https://www.elastic.co/guide/en/elasticsearch/reference/current/cluster-health.html
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import httpx
from pydantic import BaseModel, Field, SecretStr

from evaluator.plugin import (
    Checkup,
    FailureReason,
    Grade,
    NoHistory,
    PollFailed,
    PollResult,
    Samples,
    Seconds,
    Strict,
    place,
    reason_of,
    said,
    timed_out,
    up_after,
)
from evaluator.plugin import Query as RuleQuery

LARGEST = 1_000_000
COLOURS = {"green": 0.0, "yellow": 1.0, "red": 2.0}
FIELDS = {
    "status": "status",
    "nodes": "number_of_nodes",
    "unassigned_shards": "unassigned_shards",
    "active_shards_percent": "active_shards_percent_as_number",
}
REASONS = {
    401: FailureReason.AUTH,
    403: FailureReason.AUTH,
    429: FailureReason.RATE_LIMITED,
}


class ElasticsearchSettings(Strict):
    """`[sources.NAME]` with `type = "elasticsearch"`."""

    url: str = Field(description="Where the cluster is: `https://search.example.com:9200`.", pattern="^https?://[^@]+$")
    api_key: SecretStr | None = Field(None, description="Sent as `Authorization: ApiKey …`. Never shown.")
    timeout: Seconds = Field(10.0, description="A poll takes no longer.")


class ElasticsearchQuery(Strict):
    """`query` of a rule: `"nodes"` is short for `{ measure = "nodes" }`."""

    shorthand: ClassVar[str] = "measure"

    measure: Literal["status", "nodes", "unassigned_shards", "active_shards_percent", "up"] = Field(
        description="What of the cluster's health; `status` is 0 (green), 1 (yellow) or 2 (red)."
    )


class ElasticsearchSource(NoHistory):
    """One cluster. Whatever goes wrong out there is a `PollFailed`; nothing is raised, nothing is tried twice."""

    Settings: ClassVar[type[BaseModel]] = ElasticsearchSettings
    Query: ClassVar[type[BaseModel]] = ElasticsearchQuery

    def __init__(self, name: str, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._where = place(settings.url)
        self._key = "" if settings.api_key is None else settings.api_key.get_secret_value()
        self._client: httpx.AsyncClient | None = None
        self._requests = 0

    async def open(self) -> None:
        """Make the client. It talks to nobody yet."""
        # Not packed: a small answer could unpack to more than there is memory.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"ApiKey {self._key}"} if self._key else {})
        self._client = httpx.AsyncClient(base_url=self._settings.url, headers=headers, timeout=None)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def poll(self, queries: Sequence[RuleQuery], now: float) -> list[PollResult]:
        """Ask once, and answer each query, in their order."""
        if not queries:
            return []
        health = await self._health()
        return [_answer(json.loads(query.spec)["measure"], health) for query in queries]

    async def examine(self, queries: Sequence[RuleQuery], now: float) -> list[Checkup]:
        """Return how the cluster is, and how to mend what is wrong, for `evaluator doctor`."""
        health = await self._health()
        if isinstance(health, PollFailed):
            mend = "start it, or correct `url`"
            if health.reason is FailureReason.AUTH:
                mend = "give `api_key` a key that has the cluster privilege `monitor`"
            return [Checkup(Grade.WRONG, "cluster", health.message, mend)]
        name = said(str(health.get("cluster_name", "?")))
        return [Checkup(Grade.FINE, "cluster", f"{name} answers, and is {health.get('status')}")]

    def usage(self) -> Mapping[str, float]:
        """Return how many requests were made."""
        return {"requests": self._requests}

    async def _health(self) -> dict[str, Any] | PollFailed:
        """Ask once. The deadline is ours: a client's own begins anew with each byte."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._ask()
        except TimeoutError:
            return timed_out(self._where, self._settings.timeout)
        except (httpx.HTTPError, OSError) as error:
            reason, what = reason_of(error) or (FailureReason.RESET, "the connection broke off")
            return PollFailed(reason, f"{self._where}: {what}")

    async def _ask(self) -> dict[str, Any] | PollFailed:
        if self._client is None:
            return PollFailed(FailureReason.INTERNAL, "the source is closed")
        self._requests += 1
        body = b""
        async with self._client.stream("GET", "/_cluster/health") as response:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > LARGEST:
                    return PollFailed(FailureReason.TOO_BIG, f"{self._where}: more than {LARGEST} bytes")
        if response.status_code != 200:
            usual = FailureReason.UNAVAILABLE if response.status_code >= 500 else FailureReason.BAD_ANSWER
            text = said(body.decode("utf-8", "replace"), [self._key])
            reason = REASONS.get(response.status_code, usual)
            return PollFailed(reason, f"{self._where}: it answers {response.status_code}: {text}")
        try:
            health = json.loads(body)
        except (ValueError, RecursionError):
            health = None
        if isinstance(health, dict) and str(health.get("status")) in COLOURS:
            return health
        return PollFailed(FailureReason.BAD_ANSWER, f"{self._where}: what answers is no Elasticsearch")


def _answer(measure: str, health: dict[str, Any] | PollFailed) -> PollResult:
    """Return the value of one measure. "Could not ask" is never a value, but for `up`."""
    if isinstance(health, PollFailed):
        return up_after(health) if measure == "up" else health
    if measure == "up":
        return Samples([{}], [1.0])
    value = health.get(FIELDS[measure])
    number = COLOURS.get(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return PollFailed(FailureReason.BAD_ANSWER, f"the cluster's health has no {FIELDS[measure]}")
    return Samples([{"cluster": str(health.get("cluster_name", ""))}], [float(number)])
