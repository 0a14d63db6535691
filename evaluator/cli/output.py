"""Standard output that may fail: a full disk, a reader that went away, an encoding with few letters.

This module knows file descriptor 1 and exit codes. It never knows what a command prints.
"""

import io
import json
import os
import sys
from typing import Any

CLOSED = 141
"""Exit code where the reader has gone, as `| head` does: what shells report of a program that SIGPIPE has ended."""


class Output:
    """Standard output for one command, in place of Python's own, which would answer each of these with a traceback."""

    def __init__(self) -> None:
        """Take file descriptor 1 over; where there is none, what is printed goes nowhere."""
        self._file: _Descriptor | None = None
        self._before = sys.stdout
        if sys.stdout is None:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # Kept until the end.
            return
        encoding = sys.stdout.encoding
        sys.stdout.flush()
        self._file = _Descriptor(sys.stdout.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(self._file), encoding, errors="replace", line_buffering=self._file.isatty()
        )

    @property
    def error(self) -> OSError | None:
        """What made writing fail, if anything did."""
        return None if self._file is None else self._file.error

    def give_back(self) -> None:
        """Put Python's own back, for the daemon, which outlives its standard output."""
        sys.stdout = self._before
        self._file = None

    def finish(self, code: int) -> int:
        """Write what is left; return the exit code, which is another where something could not be written."""
        if self._file is None:
            return code
        try:
            sys.stdout.flush()
        except OSError:
            if self.error is None:
                raise
        if self.error is None:
            return code
        # What is still in a buffer must not fail again while the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
        if isinstance(self.error, BrokenPipeError):
            return CLOSED
        sys.stderr.write(f"evaluator: the output could not be written: {self.error.strerror}\n")
        return code or 1


class _Descriptor(io.FileIO):
    """A file descriptor that remembers why writing to it failed."""

    error: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401  # Any buffer, as FileIO has it.
        """Write."""
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise


def json_text(data: object) -> str:
    """Return JSON for people and machines; with escapes where standard output cannot take its letters."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(data, indent=2)
    return text
