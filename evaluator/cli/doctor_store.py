"""How `evaluator doctor` looks at the store: only by reading, and never so that a daemon would have to wait.

This module knows what makes a store unusable. It never makes, locks, migrates or writes one.
"""

import os
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, SecretStr
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from evaluator.config.load import Loaded
from evaluator.config.settings import SourceEntry
from evaluator.daemon.answers import sources_of
from evaluator.sources.checkup import Checkup, Grade
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import open_store

SMALLEST_ROOM = 100_000_000
"""Bytes: with less, a day of many incidents may fill the disk."""
_PORTS = {"postgresql": 5432, "redis": 6379, "rediss": 6379}


def look(loaded: Loaded) -> list[Checkup]:
    """Return how the store is."""
    settings = loaded.settings
    if settings is None:
        raise AssertionError("the settings were looked at before")
    url = _parsed(settings.store.url)
    if url is not None and url.drivername.startswith("sqlite"):
        return list(_file(Path(url.database or ""), settings.store.url.get_secret_value()))
    found = list(_opened(settings.store.url.get_secret_value()))
    watching = {source for rule in loaded.rules if rule.judged for source in sources_of(rule)}
    watched = sorted(_watching(url, settings.sources, watching)) if url is not None else []
    if watched:
        said = f"the rules of {' and '.join(watched)} watch the server that the store is on: when it is down, what"
        said += " evaluator finds cannot be written, and one emergency incident is all that is sent"
        found.append(
            Checkup(Grade.WARNING, "place", said, "keep the store on another server, or in a file (sqlite:///)")
        )
    return found


def _file(path: Path, url: str) -> Iterator[Checkup]:
    """Yield how a store in a file is."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        mend = "run this as the daemon's user; if it is, let it write: chown it, or move the store ([store] url)"
        yield Checkup(Grade.WRONG, "folder", f"{folder} may not be written", mend)
        return
    if not path.exists():
        yield Checkup(Grade.FINE, "file", f"{path} is not there yet: `evaluator run` makes it")
    elif not os.access(path, os.W_OK):
        yield Checkup(Grade.WRONG, "file", f"{path} may not be written", "chown it to the daemon's user")
        return
    else:
        yield from _opened(url)
        yield from _mode(path)
    room = shutil.disk_usage(folder).free
    if room < SMALLEST_ROOM:
        found = f"{room / 1e6:.0f} MB are left on the disk of {folder}"
        yield Checkup(
            Grade.WARNING if room else Grade.WRONG, "disk", found, "make room, or move the store ([store] url)"
        )


def _mode(path: Path) -> Iterator[Checkup]:
    """Yield who else may read the file, which holds routing keys."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            found = f"{path} has mode {mode:04o}, and routing keys are in it"
            yield Checkup(Grade.WARNING, "mode", found, f"chmod 600 {path}")


def _opened(url: str) -> Iterator[Checkup]:
    """Yield whether it can be read, and is of this version."""
    try:
        with open_store(url, read_only=True) as store:
            store.check()
            trouble = store.unwritable()
            yield Checkup(Grade.FINE, "schema", f"{store.where} is of this version")
    except StoreUnavailable as error:
        if "evaluator run" in error.message and "newer" not in error.message:
            yield Checkup(Grade.WARNING, "schema", error.message, "start `evaluator run`")
        else:
            yield Checkup(Grade.WRONG, "connection", error.message, "mend what the sentence names: docs/store.md")
        return
    if trouble:
        yield Checkup(Grade.WRONG, "writing", trouble, "grant it: docs/store.md")
    else:
        yield Checkup(Grade.FINE, "writing", "nothing speaks against it; nothing was written")


def _parsed(url: SecretStr) -> URL | None:
    try:
        return make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        return None


def _watching(store: URL, sources: Mapping[str, SourceEntry], asked: set[str]) -> Iterator[str]:
    """Yield the sources that ask the server on which the store is."""
    own = _place(store)
    for name, entry in sources.items():
        if name in asked and entry.enabled and entry.settings is not None and own & _places(entry.settings):
            yield name


def _places(settings: BaseModel) -> set[tuple[str, int]]:
    """Return where a source's server is, as far as its settings tell."""
    found: set[tuple[str, int]] = set()
    for _, value in settings:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and "://" in text and (url := _parsed(SecretStr(text))) is not None:
            found |= _place(url)
    host, port = getattr(settings, "host", None), getattr(settings, "port", None)
    if isinstance(host, str):
        found |= {(address, port if isinstance(port, int) else 5432) for address in _addresses(host)}
    return found


def _place(url: URL) -> set[tuple[str, int]]:
    """Return address and port of a server; a socket of this machine counts as its loopback."""
    host = url.host or str(url.query.get("host", "")) or "localhost"
    port = url.port or _PORTS.get(url.drivername.partition("+")[0], 0)
    return {(address, port) for address in _addresses(host)}


def _addresses(host: str) -> set[str]:
    """Return the addresses of a name, and the name, so that two names of one server are one server."""
    if host.startswith("/"):
        host = "localhost"
    found = {host.lower()}
    with suppress(OSError, UnicodeError):
        found |= {str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return found
