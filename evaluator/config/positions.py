"""Where each key and each value of a TOML text stands.

This module knows tree-sitter's tree. It never knows what a key means. It is given text that TOML understands, and where
the two grammars differ it knows less instead of failing: whoever asks gets the nearest place that is known.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from evaluator.config.text import NOWHERE, Span

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of a file: `("rule", "cpu", "above")`."""

_LANGUAGE = Language(tree_sitter_toml.language())
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Definition:
    """A `[header]` or a `key = value`, in the order of the file."""

    path: Path
    span: Span
    table: bool
    array: bool = False
    """Whether it is a `[[header]]`."""
    last_line: int = 0
    """The last line of a value that goes over several."""


@dataclass(frozen=True, slots=True)
class Positions:
    """All places of one file."""

    keys: dict[Path, Span] = field(default_factory=dict)
    values: dict[Path, Span] = field(default_factory=dict)
    definitions: tuple[Definition, ...] = ()

    def key(self, path: Path) -> Span:
        """Return where a key stands, or the nearest table around it that is known."""
        return self._nearest(self.keys, path)

    def value(self, path: Path) -> Span:
        """Return where a value stands, else its key, else what is around it."""
        return self.values.get(path) or self.keys.get(path) or self.key(path[:-1])

    def _nearest(self, places: dict[Path, Span], path: Path) -> Span:
        """Return the place of the longest beginning of the path that is known."""
        while path:
            if path in places:
                return places[path]
            path = path[:-1]
        return NOWHERE


class _Walker:
    """Collects places from a tree."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self.definitions: list[Definition] = []
        self.arrays: dict[Path, int] = {}

    def document(self, root: Node) -> None:
        """Read a whole file."""
        for node in root.named_children:
            if node.type == "pair":
                self.pair(node, (), 0, top=True)
            elif node.type in {"table", "table_array_element"}:
                self.table(node)

    def table(self, node: Node) -> None:
        """Read a header and the pairs below it."""
        name = next((child for child in node.named_children if child.type.endswith("_key")), None)
        if name is None:
            return
        path, is_array = self._inside_arrays(tuple(key_parts(name))), node.type == "table_array_element"
        span = self.span(name)
        self.definitions.append(Definition(path, span, table=True, array=is_array))
        for length in range(1, len(path) + 1):
            self.keys.setdefault(path[:length], span)
        if is_array:
            index = self.arrays[path] = self.arrays.get(path, -1) + 1
            path = (*path, index)
        self.keys[path] = span
        for child in node.named_children:
            if child.type == "pair":
                self.pair(child, path, 0, top=True)

    def _inside_arrays(self, path: Path) -> Path:
        """Return the path with the index of each `[[array]]` that it goes through."""
        result: Path = ()
        for index, part in enumerate(path):
            result = (*result, part)
            if index < len(path) - 1 and result in self.arrays:
                result = (*result, self.arrays[result])
        return result

    def pair(self, node: Node, base: Path, depth: int, *, top: bool = False) -> None:
        """Read `key = value`."""
        named = [child for child in node.named_children if child.type != "comment"]
        if len(named) < 2 or depth > _DEEPEST:
            return
        path, span = (*base, *key_parts(named[0])), self.span(named[0])
        for length in range(len(base) + 1, len(path) + 1):
            self.keys.setdefault(path[:length], span)
        if top:
            self.definitions.append(Definition(path, span, table=False, last_line=node.end_point.row + 1))
        self.value(named[1], path, depth)

    def value(self, node: Node, path: Path, depth: int) -> None:
        """Read a value and what is inside it."""
        self.values[path] = self.span(node)
        if depth > _DEEPEST:
            return
        if node.type == "inline_table":
            for child in node.named_children:
                if child.type == "pair":
                    self.pair(child, path, depth + 1)
        elif node.type == "array":
            items = [child for child in node.named_children if child.type != "comment"]
            for index, child in enumerate(items):
                self.value(child, (*path, index), depth + 1)

    def span(self, node: Node) -> Span:
        """Return a node's place, in characters; of several lines only the first."""
        row, first = node.start_point
        line = self.lines[row]
        last = node.end_point.column if node.end_point.row == row else len(line)
        start = len(line[:first].decode("utf-8", "replace"))
        return Span(row + 1, start + 1, max(len(line[:last].decode("utf-8", "replace")), start + 1) + 1)


def key_parts(node: Node) -> Iterator[str]:
    """Yield the parts of a key: `a."b c"` is `a` and `b c`."""
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from key_parts(child)
        return
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type != "quoted_key":
        yield text
        return
    try:
        yield next(iter(tomllib.loads(f"{text} = 0")))
    except ValueError:
        yield text.strip("\"'")


def positions_of(text: str) -> Positions:
    """Return the places of everything in a text."""
    raw = text.encode("utf-8", "replace")
    walker = _Walker(raw.split(b"\n"))
    walker.document(Parser(_LANGUAGE).parse(raw).root_node)
    return Positions(walker.keys, walker.values, tuple(walker.definitions))
