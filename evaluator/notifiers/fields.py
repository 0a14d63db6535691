"""Field types that the settings of several notifiers share: durations, web addresses, certificates.

This module knows how such a field is written in TOML. It never knows a receiver, and talks to nobody.
"""

import re
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FilePath, PlainSerializer, WithJsonSchema

from evaluator.engine.units import format_duration, parse_duration

LONGEST_TIMEOUT = 60.0
"""Seconds; a receiver that needs longer is no help to somebody who is to be woken up."""
SHORTEST_TIMEOUT = 0.05


class Strict(BaseModel):
    """A frozen model that forbids unknown keys, and whose errors do not quote what was entered: it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


def _timeout(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError('is not a duration; write it in quotes with a unit, like "10s"')  # noqa: TRY004  # pydantic collects ValueError only.
    seconds = parse_duration(value)
    if not SHORTEST_TIMEOUT <= seconds <= LONGEST_TIMEOUT:
        raise ValueError("must be from 50ms to 1m")
    return seconds


def web_address(url: str) -> str:
    """Return an http(s) address without a slash at its end, or raise `ValueError` that says what to do."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("is not a web address; write it like https://events.example.com") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"\s", url):
        raise ValueError("is not a web address; write it like https://events.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not have a user or a password in it; it is shown in logs and on pages")
    if parts.query or parts.fragment:
        raise ValueError("must not have a part that begins with ? or #")
    return url.rstrip("/")


def _authorities(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"holds no certificates in PEM form: {path}") from error
    return path


Timeout = Annotated[
    float,
    BeforeValidator(_timeout),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["10s"]}),
]
"""A duration from 50 ms to a minute, written `"10s"`, kept in seconds, and dumped as it is written."""

WebAddress = Annotated[
    str,
    AfterValidator(web_address),
    WithJsonSchema({"type": "string", "format": "uri", "examples": ["https://events.example.com"]}),
]
"""An http(s) address that may be shown."""

Authorities = Annotated[FilePath, AfterValidator(_authorities)]
"""A PEM file of the authorities to trust instead of the usual ones."""
