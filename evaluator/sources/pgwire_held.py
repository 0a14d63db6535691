"""A connection that is held open between polls, and made again when it was cut.

It knows that a connection which worked once may have been cut while it was idle, and that a server whose connections
are all in use still answers on one that is held. It never knows what is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import psycopg

from evaluator.sources.pgwire import Connection, addresses_of, connect, is_cut

T = TypeVar("T")

LOOK_EVERY = 60.0
"""Seconds between two looks at where the name points: after a move to another machine the old one may still answer."""

_OUTLIVED = ("28", "42501", "42704", "XX")
"""SQLSTATEs of a session whose role may be gone: where it was dropped and created again (*invalid role OID*), a new
session has the new one's rights, and the old one never will."""


class Held:
    """At most one connection, used by one at a time."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        """Take what libpq is told."""
        self._parameters = parameters
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._closed = True
        self._look: asyncio.Task[tuple[str, ...]] | None = None
        self._looked = 0.0
        self.made = 0
        """How many connections were made or tried."""

    def open(self) -> None:
        """Allow to connect."""
        self._closed = False

    async def use(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do the work on the connection. What goes wrong with it is raised, and with connecting: see `pgwire.connect`.

        On a connection that was used before and is found to be cut, the work is done once more on a new one.
        """
        async with self._turn:
            used = self._connection is not None
            try:
                return await self._do(work)
            except psycopg.OperationalError as error:
                # It may have been cut long ago, which says nothing of the server now.
                if not used or not is_cut(error):
                    raise
            await self.drop()
            return await self._do(work)

    async def drop(self) -> None:
        """Close the connection; the next use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()

    async def close(self) -> None:
        """Close the connection, and make no other."""
        self._closed = True
        look, self._look = self._look, None
        if look is not None:
            look.cancel()
        await self.drop()

    async def _do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Connect if need be, and do the work; a connection on which anything but a statement went wrong is closed."""
        if self._closed:
            raise psycopg.OperationalError("the source is closed")
        if self._connection is not None and self._has_moved(self._connection):
            await self.drop()
        if self._connection is None:
            self.made += 1
            self._looked = asyncio.get_running_loop().time()
            self._connection = await connect(self._parameters)
        return await self._guarded(self._connection, work)

    def _has_moved(self, connection: Connection) -> bool:
        """Return whether the name points elsewhere by now; beside the polls, which wait for no resolver."""
        now = asyncio.get_running_loop().time()
        if self._look is None:
            if now - self._looked >= LOOK_EVERY:
                self._looked = now
                self._look = asyncio.create_task(addresses_of(self._parameters["host"]))
            return False
        if not self._look.done():
            return False
        found, self._look = self._look.result(), None
        return bool(found) and connection.info.hostaddr not in found

    async def _guarded(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do the work; whoever gives up in the middle leaves no half-read answer to the next."""
        try:
            return await work(connection)
        except psycopg.Error as error:
            # Without a SQLSTATE it is not the statement that is wrong, but the conversation.
            if connection.closed or error.sqlstate is None or error.sqlstate.startswith(_OUTLIVED):
                await self.drop()
            raise
        except BaseException:
            await self.drop()
            raise
