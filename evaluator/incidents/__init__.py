"""Pure too: who must hear of it, and what must be sent. No I/O, no clock, no asyncio, no logging."""
