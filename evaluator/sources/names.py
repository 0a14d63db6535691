"""Names in a query: one, or a list of them.

This module knows how such a field is written and read. It never knows what is named.
"""

from typing import Annotated, TypeVar

from pydantic import Field

from evaluator.sources.fields import Text

T = TypeVar("T", bound=str | int)

Names = Text | Annotated[tuple[Text, ...], Field(min_length=1)]


def several(value: T | tuple[T, ...] | None) -> tuple[T, ...]:
    """Return what is written as one or as a list, each once, in that order; nothing where nothing is written."""
    if value is None:
        return ()
    return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else (value,)
