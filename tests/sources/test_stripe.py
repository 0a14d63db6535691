"""The source `stripe` against a look-alike of its API, and against bad weather."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.stripe import StripeSource
from evaluator.sources.stripe_query import StripeSettings
from evaluator.testing.http_sources import HttpSourceConformance
from evaluator.testing.sources import NOW, polled, query, run
from evaluator.testing.stripe import Stripe
from evaluator.testing.wire import Reply, Weather, answer, hang, reset

KEY = "rk_live_s3cretstripekey"
FAILURES = {"measure": "webhook_failures"}
REFUND_RATIO = {"measure": "refund_ratio", "min_count": 1}
CHARGE_RATIO = {"measure": "charge_failure_ratio", "min_count": 1}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stripe(clock: Clock) -> Iterator[Stripe]:
    with Stripe(KEY, clock=clock, most=1000) as account:
        yield account


def made(stripe: Stripe, **settings: object) -> StripeSource:
    fields = {"url": stripe.url, "token": KEY, "timeout": "3s", "requests_per_second": 50, **settings}
    return StripeSource("stripe", StripeSettings.model_validate(fields))


def asked(*fields: Mapping[str, Any]) -> list[Any]:
    return [query(StripeSource, each) for each in fields]


def ask(stripe: Stripe, *fields: Mapping[str, Any], now: float = NOW, **settings: object) -> list[PollResult]:
    answers: list[list[PollResult]] = run(polled(made(stripe, **settings), asked(*fields), now))
    return answers[0]


def value(result: PollResult) -> float:
    assert isinstance(result, Samples), result
    (one,) = result.values
    assert result.labels == [{}]
    return one


def failed(result: PollResult, reason: FailureReason) -> str:
    assert isinstance(result, PollFailed), result
    assert result.reason is reason, result
    assert KEY not in result.message
    return result.message


async def several(
    source: StripeSource, clock: Clock, queries: Sequence[Any], steps: Sequence[Callable[[], object] | None]
) -> list[Any]:
    """Poll, then do each step and poll 30 seconds later."""
    await source.open()
    try:
        answers = [await source.poll(queries, clock.now)]
        for step in steps:
            clock.now += 30
            if step is not None:
                step()
            answers.append(await source.poll(queries, clock.now))
        return answers
    finally:
        await source.close()


class TestConformance(HttpSourceConformance):
    kind = StripeSource
    queries = (
        {"measure": "webhook_failures"},
        {"measure": "webhook_failures", "event": ["charge.failed"], "window": "2h", "grace": "1m"},
        {"measure": "webhook_failure_ratio", "min_count": 1},
        {"measure": "endpoints_disabled"},
        {"measure": "refund_ratio", "by_amount": True, "min_count": 1},
        {"measure": "charge_failure_ratio", "min_count": 1},
        {"measure": "refunds"},
        {"measure": "disputes"},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (KEY,)

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"http://{host}:{port}", "token": KEY}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with Stripe(KEY, clock=lambda: NOW, most=1000) as account:
            account.event(age=600, delivered=False)
            account.charge(age=600)
            account.refund(age=600)
            account.endpoint("https://shop.example.com/stripe")
            yield {"url": account.url, "token": KEY, "requests_per_second": 50}


def test_a_webhook_counts_as_failed_when_its_grace_is_over(stripe: Stripe, clock: Clock) -> None:
    stripe.event(age=299, delivered=False)
    stripe.event(age=301, delivered=False)
    stripe.event(age=3800, delivered=False)
    stripe.event(age=4000, delivered=False)
    stripe.event("charge.failed", age=500, delivered=False)
    stripe.event(age=500)
    results = ask(
        stripe,
        FAILURES,
        {**FAILURES, "grace": "1m"},
        {**FAILURES, "window": "2h"},
        {**FAILURES, "event": "charge.*"},
        {**FAILURES, "event": ["charge.failed", "nothing"]},
    )
    assert [value(each) for each in results] == [3.0, 3.0, 4.0, 1.0, 1.0]
    assert len(stripe.asked) == 2  # The clock, and one list for all.


def test_delivered_late_is_delivered(stripe: Stripe, clock: Clock) -> None:
    stripe.event(age=600, delivered=False)
    first, second = run(several(made(stripe), clock, asked(FAILURES), [stripe.deliver]))
    assert (value(first[0]), value(second[0])) == (1.0, 0.0)


def test_more_failures_than_can_be_read_are_at_least_so_many(stripe: Stripe) -> None:
    for _ in range(350):
        stripe.event(age=600, delivered=False)
    stripe.event("charge.failed", age=700, delivered=False)
    whole, some, other_grace, young = ask(
        stripe,
        FAILURES,
        {**FAILURES, "event": "charge.failed"},
        {**FAILURES, "grace": "8m"},
        {**FAILURES, "window": "200s"},
        max_pages=3,
    )
    assert value(whole) == 300.0
    assert isinstance(whole, Samples)
    assert whole.warnings == ("more than 300 events are undelivered; this many were read",)
    # What could be among those that were not read is never given as if it were all.
    failed(some, FailureReason.TOO_BIG)
    failed(other_grace, FailureReason.TOO_BIG)
    assert value(young) == 0.0
    ratio = {"measure": "webhook_failure_ratio", "min_count": 1}
    failed(ask(stripe, ratio, max_pages=3)[0], FailureReason.TOO_BIG)


def test_types_are_filtered_by_stripe_where_all_queries_name_some(stripe: Stripe) -> None:
    for _ in range(350):
        stripe.event(age=600, delivered=False)
    stripe.event("charge.failed", age=700, delivered=False)
    assert value(ask(stripe, {**FAILURES, "event": "charge.failed"}, max_pages=2)[0]) == 1.0
    assert "types%5B%5D=charge.failed" in stripe.asked[-1]
    many = [f"charge.{number}" for number in range(21)]
    failed(ask(stripe, {**FAILURES, "event": many}, max_pages=2)[0], FailureReason.TOO_BIG)


def test_the_ratio_of_webhooks(stripe: Stripe) -> None:
    for number in range(40):
        stripe.event(age=600 + number, delivered=number >= 10)
    ratio = {"measure": "webhook_failure_ratio"}
    one, few, some = ask(stripe, ratio, {**ratio, "min_count": 41}, {**ratio, "event": "charge.*", "min_count": 1})
    assert value(one) == 0.25
    for each in (few, some):
        assert isinstance(each, Samples)
        assert (len(each), len(each.warnings)) == (0, 1)


def test_each_poll_reads_only_what_is_new(stripe: Stripe, clock: Clock) -> None:
    for number in range(250):
        stripe.charge(age=100 + 10 * number)
    source = made(stripe)
    steps = [stripe.charge, stripe.refund, None, lambda: stripe.charge("failed")]
    answers = run(several(source, clock, asked(REFUND_RATIO, CHARGE_RATIO), steps))
    assert [round(value(each[0]) * 251) for each in answers] == [0, 0, 1, 1, 1]
    assert value(answers[-1][1]) == 1 / 252
    # The clock, three pages of charges and one of refunds; then a page of each.
    assert len(stripe.asked) == 1 + 4 + 4 * 2


def test_what_leaves_the_window_no_longer_counts(stripe: Stripe, clock: Clock) -> None:
    stripe.refund(age=3590)

    def wait() -> None:
        clock.now += 300

    answers = run(several(made(stripe), clock, asked({"measure": "refunds"}), [wait]))
    assert [value(each[0]) for each in answers] == [1.0, 0.0]


def test_what_may_still_change_is_asked_again(stripe: Stripe, clock: Clock) -> None:
    pending = [stripe.charge("pending", age=500) for _ in range(15)]
    stripe.charge(age=500)
    refund = stripe.refund("pending", age=500)

    def settle() -> None:
        for each in pending:
            each["status"] = "failed"
        refund["status"] = "failed"

    queries = asked(CHARGE_RATIO, {"measure": "refunds"})
    answers = run(several(made(stripe), clock, queries, [settle, None]))
    # Ten each poll: the sixteen payments are all known in the second poll after.
    assert [round(value(each[0]), 3) for each in answers] == [0.0, round(10 / 11, 3), round(15 / 16, 3)]
    assert [value(each[1]) for each in answers] == [1.0, 0.0, 0.0]


def test_a_window_that_is_too_full_is_read_in_several_polls(stripe: Stripe, clock: Clock) -> None:
    for number in range(950):
        stripe.charge("failed" if number % 2 else "succeeded", age=100 + number)
    answers = run(several(made(stripe, max_pages=4), clock, asked(CHARGE_RATIO), [None, None, None]))
    assert "400 read so far, 4 pages a poll" in failed(answers[0][0], FailureReason.TOO_BIG)
    failed(answers[1][0], FailureReason.TOO_BIG)
    assert [value(each[0]) for each in answers[2:]] == [0.5, 0.5]


@pytest.mark.parametrize("weather", [reset(), answer(500), answer(200, b'{"data": ['), hang(), answer(429)])
def test_a_page_that_fails_fails_the_query_and_is_read_next_time(
    stripe: Stripe, clock: Clock, weather: Weather
) -> None:
    for number in range(250):
        stripe.charge(age=100 + number)
    stripe.wire.forecast(None, None, weather)
    source = made(stripe, timeout="500ms")
    answers = run(several(source, clock, asked(CHARGE_RATIO, {"measure": "disputes"}), [None]))
    assert isinstance(answers[0][0], PollFailed), answers[0]
    if answers[0][0].reason is FailureReason.RATE_LIMITED:
        failed(answers[1][0], FailureReason.RATE_LIMITED)
        assert value(answers[1][1]) == 0.0, "another kind of object has a limit of its own"
    else:
        assert value(answers[1][0]) == 0.0


def test_one_list_that_is_not_allowed_spoils_only_its_own_queries(stripe: Stripe) -> None:
    stripe.may = {"rak_charge_read"}
    stripe.charge(age=60)
    webhooks, charges, up = ask(stripe, FAILURES, CHARGE_RATIO, {"measure": "up"})
    assert "it needs Events: Read" in failed(webhooks, FailureReason.AUTH)
    assert "rak_event_read" in failed(webhooks, FailureReason.AUTH)
    assert value(charges) == 0.0
    assert value(up) == 1.0


def test_a_wrong_key_is_auth(stripe: Stripe) -> None:
    stripe.key = "rk_live_another"
    for each in ask(stripe, FAILURES, {"measure": "up"}):
        assert "(401)" in failed(each, FailureReason.AUTH)
    assert len(stripe.asked) == 1


def test_declines_and_own_faults_are_told_apart(stripe: Stripe) -> None:
    for outcome in ("issuer_declined", "issuer_declined", "blocked", "invalid"):
        stripe.charge("failed", age=60, outcome=outcome)
    for _ in range(4):
        stripe.charge("failed", age=50, outcome="issuer_declined", intent="pi_tried_again")
    stripe.charge(age=40, intent="pi_tried_again")
    stripe.charge("pending", age=30)
    stripe.charge("failed", age=4000)
    results = ask(stripe, *({**CHARGE_RATIO, "faults": faults} for faults in ("all", "declines", "own")))
    assert [value(each) for each in results] == [4 / 5, 3 / 5, 1 / 5]


def test_refunds_by_number_and_by_amount(stripe: Stripe) -> None:
    for _ in range(4):
        stripe.charge(age=60, amount=100)
    for _ in range(2):
        stripe.charge(age=60, amount=1000, currency="jpy")
    stripe.charge(age=60, currency="chf")
    stripe.charge("failed", age=60)
    stripe.refund(age=60, amount=300)
    stripe.refund("failed", age=60, amount=300)
    count, amount, few = ask(
        stripe,
        REFUND_RATIO,
        {**REFUND_RATIO, "by_amount": True, "min_count": 2},
        {"measure": "refund_ratio", "min_count": 20},
    )
    assert value(count) == 1 / 7
    assert isinstance(amount, Samples)
    assert list(zip(amount.labels, amount.values, strict=True)) == [
        ({"currency": "jpy"}, 0.0),
        ({"currency": "usd"}, 0.75),
    ]
    assert isinstance(few, Samples)
    assert (len(few), few.warnings) == (0, ("7 charges in the window, fewer than min_count = 20",))


def test_endpoints_that_are_disabled(stripe: Stripe) -> None:
    stripe.endpoint("https://shop.example.com/stripe")
    stripe.endpoint("https://old.example.com/stripe", "disabled")
    disabled = {"measure": "endpoints_disabled"}
    all_, one, absent, half = ask(
        stripe,
        disabled,
        {**disabled, "endpoint": "https://shop.*"},
        {**disabled, "endpoint": "https://shop.example.com/strip"},
        {**disabled, "endpoint": ["https://old.example.com/stripe", "https://x"]},
    )
    assert value(all_) == 1.0
    assert isinstance(all_, Samples)
    assert all_.warnings == ("https://old.example.com/stripe is disabled",)
    assert value(one) == 0.0
    assert "did you mean https://shop.example.com/stripe" in failed(absent, FailureReason.BAD_QUERY)
    assert value(half) == 1.0
    assert isinstance(half, Samples)
    assert "there is no webhook endpoint https://x" in half.warnings


def test_equal_lists_are_read_once_however_many_rules_there_are(stripe: Stripe) -> None:
    stripe.charge(age=60)
    many: list[dict[str, Any]] = [{**FAILURES, "window": f"{600 + number}s"} for number in range(300)]
    many += [{**CHARGE_RATIO, "window": f"{600 + number}s"} for number in range(300)]
    assert all(isinstance(each, Samples) for each in ask(stripe, *many))
    assert len(stripe.asked) == 3


@pytest.mark.parametrize("ahead", [-900.0, 900.0])
def test_stripes_clock_counts(stripe: Stripe, clock: Clock, ahead: float) -> None:
    stripe.event(age=200, delivered=False)
    stripe.event(age=400, delivered=False)
    stripe.refund(age=3500)
    failures, refunds = ask(stripe, FAILURES, {"measure": "refunds"}, now=NOW + ahead)
    assert (value(failures), value(refunds)) == (1.0, 1.0)
    assert isinstance(failures, Samples)
    assert any("whose clock counts here" in each for each in failures.warnings)
    stripe.hides_date = True
    assert value(ask(stripe, FAILURES)[0]) == 1.0


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_jumps_between_two_polls_is_no_answer(stripe: Stripe, jump: float) -> None:
    stripe.event(age=400, delivered=False)
    stripe.refund(age=3000)

    async def days() -> list[list[PollResult]]:
        source = made(stripe)
        queries = asked(FAILURES, {"measure": "refunds"})
        await source.open()
        try:
            return [await source.poll(queries, at) for at in (NOW, NOW + jump, NOW + jump, NOW)]
        finally:
            await source.close()

    before, meanwhile, after, back = run(days())
    assert [value(each) for each in before] == [value(each) for each in after] == [1.0, 1.0]
    for each in (*meanwhile, *back):
        assert "our clock has jumped by 7200 s" in failed(each, FailureReason.UNAVAILABLE)


def test_our_own_budget_leaves_the_limit_to_payments(stripe: Stripe) -> None:
    for number in range(900):
        stripe.charge(age=100 + number)
    result = ask(stripe, CHARGE_RATIO, requests_per_second=3, timeout="1s")[0]
    assert isinstance(result, PollFailed), result
    assert len(stripe.asked) <= 6


def test_whether_it_is_up_waits_for_no_poll_that_hangs(stripe: Stripe) -> None:
    stripe.wire.forecast(hang(), None)
    source = made(stripe, timeout="1s")

    async def both() -> list[list[PollResult]]:
        await source.open()
        try:
            long = asyncio.create_task(source.poll(asked(CHARGE_RATIO), NOW))
            while not stripe.wire.log:
                await asyncio.sleep(0.01)
            up = await source.poll(asked({"measure": "up"}), NOW)
            return [await long, up]
        finally:
            await source.close()

    (slow,), (up,) = run(both())
    failed(slow, FailureReason.TIMEOUT)
    assert value(up) == 1.0


def test_a_429_is_not_asked_again(stripe: Stripe, clock: Clock) -> None:
    stripe.most = 0
    source = made(stripe)
    first, second = run(several(source, clock, asked(FAILURES, {"measure": "up"}), [None]))
    assert "not asked again for 30 s" in failed(first[0], FailureReason.RATE_LIMITED)
    failed(first[1], FailureReason.RATE_LIMITED)
    failed(second[0], FailureReason.RATE_LIMITED)
    assert source.usage() == {"requests": 1.0, "throttled": 1.0}


def test_a_redirect_is_not_followed_with_the_key(stripe: Stripe) -> None:
    with Stripe(KEY) as thief:
        stripe.wire.forecast(Weather("answer", reply=Reply(302, b"", {"Location": f"{thief.url}/v1"})))
        assert "sends us elsewhere" in failed(ask(stripe, FAILURES)[0], FailureReason.BAD_ANSWER)
        assert thief.asked == []


def test_an_answer_that_is_too_large_is_not_read(stripe: Stripe) -> None:
    for _ in range(50):
        stripe.event("x" * 100, age=600, delivered=False)
    assert "max_size" in failed(ask(stripe, FAILURES, max_size=2000)[0], FailureReason.TOO_BIG)


@pytest.mark.parametrize("body", [b"[]", b'{"data": [{"id": 5}], "has_more": false}', b"\xff\xfe", b"[" * 100_000, b""])
def test_an_answer_of_another_shape_is_a_bad_answer(stripe: Stripe, body: bytes) -> None:
    stripe.wire.forecast(None, answer(200, body))
    failed(ask(stripe, FAILURES)[0], FailureReason.BAD_ANSWER)


def test_an_empty_page_that_has_more_ends(stripe: Stripe) -> None:
    stripe.wire.always = answer(200, {"data": [], "has_more": True})
    assert "empty page" in failed(ask(stripe, CHARGE_RATIO)[0], FailureReason.BAD_ANSWER)
    for measure in ("endpoints_disabled", "webhook_failures"):
        failed(ask(stripe, {"measure": measure})[0], FailureReason.BAD_ANSWER)


@pytest.mark.parametrize("key", ["", "pk_live_abc", "whsec_abc", "rk_prod_abc", "rk_live_ä"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StripeSettings.model_validate({"token": key})
    assert not key or key not in str(caught.value)


def test_options_that_do_nothing_are_refused() -> None:
    wrongs: list[Any] = [
        {"measure": "refunds", "grace": "1m"},
        {"measure": "refunds", "window": "40d"},
        {"measure": "up", "event": "a"},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            query(StripeSource, wrong)


def examined(source: StripeSource, *fields: Mapping[str, Any]) -> dict[str, Checkup]:
    async def examine() -> list[Checkup]:
        await source.open()
        try:
            return await source.examine(asked(*fields), NOW)
        finally:
            await source.close()

    return {each.subject: each for each in run(examine())}


def test_doctor_names_each_permission_that_is_missing(stripe: Stripe) -> None:
    stripe.may = {"rak_event_read"}
    found = examined(made(stripe), FAILURES, CHARGE_RATIO)
    assert {name: each.grade for name, each in found.items()} == {
        "key": Grade.FINE,
        "permission Events: Read": Grade.FINE,
        "permission Charges and Refunds: Read": Grade.WRONG,
        "clock": Grade.FINE,
        "limits": Grade.FINE,
    }
    wrong = found["permission Charges and Refunds: Read"]
    assert "https://dashboard.stripe.com/apikeys" in wrong.mend
    assert "rak_charge_read" in wrong.found
    assert "permission Disputes: Read" in examined(made(stripe))


@pytest.mark.parametrize(
    ("key", "words"), [("sk_live_abcdef", "a secret key"), ("rk_test_abcdef", "test mode: no real payment is seen")]
)
def test_doctor_warns_of_keys_that_may_too_much_or_see_nothing(stripe: Stripe, key: str, words: str) -> None:
    stripe.key = key
    found = examined(made(stripe, token=key))["key"]
    assert found.grade is Grade.WARNING
    assert words in found.found
    assert key not in f"{found}"


async def _overlapping(source: StripeSource, queries: Sequence[Any]) -> list[Any]:
    await source.open()
    try:
        return list(await asyncio.gather(*(source.poll(queries, NOW) for _ in range(3))))
    finally:
        await source.close()


def test_overlapping_polls_share_what_was_read(stripe: Stripe) -> None:
    for number in range(250):
        stripe.charge(age=100 + number)
    answers = run(_overlapping(made(stripe), asked(CHARGE_RATIO)))
    assert [value(each[0]) for each in answers] == [0.0] * 3
    assert len(stripe.asked) == 1 + 3 + 1 + 1
