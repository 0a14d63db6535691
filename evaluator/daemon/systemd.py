"""What the daemon tells systemd: READY, RELOADING, STOPPING, and WATCHDOG while it really works.

Outside systemd nothing is told. This module knows sd_notify(3); it never knows what the daemon does.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

_MICROSECONDS = 1_000_000


class Systemd:
    """The other end of `Type=notify`."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Find the socket that systemd names, if it does."""
        self._address = environ.get("NOTIFY_SOCKET", "")
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
        """Send one datagram, as sd_notify(3) describes it; an address that begins with @ is an abstract one.

        The package for this was last released in 2017, and as source only, which no hash of ours can pin whole.
        """
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
                notifier.settimeout(0)
                notifier.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("systemd cannot be told", error=str(error), what=lines[0])


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return WatchdogSec as systemd hands it on, where it is meant for this process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    pid = environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / _MICROSECONDS
