"""Makes the ids of incidents and deliveries: ULIDs, which sort by the time at which they were made.

This module is the one place where chance enters; decisions are given its function.
"""

import threading

from ulid import ULID

_lock = threading.Lock()
_last = ULID()


def new_id() -> str:
    """Return a new ULID, greater than every one that this process made before.

    The specification's monotonic mode: within one millisecond (or after the clock was set back) the last one plus one.
    Source: https://github.com/ulid/spec#monotonicity
    """
    global _last  # noqa: PLW0603 - the last id is what makes the next one greater.
    with _lock:
        fresh = ULID()
        if int(fresh) <= int(_last):
            fresh = ULID.from_int(int(_last) + 1)
        _last = fresh
        return str(fresh)
