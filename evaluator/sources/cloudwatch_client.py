"""Talking to AWS through boto3: clients, and calls that end in time.

boto3 blocks, so every call is the work of a thread with a deadline; what it did is counted. This module knows boto3. It
never knows metrics or rules.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from evaluator.sources.cloudwatch_query import CloudWatchSettings
from evaluator.sources.cloudwatch_session import described, session_in_role, session_of
from evaluator.sources.threads import Threads

T = TypeVar("T")

_ATTEMPTS = 3
_THREADS = 6
_CONNECT = 3.0
"""Seconds for a connection: AWS is never farther away."""
_LOOK_AGAIN = 30.0
"""Seconds after which credentials are looked for again where there were none: EC2's metadata service is slow to say."""
THROTTLES = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
        *("RequestLimitExceeded", "TooManyRequestsException", "LimitExceeded", "LimitExceededException", "SlowDown"),
        *("EC2ThrottledException", "BandwidthLimitExceeded", "PriorRequestNotComplete"),
    }
)
"""The codes with which AWS asks for patience."""


class LateError(Exception):
    """A call that did not end in time; `last` is what went wrong in it before, if anything did."""

    def __init__(self, last: Exception | None) -> None:
        """Keep what was seen of it."""
        super().__init__("no answer in time")
        self.last = last


@dataclass(slots=True)
class Call:
    """One piece of work in a thread."""

    until: float
    """Seconds on the monotonic clock, after which it sends nothing more."""
    last: Exception | None = None
    """What went wrong last; boto3 tries again by itself."""


class Aws:
    """The clients of one source."""

    def __init__(self, name: str, settings: CloudWatchSettings) -> None:
        """Make nothing yet: boto3 is slow to load, so its threads do it."""
        self._settings = settings
        self._threads = Threads(f"evaluator-{name}", _THREADS)
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._nobody_until = 0.0
        self._session: Any = None  # A session of boto3, which is loaded late.
        self._clients: dict[str, Any] = {}
        self._here = threading.local()
        self._closed = False
        self.requests = 0
        """How many requests were sent, repeated ones too."""
        self.throttled = 0
        """How many of them AWS refused for now."""

    async def load(self) -> None:
        """Load boto3 and what it knows of CloudWatch, so that no poll spends its time with that. It asks nobody."""
        await asyncio.wrap_future(self._threads.submit(self._load))

    def _load(self) -> None:
        described()
        if self._settings.access_key_id is not None and self._settings.role_arn is None:
            # No credentials need be asked for, so the client can be there before the first poll. Should it not come to
            # be, the first poll says why.
            with contextlib.suppress(Exception):
                self.client("cloudwatch")

    async def do(self, service: str, work: Callable[[Any], T], until: float) -> T:
        """Run `work` with the client of a service in a thread, and return what comes of it.

        `until` is on the loop's clock. `LateError` when it does not end in time; else whatever the work raises.
        """
        left = until - asyncio.get_running_loop().time()
        call = Call(time.monotonic() + left)

        def working() -> T:
            self._here.call = call
            try:
                if time.monotonic() >= call.until:
                    raise LateError(None)
                return work(self.client(service))
            finally:
                del self._here.call

        future = self._threads.submit(working)
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), max(0.0, left))
        except TimeoutError:
            raise LateError(call.last) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or task is None or task.cancelling():
                raise
            raise LateError(None) from None
        finally:
            if not future.done():
                call.until = 0.0
                future.cancel()
            # Also where it ended just now: nobody reads any more how.
            waiting.cancel()

    def client(self, service: str) -> Any:  # noqa: ANN401  # boto3 makes its clients at run time.
        """Return the client of a service; only for the work of a thread."""
        with self._lock:
            if self._closed:
                raise LateError(None)
            if service not in self._clients:
                self._know_ourselves()
                self._clients[service] = self._made(service)
            return self._clients[service]

    def credentials(self) -> str:
        """Return how the credentials were found; only for the work of a thread."""
        with self._lock:
            found = self._in_session().get_credentials()
        return "" if found is None else str(found.method)

    def close(self) -> None:
        """Let the threads end and the connections go."""
        self._threads.close()
        # A thread that makes a client just now sees it when it is done.
        self._closed = True
        for client in [*self._clients.values()]:
            client.close()

    def _know_ourselves(self) -> None:
        """Raise `NoCredentialsError` where there are no credentials: a client would be made without, and stay so."""
        from botocore.exceptions import NoCredentialsError

        session = self._in_session()
        if self._settings.access_key_id is not None:
            # Whoever has been given a key does not look for one, however long the making of a client takes.
            return
        call = getattr(self._here, "call", None)
        nobody = NoCredentialsError()
        if time.monotonic() < self._nobody_until:
            raise nobody
        before = None if call is None else call.last
        if call is not None:
            # Should the search take too long, this is why.
            call.last = nobody
        if session.get_credentials() is None:
            self._nobody_until = time.monotonic() + _LOOK_AGAIN
            raise nobody
        if call is not None:
            call.last = before

    def _made(self, service: str) -> Any:  # noqa: ANN401  # As above.
        client = self._in_session().client(service, endpoint_url=self._settings.endpoint_url, config=self._config())
        return self._watched(client)

    def _watched(self, client: Any) -> Any:  # noqa: ANN401  # As above.
        client.meta.events.register_first("before-send.*.*", self._before_send)
        client.meta.events.register_first("needs-retry.*.*", self._seen)
        return client

    def _config(self) -> Any:  # noqa: ANN401  # botocore is loaded when it is needed.
        from botocore.config import Config

        seconds = self._settings.timeout
        return Config(
            connect_timeout=min(_CONNECT, seconds),
            read_timeout=seconds,
            # It slows down by itself while AWS throttles.
            retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_THREADS,
            user_agent_extra="evaluator",
        )

    def _in_session(self) -> Any:  # noqa: ANN401  # As above.
        """Return the session, made once; the lock is held."""
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> Any:  # noqa: ANN401  # As above.
        loader = described()
        session = session_of(self._settings, loader)
        role = self._settings.role_arn
        return (
            session if role is None else session_in_role(self._settings, role, session, loader, self._sts_of(session))
        )

    def _sts_of(self, session: Any) -> Callable[..., Any]:  # noqa: ANN401  # As above.
        """Return what makes the client with which a role is assumed."""

        def sts(service: str, **keys: Any) -> Any:  # noqa: ANN401  # The signature that botocore calls.
            client = session.client(service, endpoint_url=self._settings.endpoint_url, config=self._config(), **keys)
            before, self._clients["role"] = self._clients.get("role"), self._watched(client)
            if before is not None:
                before.close()
            return client

        return sts

    def _before_send(self, **_: object) -> None:
        """Count a request, and send none that nobody waits for any more."""
        call = getattr(self._here, "call", None)
        if call is not None and time.monotonic() >= call.until:
            raise LateError(call.last)
        with self._counting:
            self.requests += 1

    def _seen(
        self,
        response: "tuple[object, Mapping[str, Any]] | None" = None,
        caught_exception: Exception | None = None,
        operation: object = None,
        **_: object,
    ) -> None:
        """Note how a try went; boto3 decides whether there is another."""
        call = getattr(self._here, "call", None)
        if caught_exception is not None and call is not None and not isinstance(caught_exception, LateError):
            call.last = caught_exception
        if response is not None and (error := response[1].get("Error")):
            from botocore.exceptions import ClientError

            if error.get("Code") in THROTTLES:
                self.throttled += 1
            if call is not None:
                call.last = ClientError({"Error": error}, getattr(operation, "name", "request"))
