"""What must never be written anywhere: secrets in values, under telling names, in URLs and in sentences.

This module knows what a secret looks like. It never knows where a text goes. It is the second line of defence: settings
keep secrets as `SecretStr` and adapters keep them out of their sentences; here is caught what a library says by itself.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr

HIDDEN = "***"

LONGEST_LINE = 4_000
"""Characters of one line that are worth writing to a log."""

# A dedup_key is no secret, so `key` alone does not count; a key that opens something has a word before it.
_WORDS = (
    r"(?:(?:routing|integration|service|api|access|secret|secret[_-]?access|private)[_-]?key"
    r"|token|password|passwd|pwd|secret|authorization|cookie|credentials?|signature)"
)
_SECRET_NAME = re.compile(rf"(?:[\w-]*[_-])?{_WORDS}", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/?#'\"@]*(?:@[^\s/?#'\"@]*)*@", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<name>(?<![^\W_]){_WORDS}['\"]?\s*[=:]\s*)(?P<scheme>(?:bearer|basic|token)\s+)?"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s'\"&,;)}>\]]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<scheme>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE)


def secret_name(name: str) -> bool:
    """Return whether what goes by this name must not be written: `routing_key`, `X-Auth-Token`, `db_password`."""
    return _SECRET_NAME.fullmatch(name) is not None


def redact_text(text: str) -> str:
    """Return the text without the secrets in it: user and password of URLs, `token=...`, `Authorization: ...`.

    Lines are cut after `LONGEST_LINE` characters: the patterns take quadratic time on one long word.
    """
    return "\n".join(_redact_line(line) for line in text.split("\n"))


def _redact_line(text: str) -> str:
    if len(text) > LONGEST_LINE:
        text = f"{text[:LONGEST_LINE]}…"
    text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _ASSIGNED.sub(rf"\g<name>{HIDDEN}", text)
    return _BEARER.sub(rf"\g<scheme>{HIDDEN}", text)


def redact(value: Any, name: str = "") -> Any:  # noqa: ANN401  # Log fields are of any type.
    """Return the value as it may be written, under this name; containers are gone through."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (SecretStr, SecretBytes)) or secret_name(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact(item) for item in value]
    return redact_text(str(value))
