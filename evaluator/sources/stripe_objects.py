"""Stripe's objects, as far as rules need them, and which kinds there are.

This module knows shapes, paths and the permissions that they need. It never talks to a server.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class List(msgspec.Struct, Generic[T]):
    """A page, newest first (https://docs.stripe.com/api/pagination)."""

    data: list[T]
    has_more: bool


class Event(msgspec.Struct):
    """https://docs.stripe.com/api/events/object."""

    id: str
    created: float
    type: str = ""
    livemode: bool = False

    @property
    def pending(self) -> bool:
        """Whether it may still change; what is undelivered is asked anew each time."""
        return False


class Outcome(msgspec.Struct):
    """Why a charge went as it did."""

    type: str | None = None


class Charge(msgspec.Struct):
    """https://docs.stripe.com/api/charges/object."""

    id: str
    created: float
    status: str
    amount: float
    currency: str
    payment_intent: str | None = None
    outcome: Outcome | None = None

    @property
    def pending(self) -> bool:
        """Whether it may still change (a bank debit takes days)."""
        return self.status == "pending"


class Refund(msgspec.Struct):
    """https://docs.stripe.com/api/refunds/object."""

    id: str
    created: float
    amount: float
    currency: str
    status: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it may still change."""
        return self.status in {"pending", "requires_action"}


class Dispute(msgspec.Struct):
    """https://docs.stripe.com/api/disputes/object."""

    id: str
    created: float

    @property
    def pending(self) -> bool:
        """Whether it may still change in a way that counts."""
        return False


class Endpoint(msgspec.Struct):
    """https://docs.stripe.com/api/webhook_endpoints/object."""

    id: str
    url: str
    status: str


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of object that is listed."""

    path: str
    one: type[T]
    page: Any
    """`List[T]` as a type."""
    permission: str
    """What the dashboard calls it."""


EVENTS = Kind("/v1/events", Event, List[Event], "Events: Read")
CHARGES = Kind("/v1/charges", Charge, List[Charge], "Charges and Refunds: Read")
REFUNDS = Kind("/v1/refunds", Refund, List[Refund], "Charges and Refunds: Read")
DISPUTES = Kind("/v1/disputes", Dispute, List[Dispute], "Disputes: Read")
ENDPOINTS = Kind("/v1/webhook_endpoints", Endpoint, List[Endpoint], "Webhook Endpoints: Read")
