"""How `evaluator doctor` looks at the settings: what is wrong with them, who may read them, who could notice our end.

This module knows the file and the sentences about it. It never asks a source, and never says a secret.
"""

import stat
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from evaluator.cli.asking import address
from evaluator.cli.doctor_reach import reach
from evaluator.cli.doctor_report import secrets_in
from evaluator.config.load import Loaded
from evaluator.config.problems import counts
from evaluator.config.settings import Settings
from evaluator.sources.checkup import Checkup, Grade
from evaluator.web.guard import is_loopback
from evaluator.web.wording import count

WEB_SECONDS = 3.0
"""Seconds; the daemon answers from memory."""
NO_HEARTBEAT = "no-heartbeat"
"""The lint id of settings without a heartbeat."""


def unusable(loaded: Loaded) -> tuple[Checkup, ...]:
    """Return what keeps the settings from being used."""
    errors = [problem for problem in loaded.problems if problem.error]
    return tuple(
        Checkup(
            Grade.WRONG,
            f"{each.file}:{each.line}" if each.line else "file",
            each.message,
            each.hint or "correct what the sentence names",
        )
        for each in errors
    )


def look(loaded: Loaded, settings: Settings, ignored: tuple[str, ...]) -> list[Checkup]:
    """Return how settings and rules are."""
    errors, warnings = counts(loaded.problems)
    rules = [rule for rule in loaded.rules if not rule.built_in]
    in_force = f"{count(len(rules), 'rule')} of {count(len(loaded.files), 'file')}"
    off = sum(not rule.judged for rule in rules)
    said = in_force + (f", {off} of them off" if off else "")
    mend = "`evaluator check` shows each with its line"
    grade = Grade.WRONG if errors else Grade.WARNING if warnings else Grade.FINE
    words = [count(errors, "mistake")] if errors else []
    words += [count(warnings, "warning")] if warnings else []
    found = [Checkup(grade, "rules", ", ".join([said, *words]), mend if words else "")]
    found += _file(loaded, settings)
    if settings.heartbeat is None:
        known = NO_HEARTBEAT in ignored
        said = "off, as [lint] says" if known else "nobody will notice when evaluator itself is down"
        mend = "add [heartbeat] with the url of a dead man's switch (healthchecks.io, Dead Man's Snitch, ...)"
        found.append(Checkup(Grade.FINE if known else Grade.WARNING, "heartbeat", said, "" if known else mend))
    return found


def _file(loaded: Loaded, settings: Settings) -> Iterator[Checkup]:
    """Yield who may read or write the settings that should not."""
    with suppress(OSError, ValueError):
        mode = stat.S_IMODE(loaded.path.stat().st_mode)
        if mode & stat.S_IWOTH:
            yield Checkup(Grade.WARNING, "file", f"everybody may write {loaded.path}", f"chmod o-w {loaded.path}")
        if mode & stat.S_IROTH:
            plain = sorted(_plain(tomllib.loads(loaded.path.read_text()), set(secrets_in(settings))))
            if plain:
                said = f"everybody may read {loaded.path}, and there are secrets in it: {', '.join(plain)}"
                mend = f'write {{ file = "path" }} or {{ env = "NAME" }} instead, or chmod o-r {loaded.path}'
                yield Checkup(Grade.WARNING, "file", said, mend)


def _plain(table: Any, secrets: set[str], path: str = "") -> Iterator[str]:  # noqa: ANN401  # Any TOML.
    """Yield the keys that have secrets in their values."""
    if isinstance(table, dict):
        for key, value in table.items():
            yield from _plain(value, secrets, f"{path}.{key}" if path else key)
    elif isinstance(table, list):
        for value in table:
            yield from _plain(value, secrets, path)
    elif isinstance(table, str) and any(secret in table for secret in secrets):
        yield path


async def look_at_heartbeat(settings: Settings) -> list[Checkup]:
    """Return whether the dead man's switch can be reached, without telling it anything: only its host is asked."""
    if settings.heartbeat is None:
        return []
    parts = urlsplit(settings.heartbeat.url.get_secret_value())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    # The address itself is what tells the switch that the daemon lives, and the path is often the secret.
    there = await reach(
        f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + "/", within=WEB_SECONDS * 2
    )
    if there.status:
        return [Checkup(Grade.FINE, "heartbeat", f"{there.where} can be reached; it was told nothing")]
    return [Checkup(Grade.WRONG, "heartbeat", f"{there.where}: {there.trouble}", there.mend)]


async def look_at_web(settings: Settings) -> list[Checkup]:
    """Return whether a daemon answers where the settings say, and who else can reach it."""
    web = settings.web
    found = [await _daemon(address(web.listen))] if web.port else []
    loopback = web.host == "localhost" or is_loopback(web.host)
    if web.token is not None:
        found.append(Checkup(Grade.FINE, "token", "writes are on, for whoever has it"))
    elif loopback:
        found.append(Checkup(Grade.FINE, "token", "none: whoever uses this machine may look, and nobody may write"))
    else:
        said = f"{web.listen} can be reached from other machines, and there is no token: everybody there may look"
        mend = 'set [web] token = { env = "EVALUATOR_WEB_TOKEN" }, or listen on 127.0.0.1'
        found.append(Checkup(Grade.WARNING, "token", said, mend))
    return found


async def _daemon(url: str) -> Checkup:
    """Return who answers at our own address."""
    try:
        # A proxy of the environment is not asked for what runs on this machine.
        async with httpx.AsyncClient(timeout=WEB_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{url}/readyz")
    except httpx.ConnectError:
        return Checkup(Grade.FINE, "daemon", f"nobody listens at {url}: the daemon does not run here")
    except (httpx.HTTPError, OSError):
        mend = "see its log; systemd's watchdog restarts it by itself"
        return Checkup(Grade.WRONG, "daemon", f"what listens at {url} does not answer within {WEB_SECONDS:g} s", mend)
    lines = answer.text.splitlines()
    if answer.status_code == 200 and lines == ["ready"]:
        return Checkup(Grade.FINE, "daemon", f"it runs at {url}, and is ready")
    if answer.status_code == 503 and lines[:1] == ["not ready"]:
        mend = "`evaluator status` shows more; its log says why"
        return Checkup(Grade.WARNING, "daemon", f"it runs at {url}, and is not ready: {'; '.join(lines[1:])}", mend)
    mend = "give [web] listen another port, or end the other program"
    return Checkup(Grade.WRONG, "daemon", f"what answers at {url} is another program", mend)
