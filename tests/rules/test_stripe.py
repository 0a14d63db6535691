"""The shipped rules that ask Stripe: a look-alike that could not deliver its events, and one that gives money back."""

from collections.abc import Iterator
from contextlib import contextmanager

from evaluator.testing.stripe import KEY, Stripe
from tests.rules.shipped import START, Watch, watch


@contextmanager
def account() -> Iterator[tuple[Stripe, Watch]]:
    """Watch an account whose clock is that of the slots."""
    slots: list[Watch] = []
    with (
        Stripe(clock=lambda: slots[0].now if slots else START) as stripe,
        watch("payment-webhook-failures", token=KEY, url=stripe.url) as watched,
    ):
        slots.append(watched)
        for minute in range(120):
            stripe.event(age=60.0 * minute)
        yield stripe, watched


def test_payment_events_that_wait_open_and_close_when_they_are_delivered() -> None:
    with account() as (stripe, watched):
        watched.is_quiet()
        stripe.event("payment_intent.succeeded", delivered=False)
        stripe.event("checkout.session.completed", delivered=False)
        watched.look_for(599)
        assert watched.values == [0.0], "they may be on their way"
        watched.look_until(watched.rule.tiers[0].limit, within=120)
        incident = watched.opens("P0")
        assert incident.title == "Payment events that Stripe could not deliver: 2"
        watched.stays_open_while_blind()
        stripe.deliver()
        watched.closes()


def test_an_answer_that_was_too_slow_wakes_nobody_where_the_first_retry_is_taken() -> None:
    with account() as (stripe, watched):
        stripe.event("payment_intent.succeeded", delivered=False)
        watched.look_for(540)
        stripe.deliver()
        watched.look_for(900)
        assert not watched.incidents


def test_an_outage_with_more_events_than_are_read_is_seen() -> None:
    with account() as (stripe, watched):
        for _ in range(2100):
            stripe.event("customer.updated", age=700, delivered=False)
        stripe.event("invoice.paid", age=800, delivered=False)
        watched.opens("P0")


def test_an_event_that_means_no_money_is_no_incident() -> None:
    with account() as (stripe, watched):
        stripe.event("customer.updated", delivered=False)
        watched.look_for(900)
        assert not watched.incidents


def test_events_that_are_never_taken_stay_open_for_as_long_as_stripe_tries() -> None:
    with account() as (stripe, watched):
        stripe.event(delivered=False)
        watched.look_until(watched.rule.tiers[0].limit, within=900)
        watched.opens("P0")
        # Nobody looks for a while: the slots in between are not judged.
        watched.now += 71 * 3600
        watched.look_for(600)
        assert watched.open, "nothing was repaired"
        watched.now += 3600
        watched.look_for(600)
        assert not watched.open


def six_hours(stripe: Stripe, watched: Watch, refunds: int) -> None:
    """Let six hours pass with 200 charges, and so many refunds."""
    watched.now += 6 * 3600
    for number in range(200):
        stripe.charge(age=100.0 * number)
    for number in range(refunds):
        stripe.refund(age=300.0 * number)


def test_refunds_that_are_unusual_open_once_the_rule_has_learned_and_close() -> None:
    slots: list[Watch] = []
    with (
        Stripe(clock=lambda: slots[0].now if slots else START) as stripe,
        watch("refund-rate-unusual", token=KEY, url=stripe.url) as watched,
    ):
        slots.append(watched)
        # Two weeks and a day, four looks a day: 1 to 1.5 %, and one bad evening, which makes the next no less unusual.
        for number in range(60):
            six_hours(stripe, watched, 14 if number == 40 else 2 + number % 2)
            watched.look()
            assert not watched.open, "it learns"
        six_hours(stripe, watched, 3)
        watched.is_quiet()
        for _ in range(11):
            stripe.refund()
        incident = watched.opens("P2")
        assert incident.title.endswith(" % of charges are refunded, which is unusual")
        assert "MAD above the usual" in incident.why
        watched.stays_open_while_blind()
        six_hours(stripe, watched, 3)
        watched.closes()
