"""What is no mistake and still worth a word: rules that will page for nothing, windows that do nothing, and so on.

This module knows how warnings are told and ignored: each has an id, a page `docs/lint/<id>.md`, and can be ignored by
`lint.ignore` in the settings, or by a comment `# lint: ignore[id]` in the rule file. What they are is in `lint_rule`
and `lint_window`.
"""

import re
from collections.abc import Iterator

from evaluator.config import lint_rule, lint_window
from evaluator.config.document import Document
from evaluator.config.fields import did_you_mean
from evaluator.config.lint_rule import Whole
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.routes import CANNOT_PAGE
from evaluator.config.rules import RuleFile
from evaluator.config.settings import Settings
from evaluator.config.text import Span
from evaluator.engine.rules import Mode

_COMMENT = re.compile(r"#\s*lint:\s*ignore\[([^\]\n]*)\]")

IDS = frozenset({*lint_rule.IDS, *lint_window.IDS, "no-heartbeat", CANNOT_PAGE})
"""Every lint id; each has a page in docs/lint."""


def lint_file(file: RuleFile, whole: Whole) -> Iterator[Problem]:
    """Yield the warnings about the rules and windows of one file, but for those that a comment ignores."""
    document = file.document
    ignored = list(_comments(document))
    first = min((item.span.line for item in document.positions.definitions), default=0)
    yield from _unknown(document, ignored)
    for path, found in _warnings(file, whole):
        regions = document.regions(path)
        for name, place, message, hint in found:
            if not _is_ignored(name, ignored, regions, first):
                at = document.at_value if isinstance(place[-1], int) else document.at_key
                yield at(place, message, hint, id=name, error=False)


def _warnings(file: RuleFile, whole: Whole) -> Iterator[tuple[Path, Iterator[tuple[str, Path, str, str]]]]:
    """Yield each rule that pages and each window, with what is worth a word about it."""
    for rule in file.rules.values():
        if rule.mode is Mode.PAGE or rule.off_because:
            yield ("rule", rule.name), lint_rule.warnings_of(rule, file.document, whole)
    for window in file.windows.values():
        yield ("window", window.name), lint_window.warnings_of(window, whole)


def lint_settings(document: Document, settings: Settings) -> Iterator[Problem]:
    """Yield the warnings about the settings themselves."""
    if settings.heartbeat is None:
        message = "nobody will notice when evaluator itself is down: there is no [heartbeat]"
        hint = "add [heartbeat] with the url of a dead man's switch (healthchecks.io, Dead Man's Snitch, ...)"
        yield Problem(document.file, 0, 0, 0, message, hint, id="no-heartbeat", error=False)
    for index, name in enumerate(settings.lint.ignore):
        if name not in IDS:
            yield document.at_value(("lint", "ignore", index), *_no_such(name), error=False)


def _comments(document: Document) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the ids of each `# lint: ignore[...]`."""
    for number, line in enumerate(document.source.lines, 1):
        match = _COMMENT.search(line) if "lint" in line else None
        if match:
            yield number, tuple(name.strip() for name in match[1].split(","))


def _is_ignored(
    name: str, ignored: list[tuple[int, tuple[str, ...]]], regions: list[tuple[int, int]], first: int
) -> bool:
    """Return whether a comment above the first line that says anything, or inside the rule, ignores this id."""
    return any(
        name in names and (line < first or any(start <= line <= end for start, end in regions))
        for line, names in ignored
    )


def _unknown(document: Document, ignored: list[tuple[int, tuple[str, ...]]]) -> Iterator[Problem]:
    """Yield a warning for each ignored id that does not exist, since it ignores nothing."""
    for line, names in ignored:
        for name in names:
            if name not in IDS:
                column = document.source.lines[line - 1].find("#") + 1
                message, hint = _no_such(name)
                yield document.source.problem(Span(line, column, column + 1), message, hint, error=False)


def _no_such(name: str) -> tuple[str, str]:
    """Return message and hint for an id that does not exist."""
    meant = did_you_mean(name, IDS)
    hint = f'did you mean "{meant}"?' if meant else f"the ids are {', '.join(sorted(IDS))}"
    return f'there is no lint id "{name[:40]}"', hint
