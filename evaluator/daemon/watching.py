"""Notices that a settings or rule file has changed.

The kernel says so at once where it can; every few seconds the files are looked at all the same, since network file
systems and mounted ConfigMaps change without a word. This module compares names, sizes and times; it never reads.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchfiles import Change, awatch

log = structlog.get_logger(__name__)

LOOK_EVERY = 5.0
"""Seconds between looks without being told."""

SETTLE = 0.3
"""Seconds that an editor gets to finish writing several files."""

Fingerprint = tuple[tuple[str, int, int, int], ...]


def fingerprint(settings: Path, rules: Path) -> Fingerprint:
    """Return what changes when a file changes: path, inode, size and time of the settings and of each rule file."""
    found = []
    for path in (settings, *_rule_files(rules)):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


async def watch(places: Callable[[], tuple[Path, Path]], changed: Callable[[], None], last: Fingerprint) -> None:
    """Call `changed` when the settings file or a rule file has changed; for ever. `places` are both, as of now.

    `last` was taken before the files were read that are in force, so that no edit falls between reading and watching.
    """
    while True:
        now = await asyncio.to_thread(fingerprint, *places())
        if now != last:
            await asyncio.sleep(SETTLE)
            last = await asyncio.to_thread(fingerprint, *places())
            changed()
        await _hint(places()[1])


async def _hint(rules: Path) -> None:
    """Wait until the kernel tells of a change below the rules, or it is time to look anyway.

    The settings' own folder is not watched: it may be anything, as large as a checkout or half unreadable.
    """
    stop = asyncio.Event()
    timer = asyncio.get_running_loop().call_later(LOOK_EVERY, stop.set)
    try:
        async for _ in awatch(rules, watch_filter=_matters, stop_event=stop, debounce=200, step=50):
            return
    except (OSError, RuntimeError) as error:
        # Out of inotify watches, or a folder that vanished meanwhile: then looking has to do.
        log.debug("cannot watch", error=str(error))
        await stop.wait()
    finally:
        timer.cancel()


def _matters(_change: Change, path: str) -> bool:
    return path.endswith(".toml") or "/..data" in path


def _rule_files(rules: Path) -> Iterable[Path]:
    try:
        return sorted(rules.rglob("*.toml"))
    except OSError:
        return ()
