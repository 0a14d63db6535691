"""What every source and notifier must do, and what this one's own answers mean."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from evaluator_acme.elasticsearch import ElasticsearchSource
from evaluator_acme.journal import JournalNotifier, JournalSettings

from evaluator.plugin import Notifier
from evaluator.testing.http_sources import HttpSourceConformance
from evaluator.testing.notifiers import NotifierConformance
from evaluator.testing.sources import build, polled, query, run
from evaluator.testing.wire import Heard, Reply, WireServer

KEY = "s3cret-api-key"
UP = {"measure": "up"}
HEALTH = {
    "cluster_name": "search",
    "status": "yellow",
    "number_of_nodes": 3,
    "unassigned_shards": 2,
    "active_shards_percent_as_number": 96.5,
}


def cluster(heard: Heard) -> Reply:
    """Answer as a cluster does that wants a key."""
    if heard.headers.get("authorization") != f"ApiKey {KEY}":
        return Reply(401, json.dumps({"error": f"no such key: {heard.headers.get('authorization')}"}).encode())
    return Reply(200, json.dumps(HEALTH).encode()) if heard.path == "/_cluster/health" else Reply(404)


class TestElasticsearch(HttpSourceConformance):
    kind = ElasticsearchSource
    queries = ({"measure": "status"}, {"measure": "nodes"}, {"measure": "unassigned_shards"})
    up = UP
    many = (*queries, {"measure": "active_shards_percent"}, UP)
    most_requests = 1
    secrets = (KEY,)

    def settings(self, host: str, port: int) -> dict[str, object]:
        return {"url": f"http://{host}:{port}", "api_key": KEY}

    @contextmanager
    def fine(self) -> Iterator[dict[str, object]]:
        with WireServer(cluster) as server:
            yield {"url": server.url, "api_key": KEY}


def test_the_values_are_those_of_the_cluster() -> None:
    with WireServer(cluster) as server:
        source = build(ElasticsearchSource, {"url": server.url, "api_key": KEY})
        (answers,) = run(polled(source, [query(ElasticsearchSource, each) for each in TestElasticsearch.many]))
    assert [list(answer.values) for answer in answers] == [[1.0], [3.0], [2.0], [96.5], [1.0]]
    assert answers[0].labels == [{"cluster": "search"}]


class TestJournal(NotifierConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "journal"

    @contextmanager
    def fine(self) -> Iterator[Notifier]:
        yield JournalNotifier("journal", JournalSettings(path=self.path), "conformance")
        assert all(json.loads(line)["action"] for line in self.path.read_text().splitlines())
