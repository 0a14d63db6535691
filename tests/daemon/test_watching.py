"""A changed file is noticed: what counts as a change, and when it may come."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from evaluator.daemon.watching import fingerprint, watch


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    settings, rules = tmp_path / "evaluator.toml", tmp_path / "rules"
    (rules / "team").mkdir(parents=True)
    settings.write_text("a")
    (rules / "a.toml").write_text("a")
    (rules / "team" / "b.toml").write_text("b")
    return settings, rules


def edit(path: Path) -> None:
    path.write_text("longer")


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def replace(path: Path) -> None:
    """Put another file in its place, as editors do: as long, and as old."""
    before = path.stat()
    other = path.with_suffix(".other")
    other.write_text(path.read_text())
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("name", ["evaluator.toml", "rules/a.toml", "rules/team/b.toml"])
@pytest.mark.parametrize("change", [edit, touch, replace, Path.unlink])
def test_each_change_of_a_file_changes_the_fingerprint(
    places: tuple[Path, Path], tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    before = fingerprint(*places)
    assert fingerprint(*places) == before
    change(tmp_path / name)
    assert fingerprint(*places) != before


def test_a_new_rule_file_counts_and_any_other_does_not(places: tuple[Path, Path]) -> None:
    before = fingerprint(*places)
    (places[1] / "notes.txt").write_text("x")
    assert fingerprint(*places) == before
    (places[1] / "c.toml").write_text("x")
    assert fingerprint(*places) != before


def test_what_is_not_there_has_a_fingerprint_too(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "none.toml", tmp_path / "none") == ()


@pytest.mark.parametrize("when", ["before the watch begins", "while it watches", "where no folder is"])
async def test_no_change_is_missed(places: tuple[Path, Path], when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.daemon.watching.LOOK_EVERY", 0.3)
    seen, changed = fingerprint(*places), asyncio.Event()
    looked_at = places
    if when == "where no folder is":
        looked_at = (places[0], places[1] / "none")
        seen = fingerprint(*looked_at)
    if when == "before the watch begins":
        edit(places[1] / "a.toml")
    watching = asyncio.create_task(watch(lambda: looked_at, changed.set, seen))
    if when != "before the watch begins":
        await asyncio.sleep(0.1)
        assert not changed.is_set()
        edit(places[0])
    await asyncio.wait_for(changed.wait(), 20)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
