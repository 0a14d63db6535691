"""How what is too long for a receiver is made short enough, and what no receiver can read is made readable.

This module knows text, JSON and sizes. It never knows whose limits they are, or what the texts mean.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence

MARK = "… shortened"
"""What stands where something was left out, so that nobody takes a part for the whole."""

Json = str | Sequence[str] | Mapping[str, str]
"""A field of a message: a text, a list of texts, or texts by name."""

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACE = re.compile(r"\s+")


def readable(text: str) -> str:
    """Return the text with newlines and tabs, but without what breaks encoders and terminals.

    Control characters (so escape sequences), unpaired surrogates and marks that turn the direction of writing
    become `�`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_readable(character) for character in text)


def _readable(character: str) -> str:
    if character in "\n\t":
        return character
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs"}:
        return "\ufffd"
    return character


def one_line(text: str) -> str:
    """Return the text readable and in one line: each run of white space is a space."""
    return readable(_SPACE.sub(" ", text).strip())


def shorten(text: str, limit: int) -> str:
    """Return the text with at most `limit` characters; where it is cut, it ends with an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"[:limit]


def encoded(value: object) -> bytes:
    """Return a value as the JSON that is sent: UTF-8, no needless spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def fit(fields: Mapping[str, Json], budget: int) -> dict[str, Json]:
    """Return the fields so that their JSON has at most `budget` bytes: the largest are shortened, none is left out.

    All that are cut are cut to the same size, so that a small field never pays for a large one.
    """
    if len(encoded(fields)) <= budget:
        return dict(fields)
    sizes = {name: len(encoded(value)) for name, value in fields.items()}
    frame = sum(len(encoded(name)) + 2 for name in fields) + 2
    cap = _level(sorted(sizes.values()), budget - frame)
    return {name: value if sizes[name] <= cap else _cut(value, cap) for name, value in fields.items()}


def _level(sizes: list[int], budget: int) -> int:
    """Return the size to which the largest must be cut so that all together keep to the budget."""
    left = budget
    for position, size in enumerate(sizes):
        share = left // (len(sizes) - position)
        if size > share:
            return max(share, 0)
        left -= size
    return max(sizes, default=0)


def _cut(value: Json, cap: int) -> Json:
    if isinstance(value, str):
        return _cut_text(value, cap)
    items = list(value.items()) if isinstance(value, Mapping) else [(item,) for item in value]
    kept, room = 0, cap - len(encoded(f"… 1000000000 more, {MARK[2:]}")) - 8
    for item in items:
        room -= sum(len(encoded(part)) for part in item) + len(item)
        if room < 0:
            break
        kept += 1
    more = f"… {len(items) - kept} more, {MARK[2:]}"
    if isinstance(value, Mapping):
        return {**dict(list(value.items())[:kept]), "…": more}
    return [*value[:kept], more]


def _cut_text(text: str, cap: int) -> str:
    """Return the longest beginning whose JSON, with the mark, has at most `cap` bytes."""
    low, high = 0, min(len(text), max(cap, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if len(encoded(text[:middle] + MARK)) <= cap:
            low = middle
        else:
            high = middle - 1
    return text[:low] + MARK
