"""What is wrong with one statement that TOML does not understand, in an ops person's words, and what was meant.

This module knows headers and which reader a statement needs. It never knows rules or settings.
"""

import re
from collections.abc import Callable

from evaluator.config.reader import LINE, Reader, Reading, Slip, understood

_NAME = re.compile(r"\[{1,2}\s*(.*?)\s*\]{0,2}\s*(?:#.*)?$")
_LONGEST = 20_000


def read_statement(text: str, shows: Callable[[str], bool]) -> Reading:
    """Return the slips of a statement that is not correct TOML. `shows(key)`: whether its value may be printed."""
    if len(text) > _LONGEST:
        return Reading((_not_toml(text),), None)
    reading = _header(text) if text.lstrip().startswith("[") else Reader(text, shows).pair()
    if reading.meant is not None and not understood(reading.meant):
        reading = Reading(reading.slips, None)
    return reading if reading.slips else Reading((_not_toml(text),), None)


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
