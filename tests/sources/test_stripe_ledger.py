"""What the source `stripe` keeps of a window is all of it, or no answer: whatever fails, waits, grows or changes."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.api import AskError, Page, Round
from evaluator.sources.stripe_ledger import Ledger
from evaluator.sources.stripe_objects import CHARGES, Charge
from evaluator.testing.sources import NOW
from evaluator.testing.stripe import KEY, Stripe
from evaluator.testing.vendor import Question

PAGE = 5
"""Objects on a page here, so that a few make many pages."""


class Wire:
    """A round that asks the look-alike without a wire between them, and fails when it is told to."""

    def __init__(self, stripe: Stripe, failing: Sequence[bool]) -> None:
        self.stripe = stripe
        self.failing = list(failing)
        self.time = stripe.clock()

    async def get(self, path: str, params: Sequence[tuple[str, str]], into: Any, **_: str) -> Page[Any]:  # noqa: ANN401
        if self.failing and self.failing.pop(0):
            raise AskError(PollFailed(FailureReason.RESET, "the connection broke off"))
        small = tuple((name, str(PAGE) if name == "limit" else value) for name, value in parse_qsl(urlencode(params)))
        headers = {"authorization": f"Bearer {KEY}", "stripe-version": "x"}
        reply = self.stripe.answer(Question(self.time, "GET", path, small, headers))
        assert reply.status == 200, reply.body
        return Page(msgspec.json.decode(reply.body, type=into))


step = st.fixed_dictionaries(
    {
        "wait": st.sampled_from([1, 30, 30, 30, 300, 5000]),
        "charges": st.lists(st.integers(0, 40), max_size=12),
        "failing": st.lists(st.booleans(), max_size=4),
        "window": st.sampled_from([600, 600, 600, 3600]),
        "pages": st.integers(2, 6),
        "polled": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(step, min_size=1, max_size=14))
def test_an_answer_is_whole_or_there_is_none(steps: list[dict[str, Any]]) -> None:
    now = NOW
    stripe = Stripe(clock=lambda: now)
    ledger: Ledger[Charge] = Ledger(CHARGES)
    reach = 0.0
    for one in steps:
        now += one["wait"]
        for age in one["charges"]:
            stripe.charge("failed" if age % 3 else "succeeded", age=min(age, one["wait"]))
        if not one["polled"]:
            continue
        reach = max(reach, float(one["window"]))
        wire = cast("Round", Wire(stripe, one["failing"]))
        try:
            asyncio.run(ledger.read(wire, now - reach, now, one["pages"]))
        except AskError as error:
            assert error.failed.reason in {FailureReason.RESET, FailureReason.TOO_BIG}  # noqa: PT017  # Or it is whole.
            continue
        kept = {each for each, row in ledger.rows.items() if row.created >= now - reach}
        assert kept == {row["id"] for row in stripe.rows["charges"] if row["created"] >= now - reach}


def test_what_is_left_is_read_in_the_end() -> None:
    stripe = Stripe(clock=lambda: NOW)
    for age in range(100):
        stripe.charge(age=age)
    ledger: Ledger[Charge] = Ledger(CHARGES)
    tries = 0
    while tries < 20:
        tries += 1
        try:
            asyncio.run(ledger.read(cast("Round", Wire(stripe, [])), NOW - 600, NOW, 3))
        except AskError:
            continue
        break
    # Twenty full pages and an empty one at the end, three in each poll.
    assert tries == 7
    assert len(ledger.rows) == 100


def test_a_gap_in_sight_is_never_taken_for_a_time_without_charges() -> None:
    now = NOW
    stripe = Stripe(clock=lambda: now)
    ledger: Ledger[Charge] = Ledger(CHARGES)

    def read(window: float) -> int:
        asyncio.run(ledger.read(cast("Round", Wire(stripe, [])), now - window, now, 50))
        return sum(row.created >= now - window for row in ledger.rows.values())

    stripe.charge()
    assert read(20_000) == 1
    now += 7200
    for age in (100, 1000, 5000):
        stripe.charge(age=age)
    assert read(600) == 1
    # A rule with a longer window comes: what was not seen, or is forgotten, is read now.
    assert read(10_000) == 4
