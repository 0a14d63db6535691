"""What is wrong with one statement that TOML does not understand, in an ops person's words, and what was meant.

This module knows headers and which reader a statement needs. It never knows rules or settings.
"""

import re
from collections.abc import Callable

from evaluator.config.reader import LINE, Reader
from evaluator.config.reading import Reading, Slip, understood
from evaluator.config.tokens import Kind, tokens

_NAME = re.compile(r"\[{1,2}\s*(.*?)\s*\]{0,2}\s*(?:#.*)?$")
_LONGEST = 20_000


def read_statement(text: str, shows: Callable[[str], bool]) -> Reading:
    """Return the slips of a statement that is not correct TOML. `shows(key)`: whether its value may be printed."""
    if len(text) > _LONGEST:
        return Reading((_not_toml(text),), None)
    reading = _header(text) if text.lstrip().startswith("[") else Reader(text, shows).pair()
    if reading.meant is not None and not understood(reading.meant):
        reading = Reading(reading.slips, None)
    lost_quote = _lost_quote(text)
    if lost_quote is not None:
        return Reading((lost_quote,), None)
    if reading.meant is not None:
        # Columns of what is right on the line stay what they are.
        indent = text[: len(text) - len(text.lstrip())]
        reading = Reading(reading.slips, indent.replace("\n", "") + reading.meant)
    return reading if reading.slips else Reading((_not_toml(text),), None)


def _lost_quote(text: str) -> Slip | None:
    """Return the slip of a line on which one of several texts misses a quote, so that all after it is inside out."""
    found = tokens(text)
    strings = [token for token in found if token.kind is Kind.STRING]
    unclosed = [token for token in found if token.kind is Kind.UNCLOSED]
    inside = any(token.text in {"{", "["} for token in found[: found.index(unclosed[0])]) if unclosed else False
    if "\n" in text or not strings or not inside:
        return None
    hint = "each text has a quote before it and one after it"
    return Slip(strings[0].start, len(text.rstrip()), "a quote is missing in this line", hint)


def _not_toml(text: str) -> Slip:
    """Return the slip for what nobody can make sense of."""
    start = len(text) - len(text.lstrip())
    line = text[start:].split("\n", 1)[0].rstrip()
    return Slip(start, start + max(len(line), 1), "this is not TOML", LINE)


def _header(text: str) -> Reading:
    """Read `[a.b]` with a slip in it."""
    start = len(text) - len(text.lstrip())
    shown = text.split("#", 1)[0].rstrip()
    match = _NAME.match(text[start:])
    name = match[1] if match else ""
    end = max(len(shown), start + 1)
    if "]" not in shown:
        if not name or "=" in name:
            return Reading((Slip(start, end, "the `]` of this table's name is missing"),), None)
        slip = Slip(start, end, "the `]` of this table's name is missing", f"write [{name}]")
        return Reading((slip,), f"[{name}]")
    if not name:
        return Reading((Slip(start, end, "a table needs a name", "write [rule.cpu-high]"),), None)
    meant = ".".join(_bare(part) for part in (name.split(".") if "." in name else name.split(None, 1)))
    after = shown[shown.rindex("]") + 1 :].strip()
    if after and understood(shown[start : shown.rindex("]") + 1]):
        slip = Slip(shown.rindex("]") + 1, end, "nothing may follow a table's name on its line", "begin a new line")
        return Reading((slip,), shown[start : shown.rindex("]") + 1])
    hint = f"names have letters, digits, - and _; write [{meant}]"
    return Reading((Slip(start, end, "this table's name is not well written", hint),), f"[{meant}]")


def _bare(part: str) -> str:
    """Return a part of a name as it can be written without quotes."""
    return "-".join(re.findall(r"[A-Za-z0-9_-]+", part)) or "name"
