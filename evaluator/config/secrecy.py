"""Which words of a settings file may be shown, and how the others are masked.

This module knows names of harmless keys. It never knows whether a value is right. It masks whatever it does not know to
be harmless, because a misspelt `pasword = "..."` is exactly the line that gets printed.
"""

import re
from collections.abc import Iterable

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

_MASK = "•"
_PASSWORD = re.compile(r"(://[^/\s:@\"']*:)([^/\s\"']+)(?=@)")
_VALUE = re.compile(
    r"""(?P<key>[\w.-]+|"[^"\n]*")[ \t]*(?:=|:)+[ \t]*(?P<value>"{3}.*|'{3}.*|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'{\[,}\]#][^,}#]*)"""
)
_HEADER = re.compile(r"\s*\[[^=]*$")


def mask(line: str, *, settings: bool) -> str:
    """Return a line of a file as it may be printed; every masked character keeps its column.

    Rule files hold no secrets but passwords in URLs; settings show only what is known to be harmless.
    """
    line = _PASSWORD.sub(lambda match: match[1] + _MASK * len(match[2]), line)
    if not settings or not line.strip() or _HEADER.fullmatch(line):
        return line
    if "=" not in line and ":" not in line:
        return re.sub(r"[^\s\[\]{}\"',]", _MASK, line)
    return _VALUE.sub(_mask_pair, line)


def _mask_pair(match: re.Match[str]) -> str:
    """Return one `key = value`, the value masked unless its key is harmless."""
    if harmless(match["key"]):
        value = match["value"]
        return match[0] if not looks_like_key(value.strip("\"' \t")) else _hidden(match)
    return _hidden(match)


def _hidden(match: re.Match[str]) -> str:
    """Return the pair with every character of the value masked but its quotes."""
    start = match.start("value") - match.start()
    return match[0][:start] + re.sub(r"[^\s\"']", _MASK, match["value"])


def harmless(key: str) -> bool:
    """Return whether the value of this key may be printed."""
    return key.strip("\"'").rpartition(".")[2].lower() in HARMLESS


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
