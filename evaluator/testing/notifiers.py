"""What every notifier must do, as tests to inherit from: for the built-in ones, and for a plugin's.

    class TestMyChat(HttpNotifierConformance):
        secrets = ("my-token",)

        def make(self, url: str, timeout: float) -> Notifier:
            return MyChatNotifier("chat", MyChatSettings(url=url, timeout=f"{timeout}s"), "conformance")

        def reply(self, heard: Heard) -> Reply:
            return Reply(200, b'{"ok": true}')

This module knows the protocol of a notifier. It never knows what one says to its receiver. It needs pytest and nothing
else.
"""

# ruff: noqa: D102  # A test's name is its sentence.

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, ClassVar

from evaluator.incidents.deliveries import Accepted, Action, Delivery, Outcome, Refused, RetryLater
from evaluator.notifiers.notifier import Notifier
from evaluator.testing.deliveries import AWKWARD_MESSAGES, NOW, ROUTING_KEY, a_delivery, a_message
from evaluator.testing.wire import Heard, Reply, WireServer, answer, drip, hang, reset

__all__ = [
    "AWKWARD_MESSAGES",
    "NOW",
    "ROUTING_KEY",
    "HttpNotifierConformance",
    "NotifierConformance",
    "a_delivery",
    "a_message",
    "run",
    "sent",
]


def run(task: Coroutine[Any, Any, Any], within: float = 30.0) -> Any:  # noqa: ANN401  # It is the task's.
    """Run it in a loop of its own, and fail if it takes too long."""

    async def timed() -> Any:  # noqa: ANN401  # It is the task's.
        async with asyncio.timeout(within):
            return await task

    return asyncio.run(timed())


async def sent(notifier: Notifier, *deliveries: Delivery) -> list[Outcome]:
    """Open the notifier, send these one after the other, and close it."""
    await notifier.open()
    try:
        return [await notifier.send(delivery, NOW) for delivery in deliveries]
    finally:
        await notifier.close()


class NotifierConformance:
    """What holds for every notifier. `fine` makes one that can tell its receiver; override it."""

    secrets: ClassVar[tuple[str, ...]] = (ROUTING_KEY,)
    """What must never be seen: the keys that the notifier is given in `fine` and in `a_delivery`."""
    takes_notices: ClassVar[bool] = True
    """Whether a sentence that opens and closes nothing has a place there; else it must be refused."""

    def fine(self) -> contextlib.AbstractContextManager[Notifier]:
        """Return a notifier whose receiver is well, for the length of a `with`."""
        raise NotImplementedError

    def test_it_tells_every_action(self) -> None:
        with self.fine() as notifier:
            for action in Action:
                (outcome,) = run(sent(notifier, a_delivery(action)))
                expected = Accepted if action is not Action.NOTICE or self.takes_notices else Refused
                assert isinstance(outcome, expected), f"{action}: {outcome}"

    def test_it_tells_whatever_a_rule_says(self) -> None:
        with self.fine() as notifier:
            for name, message in AWKWARD_MESSAGES.items():
                for action in (Action.TRIGGER, Action.RESOLVE):
                    (outcome,) = run(sent(notifier, a_delivery(action, message)))
                    assert isinstance(outcome, Accepted), f"{name}, {action}: {outcome}"

    def test_it_takes_the_same_key_twice(self) -> None:
        with self.fine() as notifier:
            again = a_delivery(accepted=1, accepted_at=NOW)
            outcomes = run(sent(notifier, a_delivery(), again, a_delivery(Action.RESOLVE), a_delivery(Action.RESOLVE)))
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes

    def test_it_can_be_closed_unopened_and_opened_again(self) -> None:
        with self.fine() as notifier:

            async def story() -> None:
                await notifier.close()
                for _ in range(2):
                    assert await sent(notifier, a_delivery())
                    await notifier.close()

            run(story())

    def test_its_repr_has_no_secret(self) -> None:
        with self.fine() as notifier:
            run(sent(notifier, a_delivery()))
            self.without_secrets(repr(notifier), str(vars(notifier) if hasattr(notifier, "__dict__") else ""))

    def without_secrets(self, *texts: str) -> None:
        """Fail if a secret is in one of the texts."""
        for text in texts:
            for secret in self.secrets:
                assert secret.lower() not in text.lower(), "a secret was written"


class HttpNotifierConformance(NotifierConformance):
    """What holds for every notifier that speaks HTTP, whatever the weather. Override `make` and `reply`."""

    timeout: ClassVar[float] = 0.4
    """Seconds that `make` is given, so that black holes are short."""
    slack: ClassVar[float] = 1.0
    """Seconds that a busy machine may add to it."""

    def make(self, url: str, timeout: float) -> Notifier:
        """Return a notifier whose receiver is at this address, with this timeout in seconds."""
        raise NotImplementedError

    def reply(self, heard: Heard) -> Reply:
        """Return what the receiver answers to this request when all is well; raise `AssertionError` if it is wrong."""
        raise NotImplementedError

    @contextlib.contextmanager
    def fine(self) -> Any:  # noqa: ANN401  # The decorator gives it its type.
        """Return a notifier whose receiver is well."""
        with WireServer(self.reply) as server:
            yield self.make(server.url, 20.0)

    def told(self, server: WireServer, delivery: Delivery | None = None, timeout: float | None = None) -> Outcome:
        """Send one delivery through the weather, within the deadline, and see that no secret comes back."""
        notifier = self.make(server.url, self.timeout if timeout is None else timeout)
        began = time.monotonic()
        (outcome,) = run(sent(notifier, a_delivery() if delivery is None else delivery))
        lasted = time.monotonic() - began
        if timeout is None:
            assert lasted < self.timeout + self.slack, f"a timeout of {self.timeout} s took {lasted:.1f} s"
        self.without_secrets(repr(outcome))
        return outcome  # type: ignore[no-any-return]  # `run` gives back what it is given.

    def test_408_429_and_5xx_are_tried_again(self) -> None:
        with WireServer(self.reply) as server:
            for status in (408, 429, 500, 502, 503, 504, 599):
                server.forecast(answer(status))
                outcome = self.told(server, timeout=10.0)
                assert isinstance(outcome, RetryLater), f"{status}: {outcome}"
                assert outcome.arrived is (status != 429), f"{status}: {outcome}"
                assert str(status) in outcome.message, outcome

    def test_other_4xx_and_redirects_are_refused(self) -> None:
        with WireServer(self.reply) as server:
            for status in (301, 302, 307, 400, 401, 403, 404, 410, 413, 422):
                server.forecast(answer(status))
                outcome = self.told(server, timeout=10.0)
                assert isinstance(outcome, Refused), f"{status}: {outcome}"
                assert str(status) in outcome.message, outcome
            assert len(server.log) == 10, "a redirect was followed, or a request was repeated"

    def test_retry_after_is_honoured_and_capped(self) -> None:
        table = [("7", 7.0), (" 2.5 ", 2.5), ("0", 0.0), ("-5", 0.0), ("1" + "0" * 400, 300.0), ("86400", 300.0)]
        nothing = ["", "soon", "nan", "Wed, 99 Foo 2026"]
        with WireServer(self.reply) as server:
            for asked, seconds in [*table, *((text, None) for text in nothing)]:
                server.forecast(answer(429, retry_after=asked))
                outcome = self.told(server, timeout=10.0)
                assert isinstance(outcome, RetryLater), f"{asked}: {outcome}"
                assert outcome.after == seconds, f"{asked}: {outcome}"

    def test_an_answer_never_gives_a_secret_away(self) -> None:
        echo = ", ".join(self.secrets)
        with WireServer(self.reply) as server:
            for status in (302, 400, 403, 429, 500):
                for body in (
                    {"status": "no", "message": echo, "errors": [echo]},
                    echo.encode(),
                    b"<title>" + echo.encode(),
                ):
                    server.forecast(answer(status, body))
                    self.told(server, timeout=10.0)

    def test_a_huge_or_broken_answer_is_cut(self) -> None:
        with WireServer(self.reply) as server:
            for body in (
                b"e" * 3_000_000,
                b"\xff\xfe\x00" * 1000,
                b"[" * 100_000,
                b'{"message": 1, "errors": {"a": null}}',
            ):
                server.forecast(answer(400, body))
                outcome = self.told(server, timeout=10.0)
                assert isinstance(outcome, Refused), outcome
                assert len(outcome.message) <= 1000, "the message is as long as the answer"

    def test_nobody_there_is_weather_and_nothing_arrived(self) -> None:
        with WireServer(self.reply) as server, server.refusing():
            outcome = self.told(server, timeout=10.0)
        assert isinstance(outcome, RetryLater), outcome
        assert not outcome.arrived, "nothing can have arrived where nobody listens"

    def test_a_black_hole_keeps_the_deadline(self) -> None:
        with WireServer(self.reply) as server:
            server.forecast(hang())
            outcome = self.told(server)
        assert isinstance(outcome, RetryLater), outcome
        assert outcome.arrived, "it may have been taken"

    def test_a_slow_drip_keeps_the_deadline(self) -> None:
        with WireServer(self.reply) as server:
            server.forecast(drip(head=True), drip())
            outcome = self.told(server)
            assert isinstance(outcome, RetryLater), outcome
            assert outcome.arrived, "it may have been taken"
            assert isinstance(self.told(server), (Accepted, RetryLater)), "a slow body is no refusal"

    def test_a_reset_is_weather_and_may_have_arrived(self) -> None:
        with WireServer(self.reply) as server:
            server.forecast(reset(), reset(take=True))
            for _ in range(2):
                outcome = self.told(server, timeout=10.0)
                assert isinstance(outcome, RetryLater), outcome
                assert outcome.arrived, "it may have been taken"

    def test_a_connection_that_went_stale_is_at_most_weather(self) -> None:
        with WireServer(self.reply) as server:
            notifier = self.make(server.url, 10.0)

            async def story() -> list[Outcome]:
                await notifier.open()
                try:
                    first = await notifier.send(a_delivery(), NOW)
                    with server.refusing():
                        pass
                    return [first, await notifier.send(a_delivery(), NOW), await notifier.send(a_delivery(), NOW)]
                finally:
                    await notifier.close()

            first, second, third = run(story())
            assert isinstance(first, Accepted), first
            assert isinstance(second, (Accepted, RetryLater)), second
            assert isinstance(third, Accepted), third

    def test_it_can_be_cancelled_and_used_again(self) -> None:
        with WireServer(self.reply) as server:
            server.forecast(hang())
            notifier = self.make(server.url, 20.0)

            async def story() -> Outcome:
                await notifier.open()
                try:
                    sending = asyncio.create_task(notifier.send(a_delivery(), NOW))
                    await asyncio.to_thread(server.wait, 1)
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await sending
                        raise AssertionError("it swallowed its cancellation")
                    return await notifier.send(a_delivery(), NOW)
                finally:
                    await notifier.close()

            outcome = run(story(), within=10.0)
            assert isinstance(outcome, Accepted), outcome

    def test_many_at_once_do_not_wait_for_one_another(self) -> None:
        with WireServer(self.reply) as server:
            server.forecast(hang())
            notifier = self.make(server.url, 2.0)

            async def story() -> list[Outcome]:
                await notifier.open()
                try:
                    stuck = asyncio.create_task(notifier.send(a_delivery(), NOW))
                    await asyncio.to_thread(server.wait, 1)
                    others = await asyncio.gather(*(notifier.send(a_delivery(), NOW) for _ in range(5)))
                    assert not stuck.done(), "the hanging one was over before the others"
                    return [*others, await stuck]
                finally:
                    await notifier.close()

            *others, stuck = run(story())
            assert all(isinstance(outcome, Accepted) for outcome in others), others
            assert isinstance(stuck, RetryLater), stuck
