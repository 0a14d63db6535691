"""What is set for a vendor's API: by people in the settings, and by its source in the terms.

This module knows the words. It never talks to anybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from evaluator.sources.fields import Bytes, Seconds, Strict


class ApiSettings(Strict):
    """The settings of every source that asks a vendor's API."""

    timeout: Seconds = Field(10.0, description="A poll, from the connection to the last page, takes no longer.")
    max_size: Bytes = Field(10_000_000, description="Largest answer that is read, in bytes, one page each.")
    ca: Path | None = Field(None, description="File with the certificate authorities to trust (PEM).")


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all requests to one vendor."""

    name: str
    """What messages call it: `Stripe`."""
    base: str
    """The address that paths are added to."""
    headers: Mapping[str, str] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    """What no message may repeat."""
    most: int
    """Requests in any `seconds`, the budget that we keep to."""
    seconds: float
    concurrency: int = 4
    remaining: str = ""
    """The vendor's header that says how many requests are left in its window, in lower case."""
    resets: Sequence[str] = ()
    """Its headers that say when the window ends."""
