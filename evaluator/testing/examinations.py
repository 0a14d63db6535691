"""What every source must tell `evaluator doctor`: what works, and how to mend what does not.

This module knows checkups. It never knows what a source asks of its system.
"""

# ruff: noqa: D102  # A test's name is its sentence.

import logging
import time
from collections.abc import Sequence

import pytest

from evaluator.engine.rules import Query
from evaluator.engine.samples import Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.source import Examined, Source
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.suite import PATIENCE, Fields, Suite, build, run


class Examinations(Suite):
    """What holds for `examine` of every source that has it."""

    def test_doctor_can_ask_it(self) -> None:
        with self.fine() as settings:
            assert isinstance(build(self.kind, settings), Examined) is self.examines

    def test_doctor_finds_nothing_wrong_where_all_is_well(self) -> None:
        with self.fine() as settings:
            for queries in (self.asked(), []):
                found = run(self._examined(build(self.kind, settings), queries))
                self.read(found)
                wrong = [checkup for checkup in found or () if checkup.grade is Grade.WRONG]
                assert not wrong, wrong
                assert found != [], "nothing was tried"

    def test_doctor_may_look_between_polls(self) -> None:
        async def between(settings: Fields) -> None:
            source = build(self.kind, settings)
            await source.open()
            try:
                for _ in range(2):
                    answers = await source.poll(self.asked(), self.now)
                    assert all(isinstance(answer, Samples) for answer in answers), answers
                    if isinstance(source, Examined):
                        self.read(await source.examine(self.asked(), self.now))
            finally:
                await source.close()

        with self.fine() as settings:
            run(between(settings))

    def test_no_log_of_a_good_day_has_a_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), self.fine() as settings:
            run(self._examined(build(self.kind, settings), self.asked(), poll=True))
        self.see_no_secret(caplog.text)

    def read(self, found: Sequence[Checkup] | None) -> None:
        """Fail unless a person can read it; `None`: the source has no `examine`."""
        for checkup in found or ():
            assert isinstance(checkup, Checkup), checkup
            assert checkup.subject, checkup
            assert checkup.found, checkup
            assert checkup.mend or checkup.grade is Grade.FINE, f"what is to be done? {checkup}"
            for text in (checkup.subject, checkup.found, checkup.mend):
                self.one_line(text)

    async def _examined(
        self, source: Source, queries: Sequence[Query], *, poll: bool = False
    ) -> Sequence[Checkup] | None:
        await source.open()
        try:
            if poll:
                await source.poll(queries, self.now)
            return await source.examine(queries, self.now) if isinstance(source, Examined) else None
        finally:
            await source.close()


class RemoteExaminations(Examinations):
    """What holds for `examine` of every source that talks to a server over TCP."""

    timeout: float

    def at(self, host: str, port: int) -> Source:
        """Return a source for a server at this address."""
        raise NotImplementedError

    def test_doctor_says_how_to_mend_a_server_that_is_not_there(self) -> None:
        self.sick("127.0.0.1", nobody())

    def test_doctor_says_how_to_mend_a_server_that_is_silent(self) -> None:
        with peer() as hole:
            self.sick(hole.host, hole.port)

    def test_doctor_says_how_to_mend_a_server_that_is_another(self) -> None:
        for answer in (http(b"<!DOCTYPE html><html>Welcome</html>", kind="text/html"), b"\x00\x01\x02\r\n\r\n" * 10):
            with peer(answer, "close") as other:
                self.sick(other.host, other.port)

    def sick(self, host: str, port: int) -> None:
        """Fail unless `examine` says in time that something is wrong there, and what to do."""
        for queries in (self.asked(), []):
            start = time.monotonic()
            found = run(self._examined(self.at(host, port), queries))
            assert time.monotonic() - start < self.timeout + PATIENCE, "the examination outlives its timeout"
            self.read(found)
            if found is not None:
                assert any(checkup.grade is Grade.WRONG for checkup in found), found
