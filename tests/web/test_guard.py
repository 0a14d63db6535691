import asyncio
import gzip
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from evaluator.telemetry.metrics import Metrics
from evaluator.web.view import Snapshot
from tests.web.asking import ask
from tests.web.snapshots import NIGHT, OPEN, QUIET, TROUBLE, FrozenView, flood

PATHS = (
    "/",
    f"/incidents/{OPEN[0].id}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/status",
    "/api/v1/rules",
    "/api/v1/alerts",
    "/api/v1/incidents",
    f"/api/v1/incidents/{OPEN[0].id}",
)
ELSEWHERE = "http://10.1.2.3:9464"


class Broken(FrozenView):
    def snapshot(self) -> Snapshot:
        raise RuntimeError("secret inside")


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_tells_the_browser_what_it_may_not_do(path: str) -> None:
    response = await ask(path)
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", PATHS)
async def test_head_answers_as_get_without_a_body(path: str) -> None:
    response = await ask(path, method="HEAD")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-type"] == (await ask(path)).headers["content-type"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(path: str, method: str) -> None:
    response = await ask(path, method=method)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
    if path.startswith("/api/"):
        assert response.json()["errorType"] == "not_allowed"


async def test_what_is_not_there_is_said_in_the_shape_of_its_place() -> None:
    assert (await ask("/api/v1/nothing")).json() == {"status": "error", "errorType": "not_found", "error": "Not Found"}
    assert (await ask("/nothing")).text == "Not Found\n"
    page = await ask("/incidents/01K99999999999999999999999")
    assert page.status_code == 404
    assert "There is no incident of this id" in page.text
    assert (await ask("/metrics/")).status_code == 404


@pytest.mark.parametrize(
    "host", ["localhost:9464", "127.0.0.1:9464", "127.0.0.1", "[::1]:9464", "evaluator.localhost", "LOCALHOST"]
)
async def test_loopback_answers_to_its_own_names(host: str) -> None:
    assert (await ask("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.com", "evil.example.com:9464", "localhost.evil.example.com", "10.0.0.1", "", "[", "0"]
)
async def test_a_name_that_was_made_to_point_here_learns_nothing(host: str) -> None:
    response = await ask("/api/v1/incidents", headers={"Host": host})
    assert response.status_code == 421
    assert response.json()["errorType"] == "bad_host"


async def test_elsewhere_any_name_will_do() -> None:
    assert (await ask("/", at=ELSEWHERE, headers={"Host": "monitoring.internal"})).status_code == 200


async def test_from_elsewhere_reads_need_the_token_where_there_is_one() -> None:
    assert (await ask("/api/v1/status", at=ELSEWHERE, token="t0ken")).status_code == 401
    assert (await ask("/api/v1/status", token="t0ken")).status_code == 200
    assert (await ask("/api/v1/status", at=ELSEWHERE)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_need_no_token(path: str) -> None:
    assert (await ask(path, at=ELSEWHERE, token="t0ken")).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer t0ken", 200),
        ("bearer  t0ken", 200),
        ("Basic dXNlcjp0MGtlbg==", 200),
        ("Basic OnQwa2Vu", 200),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("Basic !!!", 401),
        ("Basic dDBrZW4=", 401),
        ("Digest t0ken", 401),
        ("t0ken", 401),
        ("", 401),
    ],
)
async def test_the_token_is_a_bearer_or_a_password(authorization: str, status: int) -> None:
    response = await ask("/", at=ELSEWHERE, token="t0ken", headers={"Authorization": authorization})
    assert response.status_code == status
    assert "t0ken" not in response.text
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Basic")


async def test_a_mistake_is_counted_logged_and_said_without_its_inside() -> None:
    metrics = Metrics()
    structlog.reset_defaults()
    with capture_logs() as logs:
        response = await ask("/api/v1/status", view=Broken(NIGHT), metrics=metrics)
        page = await ask("/", view=Broken(NIGHT), metrics=metrics)
    assert response.status_code == page.status_code == 500
    assert response.json()["errorType"] == "internal"
    assert "secret inside" not in response.text + page.text
    assert "Traceback" not in response.text + page.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert metrics.registry.get_sample_value("evaluator_errors_total", {"where": "request"}) == 2
    assert [(line["event"], line["path"]) for line in logs] == [
        ("a request failed", "/api/v1/status"),
        ("a request failed", "/"),
    ]


async def test_health_does_not_depend_on_anything_else() -> None:
    response = await ask("/healthz", view=Broken(NIGHT))
    assert (response.status_code, response.text) == (200, "ok\n")


async def test_readiness_says_what_is_missing() -> None:
    assert (await ask("/readyz", QUIET)).text == "ready\n"
    response = await ask("/readyz", TROUBLE)
    assert (response.status_code, response.text) == (
        503,
        "not ready\nthe store cannot be written: disk full\nthe last cycle is 4 m old\n",
    )


async def test_metrics_are_negotiated() -> None:
    assert (await ask("/metrics")).headers["content-type"].startswith("text/plain; version=0.0.4")
    openmetrics = await ask("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")


async def test_large_answers_travel_packed() -> None:
    response = await ask("/api/v1/alerts", flood(1000), headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert len(response.json()["data"]["alerts"]) == 2000
    assert len(gzip.compress(response.content)) < len(response.content) / 10


async def test_very_many_alerts_are_written_beside_the_loop() -> None:
    shown = flood(5_000)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)

    async def share() -> float:
        """Return for which part of the time that an answer takes the loop stood still at most."""
        nonlocal longest
        longest = 0.0
        beating = asyncio.create_task(beat())
        start = asyncio.get_running_loop().time()
        response = await ask("/api/v1/rules", shown)
        took = asyncio.get_running_loop().time() - start
        beating.cancel()
        assert len(json.loads(response.content)["data"]["groups"][0]["rules"][1]["alerts"]) == 5_000
        return longest / took

    # A machine with other things to do stops a process now and then; written in the loop it would be all of the time.
    assert min([await share() for _ in range(4)]) < 0.5


async def test_requests_beside_each_other() -> None:
    responses: list[httpx.Response] = await asyncio.gather(*(ask(path) for path in PATHS * 5))
    assert {response.status_code for response in responses} == {200}
