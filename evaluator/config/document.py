"""One TOML file read as far as it can be understood: its values, their places, and every slip in it.

This module knows how text becomes values and problems. It never knows what the keys mean.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from evaluator.config.positions import Definition, Path, Positions, positions_of
from evaluator.config.problems import Problem
from evaluator.config.reading import too_deep, understood, values_of
from evaluator.config.secrecy import discreet, harmless
from evaluator.config.slips import read_statement
from evaluator.config.statements import Statement, statements
from evaluator.config.text import SourceText, Span, decode

Table = dict[str, object]
"""A TOML table as tomllib reads it."""

_MOST_PROBLEMS = 50
_TOO_DEEP = "this goes too deep: a table within a table, and so on"


@dataclass(frozen=True)
class Document:
    """A file, as far as it was understood."""

    source: SourceText
    data: Table = field(default_factory=dict, repr=False)
    positions: Positions = field(default_factory=Positions, repr=False)
    problems: tuple[Problem, ...] = ()
    """The slips: what TOML itself does not understand."""
    slipped: frozenset[int] = frozenset()
    """Lines with a slip: what is said of their values may not be what their author wrote."""
    lost: frozenset[int] = frozenset()
    """Lines that could not be read at all: what seems to be missing may stand there."""

    @property
    def file(self) -> str:
        """The name that people know the file by."""
        return self.source.file

    def at_key(self, path: Path, message: str, hint: str = "", *, id: str = "", error: bool = True) -> Problem:  # noqa: A002
        """Return a problem at a key (or at its table, where the key is not there)."""
        return self.source.problem(self.positions.key(path), message, hint, id=id, error=error)

    def at_value(self, path: Path, message: str, hint: str = "", *, id: str = "", error: bool = True) -> Problem:  # noqa: A002
        """Return a problem at a value."""
        return self.source.problem(self.positions.value(path), message, hint, id=id, error=error)

    def incomplete(self, path: Path) -> bool:
        """Return whether something of the table at this path could not be read."""
        return any(first <= line <= last for first, last in self.regions(path) for line in self.lost)

    def regions(self, path: Path) -> list[tuple[int, int]]:
        """Return the first and last line of each header that belongs to a table."""
        found = list(self._by_table.get(path, ()))
        if path in self.positions.values:
            line = self.positions.values[path].line
            found.append((line, line))
        return found

    @cached_property
    def _by_table(self) -> dict[Path, list[tuple[int, int]]]:
        """The lines of the headers that belong to each table, found once: a file may have a thousand of them."""
        headers = [definition for definition in self.positions.definitions if definition.table]
        ends = [header.span.line - 1 for header in headers[1:]] + [len(self.source.lines)]
        found: defaultdict[Path, list[tuple[int, int]]] = defaultdict(list)
        for header, end in zip(headers, ends, strict=False):
            for depth in range(len(header.path) + 1):
                found[header.path[:depth]].append((header.span.line, end))
        return found


def read_document(file: str, raw: bytes, *, settings: bool = False) -> Document:
    """Read a file. It never raises: whatever the bytes are, the answer is values and problems."""
    source, problem = decode(file, raw, settings=settings)
    if problem is not None:
        return Document(source, problems=(problem,), lost=frozenset(range(1, len(source.lines) + 1)))
    try:
        data = values_of(source.text)
    except (ValueError, RecursionError):
        return _read_broken(source)
    return Document(source, data, positions_of(source.text))


def _read_broken(source: SourceText) -> Document:
    """Read a file that TOML does not understand, statement by statement."""
    shows: Callable[[str], bool] = harmless if source.settings else lambda _key: True
    say: Callable[[str], str] = discreet if source.settings else str
    problems: list[Problem] = []
    lines: list[str] = []
    slipped: set[int] = set()
    lost: set[int] = set()
    more = 0
    for statement in statements(source.lines):
        if understood(statement.text):
            lines += statement.text.split("\n")
            continue
        numbers = range(statement.line, statement.line + statement.size)
        if len(problems) > _MOST_PROBLEMS:
            more += 1
            lost.update(numbers)
            lines += [""] * statement.size
            continue
        reading = read_statement(statement.text, shows)
        if too_deep(reading.meant or statement.text):
            problems.append(source.problem(Span(statement.line, 1, 2), _TOO_DEEP))
            lost.update(numbers)
            lines += [""] * statement.size
            continue
        problems += [
            source.problem(_span(statement, slip.start, slip.end), say(slip.message), say(slip.hint))
            for slip in reading.slips
        ]
        (slipped if reading.meant is not None else lost).update(numbers)
        lines += [reading.meant or ""] + [""] * (statement.size - 1)
    clashes, lines = _without_twice(source, lines, lost)
    return _document(source, problems + clashes, lines, slipped, lost, more)


def _document(
    source: SourceText, problems: list[Problem], lines: list[str], slipped: set[int], lost: set[int], more: int
) -> Document:
    """Return the document of the lines as they were meant."""
    text = "\n".join(lines)
    try:
        data = values_of(text)
    except (ValueError, RecursionError) as error:
        data, text, lost = {}, "", set(range(1, len(lines) + 1))
        if not problems:
            said = _TOO_DEEP if isinstance(error, RecursionError) else f"this is not TOML: {error}"
            problems.append(source.problem(Span(1, 1, 2), said))
    if len(problems) > _MOST_PROBLEMS:
        more += len(problems) - _MOST_PROBLEMS
        del problems[_MOST_PROBLEMS:]
        problems.append(Problem(source.file, 0, 0, 0, f"has {more} more mistakes; is it a TOML file at all?"))
    return Document(source, data, positions_of(text), tuple(problems), frozenset(slipped), frozenset(lost))


def _span(statement: Statement, start: int, end: int) -> Span:
    """Return the place of offsets in a statement; of several lines the first."""
    before = statement.text[:start]
    line, column = before.count("\n"), start - (before.rfind("\n") + 1)
    marked = statement.text[start:end].split("\n", 1)[0]
    return Span(statement.line + line, column + 1, column + 1 + max(len(marked.rstrip()), 1))


def _without_twice(source: SourceText, lines: list[str], lost: set[int]) -> tuple[list[Problem], list[str]]:
    """Return a problem for everything that is defined twice, and the lines without the second."""
    problems: list[Problem] = []
    first: dict[Path, Definition] = {}
    around: dict[Path, Definition] = {}
    dropped: Path | None = None
    lines = list(lines)
    for definition in positions_of("\n".join(lines)).definitions:
        if definition.table:
            dropped = None
        earlier = _earlier(first, around, definition) if dropped is None else None
        if earlier is not None:
            problems.append(_twice(source, definition, earlier))
            dropped = definition.path if definition.table else dropped
        if earlier is not None or dropped is not None:
            for number in range(definition.span.line, max(definition.last_line, definition.span.line) + 1):
                lines[number - 1] = ""
                lost.add(number)
        elif not definition.array:
            first[definition.path] = definition
            for length in range(1, len(definition.path)):
                around.setdefault(definition.path[:length], definition)
    return problems, lines


def _earlier(
    first: dict[Path, Definition], around: dict[Path, Definition], definition: Definition
) -> Definition | None:
    """Return what already defines the same, or a value where this one needs a table."""
    if definition.array:
        return None
    if definition.path in first:
        return first[definition.path]
    for length in range(1, len(definition.path)):
        outer = first.get(definition.path[:length])
        if outer is not None and not outer.table:
            return outer
    return None if definition.table else around.get(definition.path)


def _twice(source: SourceText, definition: Definition, earlier: Definition) -> Problem:
    """Return the problem for the second definition, which names the first."""
    where = f"{source.file}:{earlier.span.line}"
    name = ".".join(str(part) for part in definition.path)
    if definition.table and len(definition.path) == 2 and definition.path[0] == "rule":
        hint = "give this rule another name, or merge the two"
        return source.problem(definition.span, f'rule "{definition.path[1]}" is already defined at {where}', hint)
    if definition.table and earlier.table:
        return source.problem(definition.span, f"[{name}] is already defined at {where}", "merge the two tables")
    if definition.path == earlier.path:
        last = definition.path[-1]
        return source.problem(definition.span, f"`{last}` is already set at {where}", "keep one of the two lines")
    other = ".".join(str(part) for part in earlier.path)
    return source.problem(definition.span, f"`{name}` and `{other}` ({where}) are a value and a table of the same name")
