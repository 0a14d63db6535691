"""The pure core: what is wrong, and since when. No I/O, no clock, no asyncio, no logging."""
