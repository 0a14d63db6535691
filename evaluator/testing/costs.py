"""What every source must do to stay cheap: ask equal questions once, count what it asks, spoil no other's answer.

This module knows polls of many queries. It never knows what one asks of its system.
"""

# ruff: noqa: D102  # A test's name is its sentence.

import itertools
from collections.abc import Mapping, Sequence

from evaluator.engine.rules import Query
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.source import Metered
from evaluator.testing.suite import Fields, Suite, build, query, run

RULES = 1000
"""As many rules as a large installation has."""


class Costs(Suite):
    """What holds for the costs of every source."""

    def test_a_thousand_equal_queries_cost_what_one_costs(self) -> None:
        asked = self.asked()
        with self.fine() as settings:
            _, once = run(self._metered(settings, asked))
            answers, often = run(self._metered(settings, [asked[rule % len(asked)] for rule in range(RULES)]))
        assert len(answers) == RULES
        for rule, answer in enumerate(answers):
            assert isinstance(answer, Samples), f"{self.queries[rule % len(asked)]}: {answer}"
        for unit, used in often.items():
            assert used <= once.get(unit, 0.0), f"{RULES} equal queries cost {used:g} {unit}, one {once.get(unit, 0):g}"

    def test_different_queries_are_answered_in_one_poll(self) -> None:
        if not self.many:
            return
        with self.fine() as settings:
            answers, used = run(self._metered(settings, [query(self.kind, fields) for fields in self.many]))
        for fields, answer in zip(self.many, answers, strict=True):
            assert isinstance(answer, Samples), f"{fields}: {answer}"
        if used:
            assert used["requests"] <= self.most_requests, (
                f"{len(self.many)} queries cost {used['requests']:g} requests"
            )

    def test_a_bad_query_spoils_no_other(self) -> None:
        if self.bad_query is None:
            return
        asked = self.asked()
        bad = query(self.kind, self.bad_query)
        middle = len(asked) // 2
        with self.fine() as settings:
            mixed, _ = run(self._metered(settings, [*asked[:middle], bad, *asked[middle:]]))
            (alone,), _ = run(self._metered(settings, [bad]))
        for failed in (mixed.pop(middle), alone):
            assert isinstance(failed, PollFailed), failed
            assert failed.reason is FailureReason.BAD_QUERY, failed
            assert failed.message
            self.one_line(failed.message)
        for fields, answer in zip(self.queries, mixed, strict=True):
            assert isinstance(answer, Samples), f"{fields}: {answer}"

    def test_its_costs_are_counted(self) -> None:
        with self.fine() as settings:
            assert isinstance(build(self.kind, settings), Metered) is self.counts

    def test_usage_only_grows(self) -> None:
        async def seen(settings: Fields) -> list[dict[str, float]]:
            source = build(self.kind, settings)
            if not isinstance(source, Metered):
                return []
            counts = [dict(source.usage())]
            await source.open()
            try:
                for _ in range(2):
                    await source.poll(self.asked(), self.now)
                    counts.append(dict(source.usage()))
            finally:
                await source.close()
            return [*counts, dict(source.usage())]

        with self.fine() as settings:
            counts = run(seen(settings))
        for before, after in itertools.pairwise(counts):
            assert set(before) <= set(after)
            assert all(used <= after[unit] for unit, used in before.items()), counts
        if counts:
            assert counts[1]["requests"] >= 1, "a poll costs at least one request"
            assert all(type(used) in (int, float) and used >= 0 for used in counts[-1].values()), counts

    def test_another_adapter_sees_the_same_series(self) -> None:
        """A restart of the daemon, at another time: what changes then is no identity."""
        with self.fine() as settings:
            before, _ = run(self._metered(settings, self.asked()))
            after, _ = run(self._metered(settings, self.asked(), later=1.0))
        for fields, one, other in zip(self.queries, before, after, strict=True):
            assert isinstance(one, Samples), f"{fields}: {one}"
            assert isinstance(other, Samples), f"{fields}: {other}"
            assert {series_of(row) for row in one.labels} == {series_of(row) for row in other.labels}, fields

    async def _metered(
        self, settings: Fields, queries: Sequence[Query], later: float = 0.0
    ) -> tuple[list[PollResult], Mapping[str, float]]:
        """Poll a new adapter once; return its answers and what they cost, nothing where it does not count."""
        source = build(self.kind, settings)
        await source.open()
        try:
            answers = await source.poll(queries, self.now + later)
            return answers, dict(source.usage()) if isinstance(source, Metered) else {}
        finally:
            await source.close()
