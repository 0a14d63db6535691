"""The benchmarks run: with tiny sizes, so that they do not rot between two measurements."""

import pytest

from bench import daemon, engine, language, sources
from bench.answers import LIMIT, answer, query
from bench.measuring import Spread, cpu, seconds, table


def rows_of(printed: str) -> list[list[str]]:
    """Return the cells of every row of the Markdown tables, heads left out."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, line in enumerate(lines) if line.startswith("|---")}
    rules = {number for number, line in enumerate(lines) if line.startswith("|---")}
    return [line.strip("| ").split(" | ") for number, line in enumerate(lines) if number not in heads | rules]


def test_the_engine_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    engine.main(["--quick"])
    printed = capsys.readouterr().out
    assert printed.startswith("Measured on ")
    assert printed.count("### ") == 5
    assert len(rows_of(printed)) == 1 + 2 + 2 + 2 + 2


def test_the_language_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    language.main(["--quick"])
    names = [row[0] for row in rows_of(capsys.readouterr().out)]
    assert [sum(word in name for name in names) for word in ("quiet", "rising", "unusual", "only_if", "storms")] == [
        1, 1, 1, 2, 4
    ]  # fmt: skip


def test_the_daemon_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    daemon.main(["--quick", "--only", "1 firing"])
    (measured,) = rows_of(capsys.readouterr().out)
    assert measured[0] == "3 series, 1 firing"
    # Usually 1 a round; on a busy machine a slot may be missed.
    assert float(measured[-1]) > 0


def test_what_ships_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    daemon.main(["--quick", "--only", "make run"])
    (measured,) = rows_of(capsys.readouterr().out)
    assert measured[0] == "`make run`"


@pytest.mark.parametrize(("source", "requests"), [("redis", ["1", "1"]), ("http", ["1", "3"])])
def test_the_sources_are_measured(capsys: pytest.CaptureFixture[str], source: str, requests: list[str]) -> None:
    sources.main(["--quick", "--only", source])
    shared, apart = rows_of(capsys.readouterr().out)
    assert [cell.split(" · ")[0] for cell in shared[1:]] == ["1", "1"]
    assert [cell.split(" · ")[0] for cell in apart[1:]] == requests


def test_an_answer_has_as_many_series_and_breaches_as_its_query_says() -> None:
    samples = engine.samples(1000, 7)
    assert len({tuple(labels.items()) for labels in samples.labels}) == 1000
    assert sum(value > LIMIT for value in samples.values) == 7
    assert answer(1000, 7) != answer(1000, 6)
    assert query(1000, 7) != query(1000, 7, number=1)


def test_a_spread_shows_the_median_and_its_ends() -> None:
    assert str(Spread((0.003, 0.001, 0.0015))) == "**1.5 ms** (1 ms to 3 ms)"
    assert str(Spread((2.0,))) == "2 s"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (5e-8, "50 ns"), (2.5e-5, "25 µs"), (0.25, "250 ms"), (1.5, "1.5 s")]
)
def test_seconds_have_the_unit_that_fits(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_each_measurement_is_of_one_call() -> None:
    calls: list[int] = []
    spread = cpu(3, calls.append, 1)
    assert len(spread.samples) == 3
    assert spread.median < 0.001
    assert len(calls) > 3


def test_a_table_is_markdown() -> None:
    assert table("Title", ("", "a"), [("row", 1)]) == "### Title\n\n|  | a |\n|---|---:|\n| row | 1 |\n"
