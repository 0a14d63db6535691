"""The one way from files to settings and rules: used by the daemon at start and reload, and by `evaluator check`.

This module reads the settings file and the folder of rules. It never knows the store: the last good texts are an
argument, and so is the environment. It never raises for what is in a file or missing from the disk.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from evaluator.config.builtin import NAMES, built_in_rules
from evaluator.config.document import read_document
from evaluator.config.inforce import InForce, Judge
from evaluator.config.lint import lint_file, lint_settings
from evaluator.config.lint_rule import Whole
from evaluator.config.plugins import Plugins, installed
from evaluator.config.problems import Problem, in_order
from evaluator.config.rules import read_rules
from evaluator.config.settings import Settings
from evaluator.config.settings_file import SettingsFile, read_settings
from evaluator.config.text import LARGEST
from evaluator.engine.rules import RuleSet
from evaluator.incidents.routing import Routes

NAME = "evaluator.toml"
VARIABLE = "EVALUATOR_CONFIG"
SYSTEM = Path("/etc/evaluator") / NAME


@dataclass(frozen=True)
class Loaded:
    """What settings and rules say now."""

    settings: Settings | None
    """`None` where anything is wrong with them."""
    rules: RuleSet = field(default_factory=RuleSet)
    """The rules in force."""
    routes: Routes = field(default_factory=Routes)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The text in force of each rule file, by its path relative to the folder of rules, with `/`."""
    problems: tuple[Problem, ...] = ()
    fatal: bool = False
    """Nothing can be started or changed with this: the settings are wrong, or a file without a last good text is."""
    path: Path = Path(NAME)
    """The settings file."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """By service: why it cannot page."""
    folder: Path = Path("rules")
    """The folder of rules."""
    plugins: Plugins | None = field(default=None, repr=False)
    """The types that sources and notifiers are made with."""
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By source that is off: what its settings refer to and is not there."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    saved: Mapping[str, str] | None = None,
    *,
    keep_vanished: bool = False,
    plugins: Plugins | None = None,
    only: Sequence[Path] = (),
    texts: Mapping[str, str] | None = None,
    now: float | None = None,
) -> Loaded:
    """Read settings and rules.

    `saved` are the last good texts of rule files (`None` at a check, empty at a daemon's first start). With
    `keep_vanished` a file that is gone keeps its rules. `only`: these rule files and folders instead of the settings'.
    `texts`: these rule files, by name as in `Loaded.files`, and none of a disk.
    `now` (seconds since the epoch) is for windows that are long over.
    """
    plugins = plugins or installed()
    found, problem = find_settings(path, environ)
    if found is None:
        return Loaded(None, problems=(problem,) if problem else (), fatal=True, path=path or Path(NAME))
    raw, problem = _read(found, found.name)
    if problem is not None:
        return Loaded(None, problems=(problem,), fatal=True, path=found)
    base = found.absolute().parent
    document = read_document(found.name, raw, settings=True)
    judged = read_settings(document, environ, base, plugins)
    problems: list[Problem] = [*plugins.problems, *judged.problems]
    folder = base / judged.rules
    if texts is None:
        state = _rules_in_force(base, folder, saved or {}, judged, keep_vanished=keep_vanished, only=only)
    else:
        state = _rules_of(texts, f"{_relative(folder, base)}/", judged)
    problems += state.problems
    if judged.settings is not None:
        problems += lint_settings(document, judged.settings)
    rules = [rule for file in state.files.values() for rule in file.rules.values()]
    for service in sorted({rule.service for rule in rules if rule.judged} & set(judged.unpaged)):
        problems += judged.unpaged[service]
    rules += built_in_rules(judged.declared, {rule.name for rule in rules})
    windows = {name: window for file in state.files.values() for name, window in file.windows.items()}
    in_force = RuleSet({rule.name: rule for rule in rules}, windows)
    whole = Whole(in_force, state.names, state.complete, judged.declared.timezone, now)
    for file in state.files.values():
        problems += lint_file(file, whole)
    shown = [item for item in problems if not item.id or item.id not in judged.ignored]
    return Loaded(
        judged.settings,
        in_force,
        judged.routes,
        {name: file.document.source.text for name, file in state.files.items()},
        in_order(shown),
        judged.settings is None or state.fatal,
        found,
        judged.notes,
        folder,
        plugins,
        judged.lacking,
    )


def find_settings(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, Problem | None]:
    """Return the settings file, or why there is none."""
    named = path or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is not None:
        if _is_file(named):
            return named, None
        who = "" if path else f" (from ${VARIABLE})"
        return None, Problem("", 0, 0, 0, f"there is no settings file {named}{who}")
    for place in (Path(NAME), SYSTEM):
        if _is_file(place):
            return place, None
    message = f"no settings found: looked for --config, ${VARIABLE}, ./{NAME} and {SYSTEM}"
    return None, Problem("", 0, 0, 0, message, f"write {NAME}, or start where it is")


def _is_file(path: Path) -> bool:
    """Return whether a path is there and no folder; a path that cannot be looked at is left to reading."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return True


def _read(path: Path, shown: str) -> tuple[bytes, Problem | None]:
    """Return a file's bytes, or why it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1), None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no path"
        return b"", Problem(shown, 0, 0, 0, f"cannot be read: {why}")


def _read_at_once(path: Path, shown: str) -> tuple[bytes, Problem | None]:
    """Return what `_read` does, without waiting for whoever may write into a pipe one day."""
    try:
        waits = path.is_fifo()
    except OSError:
        waits = False
    if waits:
        return b"", Problem(shown, 0, 0, 0, "cannot be read: it is a pipe, and no file")
    return _read(path, shown)


def _rules_in_force(
    base: Path,
    folder: Path,
    saved: Mapping[str, str],
    judged: SettingsFile,
    *,
    keep_vanished: bool,
    only: Sequence[Path],
) -> InForce:
    """Return the rule files in force, judged against the settings."""
    prefix = "" if only else f"{_relative(folder, base)}/"
    state = InForce(
        _judge(prefix, judged), saved, prefix, frozenset(NAMES) | (_names_in(folder) if only else frozenset())
    )
    disk: dict[str, bytes] = {}
    unreadable: dict[str, Problem] = {}
    try:
        names = dict(_given(only, base) if only else _in_folder(folder))
    except OSError as error:
        why = error.strerror or "it is no folder"
        return _blind(state, Problem(prefix.rstrip("/"), 0, 0, 0, f"the folder of rules cannot be read: {why}"))
    if not names:
        message = f"there is no *.toml file in {prefix.rstrip('/') or 'what was named'}"
        if saved:
            return _blind(state, Problem(prefix.rstrip("/"), 0, 0, 0, f"{message}; all rules stay in force"))
        state.problems.append(Problem("", 0, 0, 0, f"{message}: nothing is watched", error=False))
    for name, place in names.items():
        raw, problem = _read(place, prefix + name) if only else _read_at_once(place, prefix + name)
        if problem is None:
            disk[name] = raw
        else:
            unreadable[name] = problem
    state.settle(disk, unreadable, keep_vanished=keep_vanished)
    return state


def _judge(prefix: str, judged: SettingsFile) -> Judge:
    """Return what reads one rule file's text under these settings."""
    return lambda name, raw: read_rules(read_document(prefix + name, raw), judged.declared)


def _rules_of(texts: Mapping[str, str], prefix: str, judged: SettingsFile) -> InForce:
    """Return rule files of which the texts are known, judged against the settings."""
    state = InForce(_judge(prefix, judged), {}, prefix, frozenset(NAMES))
    state.settle({name: text.encode("utf-8", "replace") for name, text in texts.items()}, {}, keep_vanished=False)
    return state


def _names_in(folder: Path) -> frozenset[str]:
    """Return the names of the rules in a folder, as far as they can be made out."""
    names: set[str] = set()
    try:
        for name, place in _in_folder(folder):
            rules = read_document(name, _read_at_once(place, name)[0]).data.get("rule")
            names.update(rules if isinstance(rules, dict) else ())
    except OSError:
        # What was named is judged all the same.
        return frozenset(names)
    return frozenset(names)


def _blind(state: InForce, problem: Problem) -> InForce:
    """Return the state when the folder cannot be seen: nothing is removed because of that."""
    state.settle({}, {}, keep_vanished=True)
    state.problems = [item for item in state.problems if item.error]
    state.problems.append(problem)
    state.fatal |= not state.saved
    return state


def _in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the place of each rule file below a folder; what begins with a dot is none."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".toml") and not name.startswith("."):
                path = Path(place) / name
                yield str(PurePosixPath(path.relative_to(folder))), path


def _given(paths: Iterable[Path], base: Path) -> Iterator[tuple[str, Path]]:
    """Yield the rule files that were named, or that are in the folders that were."""
    for path in paths:
        if path.is_dir():
            for _, place in _in_folder(path):
                yield _relative(place.absolute(), base), place
        else:
            yield _relative(path.absolute(), base), path


def _relative(path: Path, base: Path) -> str:
    """Return a path as people see it: relative to the settings file, unless it lies elsewhere."""
    try:
        return str(PurePosixPath(path.relative_to(base)))
    except ValueError:
        return str(path)
