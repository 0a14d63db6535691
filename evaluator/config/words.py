"""What somebody meant who wrote a value without quotes.

This module knows the spellings of other formats and of plain speech. It never knows where the word stands.
"""

import json
import re

_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_NOTHING = frozenset({"none", "null", "nil", "undefined", "~"})
_DURATION = re.compile(
    r"(?:\d+(?:\.\d+)?\s*(?:ms|[smhdw]|min|mins|sec|secs|hours?|minutes?|seconds?|days?|weeks?)\s*)+", re.IGNORECASE
)
_SIZE = re.compile(r"[+-]?\d+(?:\.\d+)?\s*(?:[kmgtp]i?)?b(?:/[smh])?", re.IGNORECASE)
_SHARE = re.compile(r"[+-]?[\d.]+\s*%")
_POINT = re.compile(r"([+-]?)(\d*)\.(\d*)")
_ZEROS = re.compile(r"([+-]?)0+(\d+(?:\.\d+)?)")


def meant_word(text: str, key: str, *, shown: bool) -> tuple[str, str, str]:
    """Return a message, a hint and the value as correct TOML; where it may not be `shown`, no sentence holds it."""
    lower = text.lower()
    assign = f"{key} = " if key else ""
    if lower in _TRUE | _FALSE:
        return _boolean(text, key)
    if lower in _NOTHING:
        return "TOML has no empty value", f"delete the line of `{key}` instead" if key else "leave it out", '""'
    point = _POINT.fullmatch(text)
    if point and (point[2] or point[3]):
        number = f"{point[1]}{point[2] or '0'}.{point[3] or '0'}"
        return "a number needs a digit on both sides of its point", f"write {assign}{number}", number
    zeros = _ZEROS.fullmatch(text)
    if zeros:
        return "a number must not begin with 0", f"write {assign}{zeros[1]}{zeros[2]}", f"{zeros[1]}{zeros[2]}"
    single = "'" not in text and ('"' in text or "\\" in text)
    quoted = f"'{text}'" if single else json.dumps(text, ensure_ascii=False)
    hint = f"write {assign}{quoted}" if shown else f'write {assign}"..."'
    if not shown:
        return "a text needs quotes", hint, quoted
    if _DURATION.fullmatch(text):
        quoted = json.dumps(_short_duration(text))
        return "a duration needs quotes", f"write {assign}{quoted}", quoted
    if _SHARE.fullmatch(text):
        return "a value with % needs quotes", hint, quoted
    if _SIZE.fullmatch(text) or re.match(r"[+-]?\d", text):
        return "a value with a unit needs quotes", hint, quoted
    return "a text needs quotes", hint, quoted


def _short_duration(text: str) -> str:
    """Return `10 minutes` as it is written in a rule: `10m`."""
    parts = re.findall(r"([\d.]+)\s*([A-Za-z]+)", text)
    return "".join(number + ("ms" if unit.lower() == "ms" else unit[0].lower()) for number, unit in parts)


def _boolean(text: str, key: str) -> tuple[str, str, str]:
    """Return what to say of True, yes, on; keys like `mode = off` want a text."""
    value = "true" if text.lower() in _TRUE else "false"
    if key == "mode":
        return "a text needs quotes", f'write {key} = "{text.lower()}"', json.dumps(text.lower())
    return f"`{text}` is not a value of TOML", f"write {key} = {value}" if key else f"write {value}", value
