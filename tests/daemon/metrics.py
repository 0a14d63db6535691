"""A Prometheus look-alike whose values a test sets: `metrics["errors"] = 12`.

This module knows the shapes of Prometheus' query API, and one value or several series for each query. It never knows
PromQL: a query is a name.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import parse_qs

from evaluator.testing.wire import Heard, Reply, WireServer

Value = float | Mapping[str, float] | None
"""One series without labels; a series for each `host`; none at all."""


class Metrics:
    """The look-alike as a server. Its weather is that of `server`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Answer 0 to every query, and nothing about the past."""
        self.server = WireServer(self._reply, clock=clock)
        self.past: Callable[[str, float], float | None] = lambda _query, _at: None
        """The value of a query at a time of the past."""
        self._values: dict[str, Value] = {}

    def __setitem__(self, query: str, value: Value) -> None:
        self._values[query] = value

    @property
    def url(self) -> str:
        """What `url` is set to."""
        return self.server.url

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()

    def _reply(self, heard: Heard) -> Reply:
        asked = {name: values[-1] for name, values in parse_qs(heard.body.decode()).items()}
        query = asked.get("query", "")
        if heard.path.endswith("/query_range"):
            data = {"resultType": "matrix", "result": self._matrix(query, asked)}
        else:
            data = {"resultType": "vector", "result": self._vector(query, float(asked.get("time", "0")))}
        return Reply(200, json.dumps({"status": "success", "data": data}).encode())

    def _vector(self, query: str, at: float) -> list[object]:
        value = self._values.get(query, 0.0)
        if value is None:
            return []
        rows = {"": value} if isinstance(value, int | float) else value
        return [{"metric": {"host": host} if host else {}, "value": [at, str(number)]} for host, number in rows.items()]

    def _matrix(self, query: str, asked: Mapping[str, str]) -> list[object]:
        start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        times = [start + number * step for number in range(int((end - start) / step + 1e-6) + 1)]
        values = [(at, self.past(query, at)) for at in times]
        found = [[at, str(value)] for at, value in values if value is not None]
        return [{"metric": {}, "values": found}] if found else []
