r"""What may not stand in a line of the log as it is: labels come from exporters that nobody checked.

This module knows characters. It never knows what is logged. A terminal would obey ESC and BEL, a line end would forge
a second entry, and an override of the writing direction would show another text than there is. They are written as
`\n`, `\x1b`, `\u202e`; in JSON as JSON has it.
"""

import re
from typing import Any

from structlog.typing import EventDict, Processor, WrappedLogger

# C0, DEL and C1; marks, overrides and isolates of the writing direction; line and paragraph separators; surrogates,
# which cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# What a console quotes, it escapes itself.
_QUOTED = frozenset(" \t=\r\n\"'")
_LINES = ("exception", "stack")


def escaped(text: str, *, lines: bool = False) -> str:
    """Return the text with what is unsafe written out; with `lines`, line ends and tabs stay."""
    return (_UNSAFE_IN_LINES if lines else _UNSAFE).sub(_written, text)


def escaped_json(text: str) -> str:
    """Return a JSON text that means the same without the unsafe characters."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def for_console(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what a console would write as it is. Tracebacks keep their lines: only people read them there."""
    return {key: _for_console(key, value) for key, value in event.items()}


class EscapedLine:
    """Renders with another renderer and escapes the whole line: fields, their names, and tracebacks."""

    def __init__(self, render: Processor, *, json: bool = False) -> None:
        self._render = render
        self._escape = escaped_json if json else escaped

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        """Render one line."""
        return self._escape(str(self._render(logger, method, event)))


def _for_console(key: str, value: Any) -> Any:  # noqa: ANN401  # Log fields are of any type.
    if not isinstance(value, str):
        return value
    if key in _LINES:
        return escaped(value, lines=True)
    return value if key != "event" and _QUOTED & set(value) else escaped(value)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
