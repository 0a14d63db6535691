"""How the daemon writes its log: one line for each event, to stderr, readable by the one who reads it there.

This module knows formats and levels. It never knows what is logged, and lets no secret and no control character pass
(see `redaction`, `escaping`). A terminal gets colours, and tracebacks on lines of their own; journald gets priorities
and no second timestamp; everything else gets logfmt, or JSON if asked. But on a terminal each event is one line.
"""

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from evaluator.telemetry.escaping import EscapedLine, for_console
from evaluator.telemetry.redaction import redact

LEVELS = ("debug", "info", "warning", "error")

# What libraries say is only of use where something is wrong; the daemon itself says what it does.
_LIBRARIES = (
    "alembic",
    "apscheduler",
    "asyncio",
    "redis",
    "tzlocal",
    "urllib3",
    "uvicorn",
    "uvicorn.error",
    "watchfiles",
)
# Its warnings tell again what the daemon says itself: a round is still under way. Only for debugging, then.
_SCHEDULER = "apscheduler"
# Its warnings are of what strangers send, who could fill the log with them.
_REQUESTS = "uvicorn.error"
# These would write the parameters of statements, or a line for each request, whatever the level. The address of a
# heartbeat is a secret as a whole, and no pattern would know it.
_ALWAYS_QUIET = ("httpcore", "httpx", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "uvicorn.access")

# https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def setup(level: str = "info", json: bool | None = None, stream: TextIO | None = None) -> None:  # noqa: FBT001  # The flag's name is its meaning.
    """Send all logs, the libraries' too, to stderr.

    `json=None` chooses: colours on a terminal, logfmt elsewhere. `json=True` is JSON always, `json=False` never.
    Calling it again replaces what was set up before.
    """
    if level not in LEVELS:
        message = f'"{level}" is not a log level; use one of {", ".join(LEVELS)}'
        raise ValueError(message)
    stream = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        # As text and before redaction: renderers that format tracebacks themselves show the values of locals.
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=_rendering(stream, json=json))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quieten(level)
    logging.captureWarnings(capture=True)


def _quieten(level: str) -> None:
    shown = logging.INFO if level == "debug" else max(logging.WARNING, logging.getLevelName(level.upper()))
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(shown)
    logging.getLogger(_REQUESTS).setLevel(logging.ERROR)
    if level != "debug":
        logging.getLogger(_SCHEDULER).setLevel(logging.ERROR)
    for name in _ALWAYS_QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, shown))


def _rendering(stream: TextIO, *, json: bool | None) -> list[Processor]:
    tidy: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redact]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if json:
        return [*tidy, stamp, EscapedLine(structlog.processors.JSONRenderer(ensure_ascii=False), json=True)]
    if stream.isatty():
        local = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        colours = "NO_COLOR" not in os.environ
        return [*tidy, local, for_console, structlog.dev.ConsoleRenderer(pad_event_to=40, colors=colours)]
    order = ["timestamp", "level", "event", "logger"]
    logfmt = EscapedLine(structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True))
    if to_journal(stream):
        return [*tidy, _Prioritised(logfmt)]
    return [*tidy, stamp, logfmt]


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: redact(value, key) for key, value in event.items()}


class _Prioritised:
    """Puts the priority that journald reads in front of a line, in place of the level."""

    def __init__(self, render: EscapedLine) -> None:
        self._render = render

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        level = str(event.pop("level", "info"))
        return f"<{_PRIORITIES.get(level, 6)}>{self._render(logger, method, event)}"


def to_journal(stream: TextIO) -> bool:
    """Return whether this stream goes to journald, as `$JOURNAL_STREAM` (device:inode) tells."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
