"""What the sources of vendors' JSON APIs have in common: one client, and one poll at a time that reads a list.

This module knows when a client is opened and closed. It never knows a vendor, a measure or a list.
"""

import asyncio
from collections.abc import Mapping

from evaluator.sources.api import ApiClient
from evaluator.sources.api_settings import ApiSettings, Terms


class ApiSource:
    """A source with one client for one credential; a vendor's own is derived from it."""

    def __init__(self, terms: Terms, settings: ApiSettings) -> None:
        """Take how the vendor is asked; nothing is connected before the first poll."""
        self._client = ApiClient(terms, settings)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Make the client, which connects when it is asked."""
        self._turn = asyncio.Lock()
        await self._client.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def usage(self) -> Mapping[str, float]:
        """Return requests, and those refused with 429."""
        return self._client.usage()
