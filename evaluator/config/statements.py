"""A file that TOML does not understand, cut into statements, so that one mistake does not hide the next.

This module knows where a statement begins and ends, also in broken text. It never knows what is wrong with one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEADER = re.compile(r"\s*\[{1,2}\s*[A-Za-z_]")
_PAIR = re.compile(r"\s*[\w.-]+\s*=")
_MOST_LINES = 300


@dataclass(frozen=True, slots=True)
class Statement:
    """A header, a `key = value`, a comment or an empty line; it may go over several lines."""

    line: int
    """The number of its first line, counted from 1."""
    text: str
    """Its lines, joined with newlines."""

    @property
    def size(self) -> int:
        """How many lines it has."""
        return self.text.count("\n") + 1


def statements(lines: Sequence[str]) -> Iterator[Statement]:
    """Cut the lines into statements; each line belongs to exactly one."""
    start = 0
    while start < len(lines):
        size = _extent(lines, start)
        yield Statement(start + 1, "\n".join(lines[start : start + size]))
        start += size


def _extent(lines: Sequence[str], start: int) -> int:
    """Return how many lines the statement that begins here has."""
    if _HEADER.match(lines[start]):
        return 1
    scanner = _Scanner()
    for index in range(start, min(len(lines), start + _MOST_LINES)):
        if index > start and scanner.stops_at(lines[index]):
            # A bracket was never closed: a list is what stands above this line, a table what fits on its line.
            return 1 if "{" in scanner.open else index - start
        scanner.read(lines[index])
        if scanner.complete:
            return index - start + 1
    if scanner.quotes:
        return len(lines) - start
    return 1


class _Scanner:
    """Which brackets and which multi-line string are open after the lines so far."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.quotes = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is open."""
        return not self.open and not self.quotes

    def stops_at(self, line: str) -> bool:
        """Return whether this line begins a statement of its own, whatever is open."""
        if self.quotes:
            return False
        return _HEADER.match(line) is not None or (self.open[-1:] == ["["] and _PAIR.match(line) is not None)

    def read(self, line: str) -> None:
        """Read one line."""
        position = 0
        while position < len(line):
            position = self._inside(line, position) if self.quotes else self._outside(line, position)

    def _inside(self, line: str, position: int) -> int:
        """Skip to the end of a multi-line string, or of the line."""
        end = line.find(self.quotes, position)
        while self.quotes == '"""' and end > 0 and _escaped(line, end):
            end = line.find(self.quotes, end + 1)
        if end < 0:
            return len(line)
        self.quotes = ""
        return end + 3

    def _outside(self, line: str, position: int) -> int:
        """Read one character, string or comment."""
        char = line[position]
        if char == "#":
            return len(line)
        if char in "\"'":
            if line.startswith(char * 3, position):
                self.quotes = char * 3
                return position + 3
            return _string_end(line, position)
        if char in "[{":
            self.open.append(char)
        elif char in "]}" and self.open and self.open[-1] == {"]": "[", "}": "{"}[char]:
            self.open.pop()
        return position + 1


def _string_end(line: str, position: int) -> int:
    """Return where a string on one line ends; at the line's end where its quote is missing."""
    quote = line[position]
    end = line.find(quote, position + 1)
    while quote == '"' and end > 0 and _escaped(line, end):
        end = line.find(quote, end + 1)
    return len(line) if end < 0 else end + 1


def _escaped(line: str, position: int) -> bool:
    """Return whether an odd number of backslashes stands before this character."""
    count = 0
    while position - count - 1 >= 0 and line[position - count - 1] == "\\":
        count += 1
    return count % 2 == 1
