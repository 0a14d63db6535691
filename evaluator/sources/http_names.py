"""Names of hosts, looked up in threads of our own: one name that hangs never delays another.

This module knows names and addresses. It never knows what is asked of them. Nothing is kept: a probe tests the DNS too.
"""

import asyncio
import socket
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address

from evaluator.sources.threads import Threads

MOST_ADDRESSES = 4
"""Addresses of one name that are tried."""
_THREADS = 64
"""Names that may hang at once. The system's own resolver gives one up after some seconds."""


class Names:
    """Looks names up. One that is being looked up is not asked again until that look-up has ended."""

    def __init__(self, name: str) -> None:
        """Start nothing yet; `name` is what the threads are called."""
        self._threads = Threads(name, _THREADS)
        self._asked: dict[str, Future[list[str]]] = {}

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, the best first; raise `socket.gaierror` where it has none."""
        call = self._asked.get(host)
        if call is None:
            call = self._asked[host] = self._threads.submit(lambda: _look_up(host))
            call.add_done_callback(lambda _: self._asked.pop(host, None))
        # Several may wait for it, each as long as it likes.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def end(done: "Future[list[str]]") -> None:
            # The loop may have ended long before a name that hangs.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_hand_over, done, answer)

        call.add_done_callback(end)
        return await answer


def is_address(host: str) -> bool:
    """Return whether this is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_local(address: str) -> bool:
    """Return whether an address is this machine's own, so that reaching it says nothing of the network."""
    return is_address(address) and ip_address(address).is_loopback


def _look_up(host: str) -> list[str]:
    """Ask the system."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A label that is longer than 63 letters, or empty.
        raise socket.gaierror(socket.EAI_NONAME, "no name") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))[:MOST_ADDRESSES]


def _hand_over(done: "Future[list[str]]", answer: "asyncio.Future[list[str]]") -> None:
    """Give what came of a look-up to one that waits for it."""
    if answer.done():
        return
    if done.cancelled():
        answer.set_exception(socket.gaierror(socket.EAI_AGAIN, "the source was closed"))
        return
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    else:
        answer.set_exception(error)
