"""What can go wrong with the store, as a reason and one sentence for a person.

This module knows reasons. It never knows SQL, and nothing in it ever carries a row, a password or a routing key.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why the store did not do it: the label of the metric and the field in the log."""

    DISK_FULL = "disk_full"
    """There is no room left."""
    READONLY = "readonly"
    """The file, its folder or the server may only be read, or the role lacks a right."""
    LOCKED = "locked"
    """Somebody else holds it."""
    UNREACHABLE = "unreachable"
    """The file is gone, the disk fails, the server refuses or does not know us."""
    TIMEOUT = "timeout"
    """No answer in time."""
    CORRUPT = "corrupt"
    """What is there is not what was written."""
    OTHER = "other"
    """Anything else; the sentence says what the database said."""


class StoreUnavailable(Exception):  # noqa: N818 - it is what is the case, and what the sentence says.
    """The store cannot be opened or read; its text is one sentence for a person."""

    def __init__(self, message: str, reason: Reason = Reason.OTHER) -> None:
        """Keep the sentence and the reason."""
        super().__init__(message)
        self.message = message
        self.reason = reason


class CommitFailed(Exception):  # noqa: N818 - it is what happened.
    """Nothing of the changes is known to be written; committing the same changes again is always right."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the reason and the sentence."""
        super().__init__(message)
        self.reason = reason
        self.message = message
