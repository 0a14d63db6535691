"""What every source must do, as tests to inherit from: for the built-in ones, and for a plugin's.

    class TestMySystem(RemoteSourceConformance):
        kind = MySystemSource
        queries = ({"metric": "a"}, {"metric": "b"})
        up = {"measure": "up"}
        secrets = ("my-token",)

        def settings(self, host, port):
            return {"url": f"http://{host}:{port}", "token": "my-token"}

        @contextmanager
        def fine(self):
            with my_system() as settings:
                yield settings

This module knows the protocol of a source. It never knows what one asks of its system. It needs pytest and
nothing else.
"""

# ruff: noqa: D102  # A test's name is its sentence.

import asyncio
import logging
import time
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.source import Source
from evaluator.testing.costs import Costs
from evaluator.testing.examinations import Examinations, RemoteExaminations
from evaluator.testing.peers import http, nobody, peer
from evaluator.testing.suite import NOW, PATIENCE, Fields, build, leaks_nothing, polled, query, run

__all__ = [
    "NOW",
    "PATIENCE",
    "Fields",
    "RemoteSourceConformance",
    "SourceConformance",
    "build",
    "leaks_nothing",
    "polled",
    "query",
    "run",
]


class SourceConformance(Costs, Examinations):
    """What holds for every source. `fine` gives settings with which all `queries` are answered; override it."""

    def test_it_answers_every_query_in_order(self) -> None:
        queries = self.asked()
        with self.fine() as settings:
            (together,) = run(polled(build(self.kind, settings), queries, self.now))
            (backwards,) = run(polled(build(self.kind, settings), queries[::-1], self.now))
            alone = [run(polled(build(self.kind, settings), [each], self.now))[0][0] for each in queries]
        for fields, one, other, single in zip(self.queries, together, backwards[::-1], alone, strict=True):
            assert isinstance(one, Samples), f"{fields}: {one}"
            assert len(one), f"{fields}: no row"
            assert {series_of(row) for row in one.labels} == {series_of(row) for row in other.labels}, fields
            assert {series_of(row) for row in one.labels} == {series_of(row) for row in single.labels}, fields

    def test_equal_queries_have_equal_answers(self) -> None:
        queries = [each for each in self.asked() for _ in range(3)]
        with self.fine() as settings:
            (answers,) = run(polled(build(self.kind, settings), queries, self.now))
        assert len(answers) == len(queries)
        for first in range(0, len(queries), 3):
            a, b, c = answers[first : first + 3]
            assert list(a.values) == list(b.values) == list(c.values), queries[first]

    def test_rows_are_whole_and_series_unique(self) -> None:
        with self.fine() as settings:
            (answers,) = run(polled(build(self.kind, settings), self.asked(), self.now))
        for fields, answer in zip(self.queries, answers, strict=True):
            assert len(answer.labels) == len(answer.values), fields
            assert answer.at is None or len(answer.at) == len(answer.values), fields
            assert all(isinstance(value, float) for value in answer.values), fields
            assert all(isinstance(text, str) for row in answer.labels for pair in row.items() for text in pair), fields
            if answer.at is None:
                assert len({series_of(row) for row in answer.labels}) == len(answer), f"{fields}: a series twice"

    def test_a_series_is_the_same_in_the_next_poll(self) -> None:
        with self.fine() as settings:
            first, second = run(polled(build(self.kind, settings), self.asked(), self.now, times=2))
        for fields, one, other in zip(self.queries, first, second, strict=True):
            assert {series_of(row) for row in one.labels} == {series_of(row) for row in other.labels}, fields

    def test_nothing_is_asked_where_nothing_is_due(self) -> None:
        with self.fine() as settings:
            assert run(polled(build(self.kind, settings), [], self.now)) == [[]]

    def test_polls_may_overlap(self) -> None:
        async def twice(source: Source) -> list[list[PollResult]]:
            await source.open()
            try:
                return list(await asyncio.gather(*(source.poll(self.asked(), self.now) for _ in range(2))))
            finally:
                await source.close()

        with self.fine() as settings:
            for answers in run(twice(build(self.kind, settings))):
                assert all(isinstance(answer, Samples) for answer in answers), answers

    def test_history_answers_at_every_step_or_not_at_all(self) -> None:
        async def past(source: Source) -> list[list[tuple[float, PollResult]] | None]:
            await source.open()
            try:
                return [await source.history(each, self.now - 60, self.now, 15.0) for each in self.asked()]
            finally:
                await source.close()

        with self.fine() as settings:
            for answers in run(past(build(self.kind, settings))):
                assert answers is None or [at for at, _ in answers] == [self.now - 60 + 15 * k for k in range(5)]

    def test_it_may_be_closed_twice_and_unopened(self) -> None:
        async def close(source: Source) -> None:
            await source.close()
            await source.close()

        async def use_and_close(source: Source) -> None:
            await source.open()
            await source.poll(self.asked(), self.now)
            await close(source)

        with self.fine() as settings:
            run(close(build(self.kind, settings)))
            run(use_and_close(build(self.kind, settings)))

    def test_it_gives_everything_back(self) -> None:
        with self.fine() as settings:
            leaks_nothing(lambda: polled(build(self.kind, settings), self.asked(), self.now, times=2))

    def test_unknown_keys_are_refused_and_not_repeated(self) -> None:
        with self.fine() as settings:
            for model, good in ((self.kind.Settings, settings), *((self.kind.Query, each) for each in self.queries)):
                model.model_validate(dict(good))
                with pytest.raises(ValidationError) as caught:
                    model.model_validate({**good, "no_such_key": 1})
                self.see_no_secret(str(caught.value))

    def test_every_key_has_a_description(self) -> None:
        for model in (self.kind.Settings, self.kind.Query):
            assert issubclass(model, BaseModel)
            for name, field in model.model_fields.items():
                assert field.description, f"{model.__name__}.{name}"
            shorthand = getattr(model, "shorthand", None)
            assert shorthand is None or shorthand in model.model_fields

    def test_a_query_survives_being_written_down(self) -> None:
        for fields in self.queries:
            model = self.kind.Query.model_validate(dict(fields))
            for written in (model.model_dump_json(), model.model_dump_json(exclude_none=True, exclude_unset=True)):
                assert self.kind.Query.model_validate_json(written).model_dump() == model.model_dump(), fields

    def test_settings_show_no_secret(self) -> None:
        with self.fine() as settings:
            model = self.kind.Settings.model_validate(dict(settings))
            source = build(self.kind, settings)
            self.see_no_secret(f"{model!r} {model} {model.model_dump_json()} {source!r} {source}")


class RemoteSourceConformance(RemoteExaminations, SourceConformance):
    """What holds for every source that talks to a server over TCP."""

    up: ClassVar[Fields | None] = None
    """The query for the measure `up`, where it has one."""
    timeout = 0.5
    """Seconds; what `settings` are given where the server hangs."""

    def settings(self, host: str, port: int) -> Fields:
        """Return settings with secrets for a server at this address. The key `timeout` is added by the tests."""
        raise NotImplementedError

    def at(self, host: str, port: int) -> Source:
        return build(self.kind, {**self.settings(host, port), "timeout": f"{int(self.timeout * 1000)}ms"})

    def failures(self, host: str, port: int) -> list[PollFailed]:
        """Return the answers of a poll that must fail as a whole, within its timeout."""
        start = time.monotonic()
        answers: list[Any] = run(polled(self.at(host, port), self.asked(), self.now))[0]
        assert time.monotonic() - start < self.timeout + PATIENCE, "the poll outlives its timeout"
        for answer in answers:
            assert isinstance(answer, PollFailed), f"this is no answer: {answer}"
            assert answer.message, answer
            self.one_line(answer.message)
        return answers

    def is_up(self, host: str, port: int) -> PollResult:
        assert self.up is not None
        answers: list[list[PollResult]] = run(polled(self.at(host, port), [query(self.kind, self.up)], self.now))
        return answers[0][0]

    def test_a_black_hole_is_a_timeout(self) -> None:
        with peer() as hole:
            failures = self.failures(hole.host, hole.port)
        assert {each.reason for each in failures} == {FailureReason.TIMEOUT}, failures

    def test_a_black_hole_sees_few_connections(self) -> None:
        with peer() as hole:
            self.failures(hole.host, hole.port)
            assert hole.connections <= 1 + len(self.queries)

    def test_a_server_that_drips_is_not_waited_for(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000"
        for answer in (head, head + b"\r\n\r\n", b"\x00"):
            with peer(answer, "drip") as slow:
                failures = self.failures(slow.host, slow.port)
            # Not every protocol can begin like this, and then it is known at the first byte.
            allowed = {FailureReason.TIMEOUT, FailureReason.BAD_ANSWER, FailureReason.RESET}
            assert {each.reason for each in failures} <= allowed, failures

    def test_a_refused_connection_is_refused(self) -> None:
        failures = self.failures("127.0.0.1", nobody())
        assert {each.reason for each in failures} == {FailureReason.REFUSED}, failures

    def test_a_name_that_does_not_resolve_is_refused(self) -> None:
        failures = self.failures("no-such-host.invalid", 1)
        # A resolver that is itself silent is a timeout; one that says it has no answer knows nothing of the name.
        allowed = {FailureReason.REFUSED, FailureReason.TIMEOUT, FailureReason.UNAVAILABLE}
        assert {each.reason for each in failures} <= allowed, failures

    def test_a_reset_is_a_reset(self) -> None:
        with peer(ending="reset") as broken:
            failures = self.failures(broken.host, broken.port)
        assert {each.reason for each in failures} == {FailureReason.RESET}, failures

    def test_a_hang_up_is_no_answer(self) -> None:
        with peer(ending="close") as broken:
            failures = self.failures(broken.host, broken.port)
        assert {each.reason for each in failures} == {FailureReason.RESET}, failures

    def test_another_protocol_is_a_bad_answer(self) -> None:
        for answer in (http(b"<!DOCTYPE html><html>Welcome</html>", kind="text/html"), b"\x00\x01\x02\r\n\r\n" * 10):
            with peer(answer, "close") as other:
                failures = self.failures(other.host, other.port)
            assert {each.reason for each in failures} <= {FailureReason.BAD_ANSWER, FailureReason.RESET}, failures

    def test_up_is_1_or_0_or_unknown(self) -> None:
        if self.up is None:
            return
        down = self.is_up("127.0.0.1", nobody())
        assert isinstance(down, Samples), down
        assert list(down.values) == [0.0]
        with peer() as hole:
            silent = self.is_up(hole.host, hole.port)
        assert isinstance(silent, Samples), silent
        assert list(silent.values) == [0.0]
        with peer(ending="reset") as broken:
            assert isinstance(self.is_up(broken.host, broken.port), PollFailed)
        with self.fine() as settings:
            ((well,),) = run(polled(build(self.kind, settings), [query(self.kind, self.up)], self.now))
        assert isinstance(well, Samples), well
        assert list(well.values) == [1.0]
        assert {series_of(row) for row in well.labels} == {series_of(row) for row in down.labels}

    def test_a_poll_can_be_cancelled(self) -> None:
        async def cancel(source: Source) -> float:
            await source.open()
            task = asyncio.create_task(source.poll(self.asked(), self.now))
            await asyncio.sleep(0.1)
            start = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await source.close()
            return time.monotonic() - start

        with peer() as hole:
            settings = {**self.settings(hole.host, hole.port), "timeout": "30s"}
            assert run(cancel(build(self.kind, settings))) < PATIENCE

    def test_it_answers_again_when_the_server_is_back(self) -> None:
        async def out_and_back(source: Source, other: Source) -> list[PollResult]:
            await source.open()
            await other.open()
            try:
                await other.poll(self.asked(), self.now)
                return await source.poll(self.asked(), self.now)
            finally:
                await source.close()
                await other.close()

        with self.fine() as settings:
            answers = run(out_and_back(build(self.kind, settings), self.at("127.0.0.1", nobody())))
        assert all(isinstance(answer, Samples) for answer in answers), answers

    def test_bad_weather_leaks_nothing(self) -> None:
        with peer() as hole:
            leaks_nothing(lambda: polled(self.at(hole.host, hole.port), self.asked(), self.now))
        leaks_nothing(lambda: polled(self.at("127.0.0.1", nobody()), self.asked(), self.now, times=3))

    def test_no_log_has_a_secret(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), peer(ending="reset") as broken:
            self.failures(broken.host, broken.port)
        self.see_no_secret(caplog.text)
