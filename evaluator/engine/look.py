"""What a condition that looks at more than one value says of one sample.

This module knows the answer's form. How the answer is found is in `trend`, `baseline` and `schedule`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """What one condition says of one sample, and why."""

    holds: bool | None
    """`None`: it is not known."""
    said: str
    """One clause for people, with the numbers in it."""
