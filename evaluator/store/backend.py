"""What a database must be able to do for the store, whichever it is.

This module knows the promise. It never knows a database.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from evaluator.store.errors import Reason

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done within one transaction."""


class Backend(Protocol):
    """One database. Whatever it is asked, it answers or raises `SQLAlchemyError` within a bounded time."""

    where: str
    """The file, or the address without any secret: for people."""

    def read(self, work: Work[T], seconds: float) -> T:
        """Do the work on one consistent picture, and write nothing."""

    def write(self, work: Work[T], seconds: float) -> T:
        """Do the work in one transaction, wholly or not at all."""

    def migrate(self, work: Work[None], seconds: float) -> None:
        """Do the first work there is, which brings the tables to our revision, alone and in one transaction."""

    def hold(self, instance: str) -> None:
        """Become the only writer; raise `StoreUnavailable` where another process is."""

    def explain(self, error: SQLAlchemyError) -> tuple[Reason, str]:
        """Return the reason of an error, and what a person should know: no row, no parameter, no secret."""

    def close(self) -> None:
        """Give everything back, the hold too."""
