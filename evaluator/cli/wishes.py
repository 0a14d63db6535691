"""Wishes of people: a command is written into the store, and the daemon carries it out within a second or two.

This module knows how to write one and to wait for it. It never knows what a command does.
"""

import getpass
import os
import time
from collections.abc import Callable

from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import Command
from evaluator.store.store import Store

PATIENCE = 10.0
"""Seconds in which a running daemon carries out a command."""
LATER = "written down, but no daemon has carried it out yet; it will when it runs"


def ask(store: Store, command: Command, is_done: Callable[[], bool]) -> bool:
    """Write the command, and return whether it was carried out in time."""
    store.commit(Changes(commands={command.id: command}))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if is_done():
            return True
        time.sleep(0.2)
    return False


def who() -> str:
    """Return the name of whoever asks; a container's user need not have one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python 3.13 raises OSError.
        return f"user {os.getuid()}"
