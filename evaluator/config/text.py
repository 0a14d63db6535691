"""A file as text: its bytes decoded, its lines, and spans in it.

This module knows lines and columns. It never knows TOML.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from evaluator.config.problems import Problem
from evaluator.config.secrecy import mask

LARGEST = 1_000_000
"""Bytes of a settings or rule file; what is larger is no such file."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line: line and columns count from 1, `end` is the column after it."""

    line: int
    column: int
    end: int


NOWHERE = Span(0, 0, 0)


@dataclass(frozen=True)
class SourceText:
    """One file's text, with line ends as newlines, under the name that people know it by."""

    file: str
    text: str
    settings: bool = False
    """Whether it is `evaluator.toml`, where lines may hold secrets."""

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return self.text.split("\n")

    def line(self, number: int) -> str:
        """Return a line by its number, secrets masked."""
        if not 1 <= number <= len(self.lines):
            return ""
        return mask(self.lines[number - 1], settings=self.settings)

    def problem(self, span: Span, message: str, hint: str = "", *, id: str = "", error: bool = True) -> Problem:  # noqa: A002
        """Return a problem at a place in this text."""
        return Problem(
            self.file, span.line, span.column, span.end, message, hint, id=id, error=error, source=self.line(span.line)
        )


def decode(file: str, raw: bytes, *, settings: bool = False) -> tuple[SourceText, Problem | None]:
    """Return the text of a file, and why it cannot be one where it cannot."""
    if len(raw) > LARGEST:
        problem = Problem(file, 0, 0, 0, f"has {len(raw):,} bytes; a file of rules or settings has at most {LARGEST:,}")
        return SourceText(file, "", settings), problem
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(file, raw, error.start, settings=settings)
    source = SourceText(file, text.replace("\r\n", "\n"), settings)
    return source, _control_character(source)


def _not_utf8(file: str, raw: bytes, start: int, *, settings: bool) -> tuple[SourceText, Problem]:
    """Return what can be shown of bytes that are not UTF-8, and the problem at the first of them."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:100]:
        message, hint = "is saved as UTF-16, not as UTF-8", 'save the file with the encoding "UTF-8"'
        return SourceText(file, "", settings), Problem(file, 1, 1, 2, message, hint)
    source = SourceText(file, raw.decode("utf-8", "replace").replace("\r\n", "\n"), settings)
    before = raw[:start].decode().replace("\r\n", "\n")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    hint = 'save the file with the encoding "UTF-8"'
    return source, source.problem(Span(line, column, column + 1), f"byte 0x{raw[start]:02x} is not UTF-8 text", hint)


def _control_character(source: SourceText) -> Problem | None:
    """Return a problem for the first character that no text file has; TOML would only stumble over it later."""
    found = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", source.text)
    if found is None:
        return None
    line = source.text.count("\n", 0, found.start()) + 1
    column = found.start() - (source.text.rfind("\n", 0, found.start()) + 1) + 1
    name = "a NUL byte" if found[0] == "\0" else f"the control character U+{ord(found[0]):04X}"
    hint = "save the file with Unix line ends" if found[0] == "\r" else "the file may be damaged; delete the character"
    return source.problem(Span(line, column, column + 1), f"{name} is not allowed in TOML", hint)
