"""`evaluator check --against-running`: what the checked files would do to what is in force, before they are.

This command reads the store of the daemon and asks the sources of the changed rules once. It writes nothing.
"""

import asyncio
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console

from evaluator.cli.polling import answers_of
from evaluator.cli.terminal import badge, line
from evaluator.config.load import Loaded, load
from evaluator.engine.rules import Query
from evaluator.incidents.changes import Saved
from evaluator.incidents.preview import Answers, Effect, Touched, changed_rules, effect_of
from evaluator.incidents.world import World
from evaluator.store.errors import StoreUnavailable
from evaluator.store.store import open_store
from evaluator.web.wording import count

SHOWN = 20
"""Lines of each kind."""
_WORDS = {"opens": "opens", "raises": "raises", "closes": "closes", "pends": "opens later, if it lasts"}


class Incomparable(Exception):  # noqa: N818  # Nothing is wrong with the files; there is nothing to compare them with.
    """There is nothing in force to compare with; the message says why."""


def effect(loaded: Loaded, paths: Sequence[Path], config: Path | None) -> Effect:
    """Return what putting these files in force does to the daemon that runs; raises `Incomparable`.

    With `paths` the named files take the place of those of the same name in the folder of rules, or come on top.
    """
    if loaded.settings is None:
        raise Incomparable("the settings cannot be used")
    saved = _saved(loaded.settings.store.url.get_secret_value())
    texts = {each.path: each.text for each in saved.files}
    if not texts:
        raise Incomparable("no rule is in force yet: start `evaluator run` once")
    running = load(config, os.environ, texts=texts)
    after = load(config, os.environ, texts={**texts, **_named(loaded, texts)}) if paths else loaded
    changed = [after.rules.rules[name] for name in changed_rules(running.rules, after.rules)]
    judged = [rule for rule in changed if rule.judged]
    asked: list[Query] = [rule.query for rule in judged]
    asked += [rule.only_if.query for rule in judged if rule.only_if is not None]
    now = time.time()
    answers = asyncio.run(answers_of(loaded, asked, now))
    return effect_of(
        World.load(saved, now),
        running.rules,
        after.rules,
        Answers(
            {rule.name: answers[rule.query] for rule in judged},
            {rule.name: answers[rule.only_if.query] for rule in judged if rule.only_if is not None},
        ),
        now,
        routes=after.routes,
        instance=loaded.settings.instance,
    )


def draw(console: Console, found: Effect) -> None:
    """Print an effect: a line for each incident, then one for all."""
    for kind, word in _WORDS.items():
        touched: list[Touched] = getattr(found, kind)
        for each in touched[:SHOWN]:
            console.print(
                line((f"{word} ", "bold")).append(badge(each.severity)).append(line(f" {each.name}: {each.why}"))
            )
        if len(touched) > SHOWN:
            console.print(line((f"... and {word} {len(touched) - SHOWN} more", "dim")))
    for rule, why in sorted(found.unknown.items()):
        console.print(line(("cannot tell ", "bold"), f"{rule}: {why}"))
    if not found:
        console.print("Nothing changes: these rules are in force.")
        return
    edits = [f"{count(len(found.changed), 'rule')} new or changed"]
    edits += [f"{len(found.removed)} removed"] if found.removed else []
    console.print(line((f"opens {len(found.opens)}, closes {len(found.closes)}", "bold"), f" ({', '.join(edits)})"))


def as_json(found: Effect) -> dict[str, Any]:
    """Return an effect for a machine."""
    return {
        "changed": list(found.changed),
        "removed": list(found.removed),
        **{kind: [_json(each) for each in getattr(found, kind)] for kind in _WORDS},
        "unknown": found.unknown,
    }


def _json(each: Touched) -> dict[str, Any]:
    return {"rule": each.rule, "group": dict(each.group), "severity": each.severity.value, "why": each.why}


def _saved(url: str) -> Saved:
    try:
        with open_store(url, read_only=True) as store:
            return store.load(time.time())
    except StoreUnavailable as unavailable:
        raise Incomparable(unavailable.message) from None


def _named(loaded: Loaded, texts: Collection[str]) -> dict[str, str]:
    """Return the texts of the named files, under the names of the files in force whose places they take."""
    base, folder = loaded.path.absolute().parent, os.path.normpath(loaded.folder.absolute())
    return {_name_of(os.path.normpath(base / file), folder, texts): text for file, text in loaded.files.items()}


def _name_of(place: str, folder: str, texts: Collection[str]) -> str:
    """Return the name of a file in the folder of rules; elsewhere, of the one in force that its path ends with."""
    path = PurePath(place)
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    same = [name for name in texts if path.as_posix().endswith(f"/{name}")]
    return max(same, key=len, default=path.as_posix())
