"""Which words of a settings file may be shown, and how the others are masked.

This module knows names of harmless keys. It never knows whether a value is right. It masks whatever it does not know to
be harmless, because a misspelt `pasword = "..."` is exactly the line that gets printed.
"""

import re
from collections.abc import Iterable, Iterator

from evaluator.config.tokens import Kind, Token, tokens

HARMLESS = frozenset(
    {
        *(
            "instance",
            "rules",
            "every",
            "timezone",
            "strict",
            "listen",
            "type",
            "enabled",
            "title",
            "policy",
            "fallback",
        ),
        *("env", "file", "ignore", "timeout", "region", "host", "verify", "ca", "cert", "max_size", "max_concurrency"),
        *("events_url", "priority_steps"),
    }
)
"""Keys of `evaluator.toml` whose values may be printed."""

_KEYS = HARMLESS | {"token", "url", "routing_key", "password", "username", "headers", "True", "False", "yes", "no"}
_EXAMPLES = frozenset({"key = value", "[table]", "# comment"})
_MASK = "•"
_PASSWORD = re.compile(r"(://[^/\s:@\"']*:)([^/\s\"']+)(?=@)")
_HEADER = re.compile(r"\s*\[{1,2}[\w\s.-]*\]{0,2}\s*(?:#.*)?")
_EQUALS = frozenset({"=", "==", ":", ":=", "=>"})
_SHOWN = frozenset({Kind.BLANK, Kind.NEWLINE, Kind.SIGN, Kind.END})


def mask(line: str, *, settings: bool) -> str:
    """Return a line of a file as it may be printed; every masked character keeps its column.

    Rule files hold no secrets but passwords in URLs; settings show only what is known to be harmless.
    """
    line = _PASSWORD.sub(lambda match: match[1] + _MASK * len(match[2]), line)
    if not settings or not line.strip():
        return line
    if _HEADER.fullmatch(line) and not any(looks_like_key(word) for word in re.findall(r"\w+", line)):
        return line
    return "".join(_masked(tokens(line)))


def _masked(found: list[Token]) -> Iterator[str]:
    """Yield the text of each token, masked unless it is a key or the value of a harmless one."""
    shown = False
    for index, token in enumerate(found):
        if token.kind is Kind.COMMENT:
            odd = re.search(r"[=:\"'\d]", token.text)
            yield _hidden(token.text) if odd else token.text
        elif token.kind in _SHOWN:
            yield token.text
        elif _is_key(found, index):
            shown = harmless(token.text)
            yield _hidden(token.text) if looks_like_key(token.text.strip("\"'")) else token.text
        else:
            value = token.text.strip("\"'“”\u2018\u2019 ")
            harm = not shown or "=" in value or looks_like_key(value)
            yield _hidden(token.text) if harm else token.text
            # What follows the value of a harmless key on its line is there by mistake, and may be anything.
            shown = False


def _is_key(found: list[Token], index: int) -> bool:
    """Return whether a sign of equality follows a token, and none stands before it: else it is a value all the same."""
    before = next((token for token in reversed(found[:index]) if token.kind is not Kind.BLANK), None)
    after = next((token for token in found[index + 1 :] if token.kind is not Kind.BLANK), found[-1])
    return after.text in _EQUALS and (before is None or before.text not in _EQUALS)


def _hidden(text: str) -> str:
    """Return a text with every character masked but quotes and blanks."""
    return re.sub(r"[^\s\"']", _MASK, text)


def harmless(key: str) -> bool:
    """Return whether the value of this key may be printed."""
    return key.strip("\"'").rpartition(".")[2].lower() in HARMLESS


def discreet(sentence: str) -> str:
    """Return what is said of a broken line of the settings, without words of it that may be a piece of a secret."""
    sentence = re.sub(r"`([^`]*)(?:`|$)", lambda match: match[0] if _speakable(match[1]) else "this", sentence)
    return without_keys(sentence)


def without_keys(sentence: str) -> str:
    """Return a sentence without long words that mix letters and digits, as keys and tokens do."""
    return re.sub(r"[A-Za-z0-9_-]*(?:\d[A-Za-z_-]|[A-Za-z_-]\d)[A-Za-z0-9_-]{6,}…?", "…", sentence)


def _speakable(word: str) -> bool:
    """Return whether a word of a line is a sign or a key that is known."""
    return not any(char.isalnum() for char in word) or word in _KEYS or word in _EXAMPLES


def looks_like_key(text: str) -> bool:
    """Return whether a text has the shape of a PagerDuty key, wherever somebody has put it."""
    return re.fullmatch(r"[A-Za-z0-9]{32}", text) is not None and any(char.isdigit() for char in text)


def name_shown(name: str) -> str:
    """Return the name of a variable or file for a message, unless a secret was written in its place."""
    return "(something that looks like a key itself)" if looks_like_key(name) else name


def scrub(message: str, secrets: Iterable[str]) -> str:
    """Return a message without any of the secrets, whoever wrote the message."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if secret and secret in message:
            message = message.replace(secret, "…")
    return _PASSWORD.sub(lambda match: match[1] + "…", message)
