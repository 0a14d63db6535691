"""The source `redis` against a real server, and against bad weather."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis as redis_py

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.redis import RedisSource
from evaluator.testing import servers
from evaluator.testing.peers import nobody, peer
from evaluator.testing.sources import RemoteSourceConformance, build, polled, query, run

PASSWORD = "s3cret-redis-password"


@pytest.fixture
def server(redis_url: str) -> Iterator[redis_py.Redis]:
    client = redis_py.Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


def ask(url: str, *queries: Mapping[str, Any], **settings: object) -> list[PollResult]:
    source = build(RedisSource, {"url": url, "timeout": "2s", **settings})
    answers: list[list[PollResult]] = run(polled(source, [query(RedisSource, each) for each in queries]))
    return answers[0]


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


class TestConformance(RemoteSourceConformance):
    kind = RedisSource
    queries = (
        {"measure": "queue_depth", "queue": ["celery", "emails"]},
        {"measure": "stream_lag", "stream": "orders"},
        {"measure": "stream_length", "stream": "orders"},
        {"measure": "memory_used"},
        {"measure": "evictions"},
        {"measure": "info", "field": "connected_slaves"},
    )
    up = MappingProxyType({"measure": "up"})
    bad_query = MappingProxyType({"measure": "queue_depth", "queue": "orders"})
    many = tuple({"measure": "queue_depth", "queue": f"queue-{number}"} for number in range(100))
    most_requests = 1
    secrets = (PASSWORD,)

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"redis://monitor:{PASSWORD}@{host}:{port}/0"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with servers.redis("--requirepass", PASSWORD) as url:
            place = urlsplit(url)
            with redis_py.Redis(host=place.hostname or "", port=place.port or 0, password=PASSWORD) as client:
                client.xgroup_create("orders", "billing", mkstream=True)
            yield {"url": f"redis://:{PASSWORD}@{place.hostname}:{place.port}/0"}


def test_a_celery_queue_is_the_sum_of_its_priorities(server: redis_py.Redis, redis_url: str) -> None:
    server.lpush("celery", "a", "b")
    server.lpush("celery\x06\x163", "c", "d", "e")
    server.lpush("celery\x06\x169", "f", "g")
    server.lpush("celery\x06\x165", "not one of the steps")
    depth = {"measure": "queue_depth", "queue": "celery"}
    own = {**depth, "priority_steps": [0, 5], "separator": "\x06\x16"}
    results = ask(redis_url, depth, own, {**depth, "priority_steps": []})
    assert [values(each) for each in results] == [[7.0], [3.0], [2.0]]
    assert results[0].labels == [{"queue": "celery"}]  # type: ignore[union-attr]


def test_the_names_that_kombu_gives_follow_the_source_settings(server: redis_py.Redis, redis_url: str) -> None:
    server.lpush("app:celery:1", "a")
    server.lpush("app:celery", "b")
    settings = {"global_keyprefix": "app:", "separator": ":", "priority_steps": [0, 1]}
    (result,) = ask(redis_url, {"measure": "queue_depth", "queue": "celery"}, **settings)
    assert values(result) == [2.0]
    assert result.labels == [{"queue": "celery"}]  # type: ignore[union-attr]


def test_a_queue_that_drains_is_0_and_not_gone(server: redis_py.Redis, redis_url: str) -> None:
    server.lpush("celery", "a")
    server.rpop("celery")
    assert values(ask(redis_url, {"measure": "queue_depth", "queue": "celery"})[0]) == [0.0]


def test_a_key_of_the_wrong_type_spoils_only_its_own_query(server: redis_py.Redis, redis_url: str) -> None:
    server.set("celery", "text")
    server.lpush("emails", "a")
    wrong, stream, right = ask(
        redis_url,
        {"measure": "queue_depth", "queue": "celery"},
        {"measure": "stream_length", "stream": "celery"},
        {"measure": "queue_depth", "queue": "emails"},
    )
    assert isinstance(wrong, PollFailed)
    assert wrong.reason is FailureReason.BAD_QUERY
    assert "celery is not a list" in wrong.message
    assert isinstance(stream, PollFailed)
    assert "celery is not a stream" in stream.message
    assert values(right) == [1.0]


def test_the_lag_and_the_pending_entries_of_consumer_groups(server: redis_py.Redis, redis_url: str) -> None:
    for number in range(5):
        server.xadd("orders", {"n": number})
    server.xgroup_create("orders", "billing", id="0")
    server.xgroup_create("orders", "mail", id="$")
    server.xreadgroup("billing", "worker", {"orders": ">"}, count=2)
    lag, pending, length, other = ask(
        redis_url,
        {"measure": "stream_lag", "stream": "orders"},
        {"measure": "stream_pending", "stream": "orders", "group": "billing"},
        {"measure": "stream_length", "stream": "orders"},
        {"measure": "stream_lag", "stream": ["orders", "none"], "group": ["mail", "nobody"]},
    )
    assert values(lag) == [3.0, 0.0]
    assert lag.labels == [{"stream": "orders", "group": "billing"}, {"stream": "orders", "group": "mail"}]  # type: ignore[union-attr]
    assert values(pending) == [2.0]
    assert values(length) == [5.0]
    assert values(other) == [0.0]
    assert isinstance(other, Samples)
    assert other.warnings == ("the stream orders has no group nobody", "there is no stream none")


def test_a_lag_that_the_server_forgot_is_counted(server: redis_py.Redis, redis_url: str) -> None:
    server.xgroup_create("orders", "billing", mkstream=True)
    ids = [server.xadd("orders", {"n": number}) for number in range(5)]
    server.xreadgroup("billing", "worker", {"orders": ">"}, count=1)
    server.xdel("orders", ids[3])
    assert server.xinfo_groups("orders")[0]["lag"] is None
    assert values(ask(redis_url, {"measure": "stream_lag", "stream": "orders"})[0]) == [3.0]


def test_a_lag_that_is_too_long_to_count_is_unknown_and_never_small(server: redis_py.Redis, redis_url: str) -> None:
    server.xgroup_create("orders", "billing", mkstream=True)
    with server.pipeline(transaction=False) as pipeline:
        for number in range(1_100):
            pipeline.xadd("orders", {"n": number})
        ids = pipeline.execute()
    server.xdel("orders", ids[5])
    (result,) = ask(redis_url, {"measure": "stream_lag", "stream": "orders"})
    (value,) = values(result)
    assert value != value  # noqa: PLR0124  # NaN is the only value that differs from itself.
    assert isinstance(result, Samples)
    assert "more than the 1000" in result.warnings[0]


def test_a_share_of_no_limit_is_no_value(server: redis_py.Redis, redis_url: str) -> None:
    server.config_set("maxmemory", "0")
    (none,) = ask(redis_url, {"measure": "memory_percent"})
    assert values(none) == []
    assert isinstance(none, Samples)
    assert none.warnings == ("maxmemory is 0, which means no limit, so there is no share of it",)
    server.config_set("maxmemory", "100mb")
    percent, used, clients, share = ask(
        redis_url,
        {"measure": "memory_percent"},
        {"measure": "memory_used"},
        {"measure": "clients"},
        {"measure": "clients_percent"},
    )
    server.config_set("maxmemory", "0")
    assert values(percent) == [pytest.approx(values(used)[0] / (100 * 2**20) * 100)]
    assert values(share) == [pytest.approx(values(clients)[0] / 100)]


def test_any_number_of_info_is_a_measure(server: redis_py.Redis, redis_url: str) -> None:
    server.set("a", 1)
    fields = ("db0.keys", "rdb_last_bgsave_status", "db7.keys", "role", "db0", "nonsense", "cmdstat_set.calls")
    results = ask(redis_url, *({"measure": "info", "field": field} for field in fields))
    keys, saved, absent, text, several, unknown, calls = results
    assert values(keys) == [1.0]
    assert values(saved) == [1.0]
    assert values(absent) == []
    assert values(calls)[0] >= 1
    assert isinstance(text, PollFailed)
    assert "role is 'master', which is not a number" in text.message
    assert isinstance(several, PollFailed)
    assert "name one: db0.keys" in several.message
    assert isinstance(unknown, PollFailed)
    assert unknown.reason is FailureReason.BAD_QUERY


def test_a_growing_count_becomes_a_rate_with_the_second_poll(server: redis_py.Redis, redis_url: str) -> None:
    rate = query(RedisSource, {"measure": "info", "field": "cmdstat_ping.calls", "per": "1m"})

    async def twice() -> tuple[PollResult, PollResult]:
        source = build(RedisSource, {"url": redis_url})
        await source.open()
        server.ping()
        (first,) = await source.poll([rate], 0)
        for _ in range(10):
            server.ping()
        await asyncio.sleep(0.6)
        (second,) = await source.poll([rate], 0)
        await source.close()
        return first, second

    first, second = run(twice())
    assert values(first) == []
    assert 10 / 2 * 60 < values(second)[0] < 10 / 0.6 * 60 + 1


def test_a_thousand_queries_are_one_pipeline(server: redis_py.Redis, redis_url: str) -> None:
    queries = [query(RedisSource, {"measure": "queue_depth", "queue": f"q{number}"}) for number in range(998)]
    queries += [query(RedisSource, {"measure": each}) for each in ("memory_used", "memory_percent")]

    async def count() -> tuple[int, int, int]:
        source = build(RedisSource, {"url": redis_url})
        await source.open()
        await source.poll(queries, 0)
        server.config_resetstat()
        before = server.info("stats")["total_reads_processed"]
        await source.poll(queries, 0)
        after = server.info("stats")["total_reads_processed"]
        calls = server.info("commandstats")
        await source.close()
        return after - before, calls["cmdstat_llen"]["calls"], calls["cmdstat_info"]["calls"]

    reads, llen, info = run(count())
    # What is sent in one go arrives in reads of at most 16 kB and more; 1,000 round trips would be 1,000 reads.
    assert reads < 40
    assert llen == 998 * 4
    assert info == 1 + 2


def test_a_server_that_wants_a_password_is_up_for_nobody() -> None:
    with servers.redis("--requirepass", PASSWORD) as url:
        for given in (url, url.replace("redis://", "redis://:wrong-password@")):
            for answer in ask(given, {"measure": "up"}, {"measure": "memory_used"}):
                assert isinstance(answer, PollFailed)
                assert answer.reason is FailureReason.AUTH
                assert "wrong-password" not in answer.message
        assert values(ask(url, {"measure": "up"}, password=PASSWORD)[0]) == [1.0]


def test_a_user_without_a_right_loses_only_the_query_that_needs_it(server: redis_py.Redis, redis_url: str) -> None:
    server.acl_setuser("monitor", enabled=True, passwords=["+x"], commands=["+ping", "+llen"], keys=["*"])
    up, depth, memory = ask(
        redis_url,
        {"measure": "up"},
        {"measure": "queue_depth", "queue": "q"},
        {"measure": "memory_used"},
        username="monitor",
        password="x",
    )
    server.acl_deluser("monitor")
    assert values(up) == [1.0]
    assert values(depth) == [0.0]
    assert isinstance(memory, PollFailed)
    assert memory.reason is FailureReason.AUTH


def test_a_server_without_a_free_connection_is_unavailable_and_not_down() -> None:
    with servers.redis() as url, redis_py.Redis.from_url(url) as client:
        client.config_set("maxclients", 1)
        (answer,) = ask(url, {"measure": "up"})
        assert isinstance(answer, PollFailed)
        # Whether its last words arrive before its reset is a race.
        assert answer.reason in (FailureReason.UNAVAILABLE, FailureReason.RESET)


def test_a_server_that_loads_its_data_is_unavailable_and_not_down() -> None:
    with peer(b"-LOADING Redis is loading the dataset in memory\r\n" * 3) as loading:
        (answer,) = ask(f"redis://127.0.0.1:{loading.port}", {"measure": "up"})
    assert isinstance(answer, PollFailed)
    assert answer.reason is FailureReason.UNAVAILABLE


def test_a_server_that_was_restarted_is_asked_at_once_again() -> None:
    port = nobody()
    up = query(RedisSource, {"measure": "up"})

    async def story() -> list[float]:
        source = build(RedisSource, {"url": f"redis://127.0.0.1:{port}", "timeout": "2s"})
        await source.open()
        seen = []
        for _ in range(2):
            with servers.redis(port=port):
                seen += values((await source.poll([up], 0))[0])
            seen += values((await source.poll([up], 0))[0])
        await source.close()
        return seen

    assert run(story()) == [1.0, 0.0, 1.0, 0.0]


def test_a_late_reply_is_never_taken_for_that_of_the_next_poll(server: redis_py.Redis, redis_url: str) -> None:
    server.lpush("q", "a", "b", "c")
    depth = query(RedisSource, {"measure": "queue_depth", "queue": "q", "priority_steps": []})
    uptime = query(RedisSource, {"measure": "uptime"})

    async def story() -> tuple[PollResult, PollResult]:
        source = build(RedisSource, {"url": redis_url, "timeout": "300ms"})
        await source.open()
        await source.poll([depth], 0)
        server.client_pause(600, all=True)
        (late,) = await source.poll([uptime], 0)
        await asyncio.sleep(0.5)
        (after,) = await source.poll([depth], 0)
        await source.close()
        return late, after

    late, after = run(story())
    assert isinstance(late, PollFailed)
    assert late.reason is FailureReason.TIMEOUT
    assert values(after) == [3.0]


def test_addresses_that_cannot_work_are_refused_without_being_repeated() -> None:
    for url in (
        "localhost:6379",
        f"http://:{PASSWORD}@x",
        f"redis://:{PASSWORD}@x:99999/0",
        f"redis://:{PASSWORD}@x/zero",
    ):
        with pytest.raises(ValueError, match=r"redis://|port|database") as caught:
            build(RedisSource, {"url": url})
        assert PASSWORD not in str(caught.value)


def test_what_does_not_fit_together_is_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"measure": "queue_depth"},
        {"measure": "stream_lag"},
        {"measure": "info"},
        {"measure": "memory_used", "queue": "q"},
        {"measure": "memory_used", "per": "1m"},
        {"measure": "stream_length", "stream": "s", "group": "g"},
        {"measure": "queue_depth", "queue": []},
        {"measure": "queue_depth", "queue": ""},
    ]
    for fields in bad:
        with pytest.raises(ValueError, match=r".+"):
            query(RedisSource, fields)


def examined(url: str, *queries: Mapping[str, Any], **settings: object) -> dict[str, Checkup]:
    async def story() -> list[Checkup]:
        source: Any = build(RedisSource, {"url": url, "timeout": "2s", **settings})
        await source.open()
        try:
            found: list[Checkup] = await source.examine([query(RedisSource, each) for each in queries], 0)
        finally:
            await source.close()
        return found

    lines: list[Checkup] = run(story())
    assert all(each.mend for each in lines if each.grade is not Grade.FINE), lines
    return {each.subject: each for each in lines}


def test_a_checkup_of_a_server_where_all_is_well(server: redis_py.Redis, redis_url: str) -> None:
    server.config_set("maxmemory", "100mb")
    found = examined(redis_url, {"measure": "queue_depth", "queue": "q"}, {"measure": "memory_percent"})
    server.config_set("maxmemory", "0")
    assert {each.grade for each in found.values()} == {Grade.FINE}
    assert f"version {server.info('server')['redis_version']}" in found["connection"].found
    assert "without TLS, user default" in found["connection"].found
    assert "all 5 commands of the rules" in found["permissions"].found
    assert "104857600" in found["memory limit"].found


def test_a_checkup_says_which_right_is_missing_and_how_it_is_given(server: redis_py.Redis, redis_url: str) -> None:
    server.acl_setuser(
        "monitor", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+ping", "+llen", "+xinfo", "+xlen"], keys=["a*"]
    )
    server.xgroup_create("abc", "group", mkstream=True)
    queries = (
        {"measure": "queue_depth", "queue": ["apples", "bananas"], "priority_steps": []},
        {"measure": "stream_lag", "stream": "abc"},
        {"measure": "memory_used"},
    )
    lacking = examined(redis_url, *queries, username="monitor", password=PASSWORD)
    wrong = {name: each for name, each in lacking.items() if each.grade is Grade.WRONG}
    assert set(wrong) == {"permission LLEN", "permission XRANGE", "permission INFO"}
    assert "may not run LLEN bananas" in wrong["permission LLEN"].found
    assert PASSWORD not in str(lacking)
    admin: Any = server
    for each in wrong.values():
        statement = each.mend.partition(" (")[0]
        admin.execute_command(*statement.split())
    after = examined(redis_url, *queries, username="monitor", password=PASSWORD)
    server.acl_deluser("monitor")
    assert not [each for each in after.values() if each.grade is Grade.WRONG], after
    assert "user monitor" in after["permissions"].found


def test_a_checkup_says_what_is_wrong_with_queries_and_limits(server: redis_py.Redis, redis_url: str) -> None:
    server.set("text", "x")
    found = examined(
        redis_url,
        {"measure": "memory_percent"},
        {"measure": "queue_depth", "queue": "text", "priority_steps": []},
        {"measure": "info", "field": "no_such_field"},
        {"measure": "stream_lag", "stream": "none"},
    )
    grades = {name: each.grade for name, each in found.items()}
    assert grades["memory limit"] is Grade.WRONG
    assert "CONFIG SET maxmemory" in found["memory limit"].mend
    assert grades["query queue_depth of text"] is Grade.WRONG
    assert grades["query info of no_such_field"] is Grade.WRONG
    assert grades["query stream_lag of none"] is Grade.WARNING
    with servers.redis("--requirepass", PASSWORD) as closed:
        (line,) = examined(closed, password="wrong-password").values()
    assert (line.subject, line.grade) == ("connection", Grade.WRONG)
    assert "`password`" in line.mend
    assert "wrong-password" not in str(line)


def test_usage_counts_round_trips_and_commands(server: redis_py.Redis, redis_url: str) -> None:
    source: Any = build(RedisSource, {"url": redis_url})
    run(polled(source, [query(RedisSource, {"measure": "queue_depth", "queue": "q"})] * 100, times=3))
    assert source.usage() == {"requests": 3.0, "commands": 12.0}
