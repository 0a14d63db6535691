"""What is wrong in a settings or rule file, at its place, and how it is shown to a person.

This module knows places and sentences. It never knows TOML or rules, and it never sees a secret: whoever makes a
problem hands over a source line in which secrets are already masked (see `secrecy`).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

_WIDEST = 160
_TAB = 4
LINT_DOCS = "docs/lint"
"""Folder with one page for each lint id."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or one warning. Lines and columns count from 1, columns in characters; 0 where there is none."""

    file: str
    """Relative to the settings file, with `/`; empty where no file is to blame."""
    line: int
    column: int
    end_column: int
    """The column after the last marked character."""
    message: str
    """One sentence, which never holds a secret."""
    hint: str = ""
    """What to write instead."""
    id: str = ""
    """The lint id, by which a warning can be ignored and its page be found; empty for mistakes."""
    error: bool = True
    """`False`: a warning, worth a word but in force."""
    source: str = field(default="", compare=False)
    """The line itself, secrets masked."""

    @property
    def where(self) -> str:
        """`file:line:column`, as far as it is known."""
        parts = [self.file] if self.file else []
        if self.line:
            parts += [str(self.line), str(self.column)]
        return ":".join(parts)

    @property
    def headline(self) -> str:
        """`file:line:column: message`, with the lint id of a warning."""
        start = f"{self.where}: " if self.where else ""
        word = "" if self.error else "warning: "
        end = f" [{self.id}]" if self.id else ""
        return f"{start}{word}{self.message}{end}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems in reading order, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, not p.error, p.message)))


def counts(problems: Iterable[Problem]) -> tuple[int, int]:
    """Return how many errors and how many warnings there are."""
    kinds = [problem.error for problem in problems]
    return kinds.count(True), kinds.count(False)


def render_plain(problem: Problem) -> str:
    """Return the problem as text: headline, source line, carets, hint."""
    return render(problem).plain


def render(problem: Problem) -> Text:
    """Return the problem in colours, for a terminal."""
    colour = "bold red" if problem.error else "bold yellow"
    text = Text()
    if problem.where:
        text.append(f"{problem.where}: ", "bold")
    if not problem.error:
        text.append("warning: ", colour)
    text.append(safe(problem.message))
    if problem.id:
        text.append(f" [{problem.id}]", "dim")
    if problem.line and problem.source.strip():
        _append_source(text, problem, colour)
    gutter = " " * max(len(str(problem.line)), 1)
    for line in safe(problem.hint).splitlines():
        text.append(f"\n  {gutter} = ", "dim")
        text.append("hint: ", "bold cyan")
        text.append(line)
    return text


def _append_source(text: Text, problem: Problem, colour: str) -> None:
    """Append the source line with its number, and carets under the culprit."""
    number = str(problem.line)
    line, start, end = _window(problem.source, problem.column - 1, problem.end_column - 1)
    before = cell_len(_shown(line[:start]))
    carets = max(cell_len(_shown(line[start:end])), 1)
    text.append(f"\n  {number} | ", "dim")
    text.append(_shown(line).rstrip())
    text.append(f"\n  {' ' * len(number)} | ", "dim")
    text.append(" " * before)
    text.append("^" * carets, colour)


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """Return at most a screen's width of a line around what is marked, with the marks moved along."""
    start = min(max(start, 0), len(line))
    end = min(max(end, start + 1), max(len(line), start + 1))
    if len(line) <= _WIDEST:
        return line, start, end
    first = max(0, min(start - _WIDEST // 4, len(line) - _WIDEST))
    return line[first : first + _WIDEST], start - first, min(end - first, _WIDEST)


def _shown(text: str) -> str:
    """Return a piece of a line with tabs as spaces and what a terminal must not see replaced."""
    return safe(text.replace("\t", " " * _TAB))


def safe(text: str) -> str:
    """Return a text without characters that could drive a terminal; newlines stay."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(
        char
        if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def summary_line(problems: Sequence[Problem], rules: int, files: int, built_in: int = 0) -> str:
    """Return the last line of a check: `12 rules in 3 files (and 2 built in), fine`, or how much is wrong where."""
    errors, warnings = counts(problems)
    if errors:
        wrong = {problem.file for problem in problems if problem.error and problem.file}
        where = f" in {_count(len(wrong), 'file')}" if wrong else ""
        also = f", and {_count(warnings, 'warning')}" if warnings else ""
        return f"{_count(errors, 'error')}{where}{also}"
    found = _count(warnings, "warning") if warnings else "fine"
    more = f" (and {built_in} built in)" if built_in else ""
    return f"{_count(rules, 'rule')} in {_count(files, 'file')}{more}, {found}"


def _count(number: int, what: str) -> str:
    """Return `1 rule`, `2 rules`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
