"""What the daemon tells systemd: READY, RELOADING, STOPPING, and WATCHDOG while it really works.

Outside systemd nothing is told. This module knows sd_notify(3); it never knows what the daemon does.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping

import structlog
from sdnotify import SystemdNotifier

log = structlog.get_logger(__name__)

_MICROSECONDS = 1_000_000


class Systemd:
    """The other end of `Type=notify`."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Find the socket that systemd names, if it does."""
        # Made without a socket's name, the package's notifier leaves a socket of its own open.
        self._notifier = SystemdNotifier() if environ.get("NOTIFY_SOCKET") else None
        self._watchdog = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        """Say that the daemon works (again)."""
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that settings and rules are being read; `Type=notify-reload` wants the time with it."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon is draining."""
        self._say("STOPPING=1", "STATUS=draining")

    async def watch(self, stuck: Callable[[], str]) -> None:
        """Tell the watchdog that all is well at half its interval, while `stuck` has nothing to say; for ever."""
        if self._watchdog is None:
            return
        while True:
            because = stuck()
            if because:
                log.error("the watchdog is not told that all is well", because=because)
            else:
                self._say("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _say(self, *lines: str) -> None:
        if self._notifier is not None:
            self._notifier.notify("\n".join(lines))


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return WatchdogSec as systemd hands it on, where it is meant for this process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    pid = environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / _MICROSECONDS
