"""What every source that speaks HTTP must do with the answers of servers, proxies and gateways that refuse it.

This module knows statuses. It never knows what a source asks; a server may also say no in its own way, with status 200.
"""

# ruff: noqa: D102  # A test's name is its sentence.

import gzip
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from evaluator.engine.samples import FailureReason
from evaluator.testing.peers import http, peer
from evaluator.testing.sources import RemoteSourceConformance
from evaluator.testing.wire import Reply, WireServer

STATUSES: Mapping[int, FailureReason] = MappingProxyType(
    {
        401: FailureReason.AUTH,
        403: FailureReason.AUTH,
        429: FailureReason.RATE_LIMITED,
        500: FailureReason.UNAVAILABLE,
        502: FailureReason.UNAVAILABLE,
        503: FailureReason.UNAVAILABLE,
    }
)
"""What a status means, whoever answers it."""


class HttpSourceConformance(RemoteSourceConformance):
    """What holds for every source that speaks HTTP, beside what holds for all that talk to a server."""

    statuses: ClassVar[Mapping[int, FailureReason]] = STATUSES
    """What each status means; override it where your system means something else."""

    def test_a_status_has_its_reason_and_gives_no_secret_away(self) -> None:
        for status, reason in self.statuses.items():
            said = f"<html>{status}\n\n{' '.join(self.secrets)}".encode()
            with peer(http(said, f"{status} No", kind="text/html"), "close") as refusing:
                failures = self.failures(refusing.host, refusing.port)
            assert {each.reason for each in failures} == {reason}, f"{status}: {failures}"

    def test_a_redirect_is_not_followed_with_our_credential(self) -> None:
        with WireServer(lambda _: Reply(200, b"{}")) as elsewhere:
            moved = Reply(302, b"", {"Location": f"{elsewhere.url}/login"})
            with WireServer(lambda _: moved) as server:
                self.failures("127.0.0.1", int(server.url.rpartition(":")[2]))
            for heard in elsewhere.log:
                self.see_no_secret(f"{heard.path} {heard.headers} {heard.body!r}")

    def test_a_truncated_answer_is_no_answer(self) -> None:
        with peer(http(b'{"status": "success", "data": [', length=1000), "close") as broken:
            failures = self.failures(broken.host, broken.port)
        assert {each.reason for each in failures} <= {FailureReason.RESET, FailureReason.BAD_ANSWER}, failures

    def test_json_of_another_shape_is_a_bad_answer(self) -> None:
        for body in (b"null", b"[]", b"[1, [2]]", b'"text"', b"{}", b'{"data": 7, "status": []}', b"[" * 100_000):
            with peer(http(body), "close") as odd:
                failures = self.failures(odd.host, odd.port)
            # An empty list may well say that there is nothing of the name that a query asks for.
            allowed = {FailureReason.BAD_ANSWER, FailureReason.BAD_QUERY}
            assert {each.reason for each in failures} <= allowed, f"{body[:40]!r}: {failures}"

    def test_a_small_answer_that_unpacks_to_a_huge_one_is_not_unpacked(self) -> None:
        packed = gzip.compress(b" " * 200_000_000, 9)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        with peer(head.encode() + packed, "close") as bomb:
            failures = self.failures(bomb.host, bomb.port)
        allowed = {FailureReason.TOO_BIG, FailureReason.BAD_ANSWER, FailureReason.TIMEOUT}
        assert {each.reason for each in failures} <= allowed, failures
