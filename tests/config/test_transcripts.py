"""Files as people write them, with what evaluator says of them beside each: `bad/*.toml` and `bad/*.txt`.

To write the expected texts anew after a wording changed: EVALUATOR_WRITE_TRANSCRIPTS=1.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.config.load import Loaded
from evaluator.config.problems import render_plain

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.toml"))
GOOD = sorted((HERE / "good").glob("*.toml"))


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", BAD, ids=name)
def test_a_bad_file_is_explained(path: Path, loader: Callable[..., Loaded]) -> None:
    raw = path.read_bytes()
    loaded = loader(settings=raw) if path.stem.startswith("settings") else loader({path.name: raw})
    said = "\n\n".join(render_plain(problem) for problem in loaded.problems if not problem.id) + "\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("EVALUATOR_WRITE_TRANSCRIPTS"):
        expected.write_text(said)
    assert said == expected.read_text()
    assert loaded.fatal


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_a_good_file_is_taken_without_a_word(path: Path, loader: Callable[..., Loaded]) -> None:
    loaded = loader({path.name: path.read_bytes()})
    assert [problem.headline for problem in loaded.problems] == []
    assert not loaded.fatal
    assert len(loaded.rules) >= 1
