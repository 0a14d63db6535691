"""Serving the app: bind first, so that a taken port is one clear sentence before anything else starts, then serve.

This module knows sockets and uvicorn. It never knows the endpoints. Signals stay with the daemon.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from starlette.applications import Starlette

from evaluator.web.connections import Patience, connections, most_connections

_log = structlog.stdlib.get_logger("evaluator.web")

CLOSE_WITHIN = 2.0
"""Seconds that requests under way get when the server closes."""
_QUEUE = 1024
"""Connections that the kernel holds until we take them, so that nobody has to knock twice where many come at once."""


class WebUnavailable(Exception):  # noqa: N818  # A condition, not a mistake.
    """The web server cannot listen; the message is one sentence that says what to do."""


class Server:
    """A server that listens. Made by `listen`."""

    def __init__(self, server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        self._server = server
        self._sockets = sockets
        self._task = asyncio.create_task(server.serve(sockets=sockets), name="web")

    @property
    def port(self) -> int:
        """The port it listens on: the real one where 0 was asked for."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where it is to be found, for people and tests."""
        host, port = self._sockets[0].getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # Compared with, not bound to.
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def started(self) -> bool:
        """Wait until it serves; `False` where it ended instead."""
        while not self._server.started:
            if self._task.done():
                return False
            await asyncio.sleep(0.005)
        return True

    async def wait(self) -> None:
        """Wait until it no longer serves; raises what made it stop."""
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop listening, let requests under way end, and be closed within two seconds whatever clients do."""
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._task}, timeout=CLOSE_WITHIN * 0.75)
        if not done:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_WITHIN * 0.2)
        for connection in list(self._server.server_state.connections):
            # Whoever still holds one open must not keep the process from ending.
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for bound in self._sockets:
            bound.close()
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()):
            _log.error("the web server had stopped", error=str(error))


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT to the daemon, which has more to end than this."""
        yield


async def listen(app: Starlette, listen: str, patience: Patience | None = None) -> Server:
    """Listen on `host:port` and serve the app; `WebUnavailable` where that cannot be. Port 0: any free one."""
    host, port = parse_listen(listen)
    sockets = await _bind(host, port, listen)
    patience = patience or Patience()
    most = most_connections()
    config = uvicorn.Config(
        app,
        access_log=False,
        # So many are taken at once, before the first of them can be closed again.
        backlog=max(1, min(32, most // 4)),
        h11_max_incomplete_event_size=64 * 1024,
        http=connections(most, patience),
        lifespan="off",
        log_config=None,
        # The guard decides by addresses, so nobody may claim to be another one.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=patience.idle,  # type: ignore[arg-type]  # A number of seconds, which may have a fraction.
        ws="none",
    )
    server = Server(_Uvicorn(config), sockets)
    if not await server.started():
        await server.close()
        raise WebUnavailable(f"the web server did not start on {listen}; the log says why")
    for bound in sockets:
        bound.listen(_QUEUE)
    return server


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:9464`, `[::1]:9464`, `:9464` (all addresses)."""
    host, colon, port = listen.strip().rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise WebUnavailable(f'[web] listen = "{listen}" is not an address; write "127.0.0.1:9464"')
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _bind(host: str, port: int, listen: str) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise WebUnavailable(f'"{host}" is not an address of this machine ({error}); change [web] listen') from error
    sockets: list[socket.socket] = []
    unknown: _UnknownAddress | None = None
    # A name may have several addresses; a free port would be another one on each, so then the first is enough.
    for family, _, _, _, address in dict.fromkeys(found if port else found[:1]):
        try:
            sockets.append(_bound(family, address, listen))
        except _UnknownAddress as error:
            unknown = error
        except WebUnavailable:
            for bound in sockets:
                bound.close()
            raise
    if unknown and not sockets:
        raise unknown
    return sockets


class _UnknownAddress(WebUnavailable):
    """The address is not one of this machine: no matter where the name has another one."""


def _bound(family: int, address: tuple[object, ...], listen: str) -> socket.socket:
    bound = None
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        # Two programs may bind, but only one may listen: so listen now, and know.
        bound.listen(128)
        bound.settimeout(0)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise _sentence(error, listen) from error
    return bound


def _sentence(error: OSError, listen: str) -> WebUnavailable:
    match error.errno:
        case errno.EADDRINUSE:
            return WebUnavailable(f"{listen} is taken by another program; change [web] listen or stop it")
        case errno.EACCES | errno.EPERM:
            return WebUnavailable(
                f"this user may not listen on {listen}; change [web] listen to a port above 1023, or give it"
                " CAP_NET_BIND_SERVICE"
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return _UnknownAddress(f"{listen} is not an address of this machine; change [web] listen")
        case _:
            reason = os.strerror(error.errno) if error.errno else str(error)
            return WebUnavailable(f"cannot listen on {listen}: {reason}; change [web] listen")
