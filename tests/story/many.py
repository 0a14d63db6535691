"""A great many short histories, each with its seed: `python -m tests.story.many --histories 1000000 --processes 2`.

Every hundredth is told to a real store, the others to one in memory. A disagreement is shrunk and printed with its
seed; `--only SEED` plays that one again. It judges nothing: who disagrees is found out in `play` and `ending`.
"""

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, replace
from pathlib import Path

from sqlalchemy import Engine, create_engine

from evaluator.engine.rules import Rule, RuleSet
from evaluator.store import tables
from evaluator.store.store import open_store
from tests.story.ending import end
from tests.story.making import quick
from tests.story.play import DELIVERIES, Play
from tests.story.surroundings import Store
from tests.story.worlds import Down, Happening, History, Reload, Run, rule_set

STORED = 100
"""One history in so many is told to a real store."""
BATCH = 250


def play_out(history: History, store: Store | None = None) -> None:
    """Play one history to its end; raise where the two disagree or a promise is broken."""
    play = Play.of(history, store=store)
    for after in play.steps(history.happenings):
        if after != DELIVERIES:  # What is sent changes no judgement; a kill over it is seen at the next look.
            play.agree(after)
    end(play)


def broken(history: History, store: Store | None = None) -> str:
    """Return how a history goes wrong; empty: it does not."""
    try:
        play_out(history, store)
    except Exception:  # noqa: BLE001 - whatever goes wrong is a finding.
        return traceback.format_exc()
    return ""


# A batch of seeds.


def batch(seeds: range, prefix: str) -> tuple[int, list[str]]:
    """Play the histories of some seeds; return how many, and the seeds of those that go wrong."""
    wrong = []
    gc.disable()  # What a history leaves behind is little, and looking for it again and again is not.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        url = f"sqlite:///{folder}/evaluator.db"
        engine = create_engine(url)
        with open_store(url) as store:
            for number in seeds:
                seed = f"{prefix}:{number}"
                stored = emptied(store, engine) if number % STORED == 0 else None
                if broken(quick(seed), stored):
                    wrong.append(seed)
        engine.dispose()
    gc.enable()
    gc.collect()
    return len(seeds), wrong


def emptied(store: Store, engine: Engine) -> Store:
    """Return the store without anything in it."""
    with engine.begin() as connection:
        for table in reversed(tables.METADATA.sorted_tables):
            connection.execute(table.delete())
    return store


# Making a history that goes wrong readable.


def shrunk(history: History, fails: Callable[[History], object]) -> History:
    """Return a history that fails still, and is as short and plain as leaving things out makes it."""
    smaller = next((it for it in simpler(history) if fails(it)), None)
    while smaller is not None:
        history = smaller
        smaller = next((it for it in simpler(history) if fails(it)), None)
    return history


def simpler(history: History) -> Iterator[History]:
    """Yield this history with something left out, the most first."""
    length = len(history.happenings)
    size = length
    while size:
        for begin in range(0, length, size):
            yield replace(history, happenings=history.happenings[:begin] + history.happenings[begin + size :])
        size //= 2
    for place, happening in enumerate(history.happenings):
        for plainer in plainer_happenings(happening):
            happenings = (*history.happenings[:place], plainer, *history.happenings[place + 1 :])
            yield replace(history, happenings=happenings)
    for name in ("r1", "r2"):
        for key in [each.name for each in fields(Rule)] + ["tiers.0", "tiers.1", "tiers.2", "remove"]:
            changed = everywhere(history, name, key)
            if changed != history:
                yield changed
    if history.rules.windows:
        yield replace(history, rules=rule_set(history.rules))


def plainer_happenings(happening: Happening) -> Iterator[Happening]:
    """Yield a happening with something left out."""
    match happening:
        case Run():
            if happening.ticks > 1:
                yield replace(happening, ticks=happening.ticks // 2)
                yield replace(happening, ticks=happening.ticks - 1)
            if happening.slope:
                yield replace(happening, slope=0.0)
            for place, said in enumerate(happening.answers):
                for series in said or ():
                    less = {key: value for key, value in (said or {}).items() if key != series}
                    yield replace(
                        happening, answers=(*happening.answers[:place], less, *happening.answers[place + 1 :])
                    )
        case Down() | Reload() if happening.rules is not None:
            yield replace(happening, rules=None)
        case _:
            pass


def everywhere(history: History, name: str, key: str) -> History:
    """Return a history in which a rule has a plain key, or a tier less, in every rule set that there is."""

    def plainer(rules: RuleSet) -> RuleSet:
        return rule_set((plain(it, key) for it in rules if (it.name, key) != (name, "remove")), rules.windows.values())

    def plain(rule: Rule, key: str) -> Rule:
        if rule.name != name or key in ("name", "query", "tiers", "every", "remove"):
            return rule
        if key.startswith("tiers."):
            left_out = int(key[-1])
            tiers = tuple(tier for place, tier in enumerate(rule.tiers) if place != left_out)
            return replace(rule, tiers=tiers or rule.tiers)
        return replace(rule, **{key: getattr(Rule("", rule.query, ()), key)})

    happenings = tuple(
        replace(it, rules=plainer(it.rules)) if isinstance(it, Down | Reload) and it.rules is not None else it
        for it in history.happenings
    )
    return replace(history, rules=plainer(history.rules), happenings=happenings)


def report(seed: str) -> str:
    """Return what goes wrong with a seed, and the shortest history that was found for it."""
    said = broken(quick(seed))
    if not said:
        return f"{seed}: agreed on (in memory)"
    history = shrunk(quick(seed), broken)
    return f"== {seed}\n{history!r}\n\n{broken(history)}"


def main() -> int:
    """Play them all, and say how it went."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--histories", type=int, default=100_000)
    asked.add_argument("--processes", type=int, default=2)
    asked.add_argument("--seed", default="1", help="what the seeds of all histories begin with")
    asked.add_argument("--first", type=int, default=0, help="the number to go on with, as the progress line says")
    asked.add_argument("--shown", type=int, default=5, help="how many disagreements are shrunk and printed")
    asked.add_argument("--only", help="play this one again, and show it")
    given = asked.parse_args()
    if given.only:
        print(f"{quick(given.only)!r}\n\n{report(given.only)}")  # noqa: T201
        return 0
    begun, played = time.monotonic(), 0
    wrong: list[str] = []
    starts = range(given.first, given.first + given.histories, BATCH)
    with ProcessPoolExecutor(given.processes) as pool:
        tasks = [
            pool.submit(batch, range(it, min(it + BATCH, given.first + given.histories)), given.seed) for it in starts
        ]
        for task in as_completed(tasks):
            number, seeds = task.result()
            played, wrong = played + number, wrong + seeds
            each = 1000 * given.processes * (time.monotonic() - begun) / played
            done = next((start for start, it in zip(starts, tasks, strict=True) if not it.done()), starts.stop)
            said = f"{played} histories, {len(wrong)} wrong {wrong[-3:]}, {each:.2f} ms each on a core"
            print(f"{said}; all before {done} are played", file=sys.stderr)  # noqa: T201
    for seed in wrong[: given.shown]:
        print(report(seed))  # noqa: T201
    print(f"{played} histories, {len(wrong)} wrong: {' '.join(wrong)}")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
