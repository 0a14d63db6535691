"""Asking a vendor's JSON API: one client a source, one `Round` a poll, whatever the other side does.

It knows the weather of HTTP, deadlines, sizes, credentials that must not leave, and limits that must be kept. It never
knows a vendor's paths or shapes, never retries, and never follows a redirect: the token would go with it.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.api_limits import Budget, Gates, instant, told_to_wait, used_up
from evaluator.sources.api_refusals import reason_of_error, reason_of_status
from evaluator.sources.api_settings import ApiSettings, Terms
from evaluator.sources.weather import said, timed_out, up_after

T = TypeVar("T")
Params = Sequence[tuple[str, str]]

KEPT_ALIVE = 15.0
"""Seconds that an idle connection is used again: one that a balancer cut meanwhile would spoil a poll."""
TOLERATED_SKEW = 10.0
"""Seconds that our clock may differ from the vendor's before theirs counts (HTTP dates have whole seconds)."""
MOST_JUMP = 60.0
"""Seconds that a clock may move between two polls; more, and a window was asked for that is not the one meant."""
_ERROR_SIZE = 1 << 16
_GZIP = 47
"""zlib's window bits for gzip: https://docs.python.org/3/library/zlib.html#zlib.decompressobj"""


class AskError(Exception):
    """A request brought no answer; it carries what the queries that needed it are told."""

    def __init__(self, failed: PollFailed) -> None:
        """Carry the failure."""
        super().__init__(failed.message)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A good answer."""

    document: T
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By lower-case name."""


class ApiClient:
    """A client for one vendor and one credential."""

    def __init__(self, terms: Terms, settings: ApiSettings) -> None:
        """Connect to nothing yet."""
        self.terms = terms
        self.settings = settings
        self.skew: float | None = None
        """Seconds that the vendor's clock is ahead of ours; `None`: not known yet."""
        self.limits: Mapping[str, str] = {}
        """The headers of the last answer that tell of limits."""
        self._budget = Budget(terms.most, terms.seconds)
        self._gates = Gates()
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._http: httpx.AsyncClient | None = None
        self._broken = ""
        self._requests = 0
        self._throttled = 0

    async def open(self) -> None:
        """Make the client, which connects when it is asked."""
        settings, terms = self.settings, self.terms
        try:
            trust: ssl.SSLContext | bool = True
            if settings.ca is not None:
                trust = ssl.create_default_context(cafile=str(settings.ca))
        except OSError as error:
            # `ssl.SSLError`, for a file that holds no certificate, is one of them.
            self._broken = f"the file {settings.ca} (`ca`) cannot be used: {error.strerror or 'no certificate in it'}"
            return
        self._broken = ""
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._http = httpx.AsyncClient(
            verify=trust,
            # A connection that is cancelled amid its handshake is only closed by the garbage collector, so its own
            # timeout comes a little before the deadline.
            timeout=httpx.Timeout(settings.timeout, connect=settings.timeout * 0.8),
            limits=httpx.Limits(max_connections=terms.concurrency, keepalive_expiry=KEPT_ALIVE),
            follow_redirects=False,
            headers={"User-Agent": "evaluator", "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

    async def close(self) -> None:
        """Close all connections; also fine if it was never opened."""
        client, self._http = self._http, None
        if client is not None:
            await client.aclose()

    def usage(self) -> dict[str, float]:
        """Return how many requests were sent, and how many were refused with 429."""
        return {"requests": float(self._requests), "throttled": float(self._throttled)}

    def spare(self) -> int:
        """Return how many requests our budget allows at once."""
        return self._budget.left(asyncio.get_running_loop().time())

    def theirs(self, now: float) -> float:
        """Return what the vendor's clock shows at `now`, where it differs from ours by more than a little."""
        return now if self.skew is None or abs(self.skew) <= TOLERATED_SKEW else now + self.skew

    def clock_warning(self) -> tuple[str, ...]:
        """Return what to say of our clock where it is wrong by a minute or more."""
        if self.skew is None or abs(self.skew) < 60:
            return ()
        side = "behind" if self.skew > 0 else "ahead of"
        return (f"our clock is {abs(self.skew):.0f} s {side} that of {self.terms.name}, whose clock counts here",)

    async def turn(self, lane: str) -> None:
        """Wait until our budget and the vendor allow a request; `AskError` where that is not within sight."""
        loop = asyncio.get_running_loop()
        while True:
            told, own = self._gates.left(lane, loop.time()), self._budget.delay(loop.time())
            delay = max(told, own)
            if delay <= 0:
                break
            if delay > self.settings.timeout / 2:
                most = f"our budget of {self._budget.most} requests in {self._budget.seconds:g} s is used up"
                why = most if own >= told else "it told us to wait"
                raise self.failure(FailureReason.RATE_LIMITED, f"not asked, since {why}; {delay:.0f} s are left")
            await asyncio.sleep(delay)
        self._budget.take(loop.time())

    async def send(self, method: str, path: str, params: Params) -> tuple[httpx.Response, bytes]:
        """Send one request and read its answer up to the largest size."""
        if self._broken:
            raise self.failure(FailureReason.TLS, self._broken)
        if self._http is None:
            raise self.failure(FailureReason.REFUSED, "the source is closed")
        self._requests += 1
        form = httpx.QueryParams(list(params))
        given: dict[str, Any] = {"data": dict(params)} if method == "POST" else {"params": form} if params else {}
        request = self._http.stream(method, self.terms.base + path, headers=dict(self.terms.headers), **given)
        async with request as response:
            ok = response.status_code == 200
            most = self.settings.max_size if ok else _ERROR_SIZE
            body = bytearray()
            unpack = zlib.decompressobj(_GZIP) if response.headers.get("Content-Encoding") == "gzip" else None
            async for piece in response.aiter_raw(1 << 16):
                try:
                    # No further than the largest size: a small answer can unpack to gigabytes.
                    body += piece if unpack is None else unpack.decompress(piece, most + 1 - len(body))
                except zlib.error:
                    raise self.failure(FailureReason.BAD_ANSWER, "the answer is no gzip as it says") from None
                if len(body) > most:
                    if ok:
                        text = f"the answer is larger than max_size ({most / 1e6:g} MB)"
                        raise self.failure(FailureReason.TOO_BIG, text)
                    break
            return response, bytes(body)

    def heard(self, response: httpx.Response, lane: str, round_: "Round") -> Mapping[str, str]:
        """Note what the head of an answer says of clocks and limits, and return it."""
        at = asyncio.get_running_loop().time()
        headers = {name.lower(): value for name, value in response.headers.items()}
        theirs = instant(headers.get("date", ""))
        if theirs is not None and round_.live:
            self.skew = theirs - round_.time
        self.limits = {name: value for name, value in headers.items() if "rate" in name and "limit" in name}
        if response.status_code == 429:
            self._throttled += 1
            wait = self._gates.refused(lane, at, told_to_wait(headers, round_.time, self.terms.resets))
            text = f"it asks us to come back later (429); it is not asked again for {wait:.0f} s"
            raise self.failure(FailureReason.RATE_LIMITED, text)
        self._gates.answered(lane)
        if self.terms.remaining and used_up(headers, self.terms.remaining):
            self._gates.pause(lane, at, told_to_wait(headers, round_.time, self.terms.resets) or 0.0)
        return headers

    def failure(self, reason: FailureReason, what: str) -> AskError:
        """Return an error for one request, without secrets."""
        return AskError(PollFailed(reason, f"{self.terms.name}: {said(what, self.terms.secrets)}"))


class Round:
    """One poll: its slot, its deadline, and what became of its requests."""

    def __init__(self, client: ApiClient, now: float, *, live: bool = True) -> None:
        """Begin; `now` is the slot. Where it is not `live` (the past is asked), the clocks are not compared."""
        self._client = client
        self._began = asyncio.get_running_loop().time()
        self._now = now
        self.live = live
        self.deadline = self._began + client.settings.timeout
        self.answered = 0
        """Requests that were answered well."""
        self.failed: PollFailed | None = None
        """The first failure."""
        self._ahead = 0.0

    @property
    def time(self) -> float:
        """What our clock shows, as far as the slot can tell."""
        return self._now + asyncio.get_running_loop().time() - self._began

    def theirs(self) -> float:
        """Return what the vendor's clock shows, as far as its answers told until now."""
        ours = self.time
        theirs = self._client.theirs(ours)
        self._ahead = theirs - ours
        return theirs

    def jumped(self) -> PollFailed | None:
        """Return why what was asked since `theirs` is no answer: our clock turned out to be another than it was.

        After a machine was woken up its clock may be hours behind: nothing happened in the hour that it takes for now.
        """
        ours = self.time
        off = abs(self._client.theirs(ours) - ours - self._ahead)
        if off <= MOST_JUMP:
            return None
        text = f"our clock has jumped by {off:.0f} s, so that another time was asked about"
        return self._client.failure(FailureReason.UNAVAILABLE, text).failed

    @asynccontextmanager
    async def holding(self, turn: asyncio.Lock) -> AsyncIterator[None]:
        """Hold what one poll at a time may use; `AskError` where it does not become free within the deadline."""
        try:
            async with asyncio.timeout_at(self.deadline):
                await turn.acquire()
        except TimeoutError:
            raise AskError(timed_out(self._client.terms.name, self._client.settings.timeout)) from None
        try:
            yield
        finally:
            turn.release()

    async def get(self, path: str, params: Params, into: type[T], *, needs: str = "", lane: str = "") -> Page[T]:
        """Return the answer to a GET, or raise `AskError`. `needs`: the permission, as the vendor calls it."""
        return await self._ask("GET", path, params, into, needs, lane)

    async def post(self, path: str, params: Params, into: type[T], *, needs: str = "", lane: str = "") -> Page[T]:
        """Return the answer to a form that is posted."""
        return await self._ask("POST", path, params, into, needs, lane)

    async def _ask(self, method: str, path: str, params: Params, into: type[T], needs: str, lane: str) -> Page[T]:
        try:
            page = await self._within_deadline(method, path, params, into, needs, lane)
        except AskError as error:
            self.failed = self.failed or error.failed
            raise
        self.answered += 1
        return page

    async def _within_deadline(
        self, method: str, path: str, params: Params, into: type[T], needs: str, lane: str
    ) -> Page[T]:
        client = self._client
        try:
            async with asyncio.timeout_at(self.deadline), client._slots:  # noqa: SLF001 - the client's own half.
                await client.turn(lane)
                response, body = await client.send(method, path, params)
                headers = client.heard(response, lane, self)
        except (TimeoutError, httpx.TimeoutException):
            raise AskError(timed_out(client.terms.name, client.settings.timeout)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise client.failure(*reason_of_error(error)) from None
        if response.status_code != 200:
            raise client.failure(*reason_of_status(response, body, needs))
        try:
            return Page(msgspec.json.decode(body, type=into), headers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"the answer is not what the API promises: {error} ({len(body)} bytes that begin {body[:40]!r})"
            raise client.failure(FailureReason.BAD_ANSWER, text) from None

    def up(self) -> PollResult:
        """Return the answer to `up`: 1 where anything was answered, 0 where nobody is there, else why that is open."""
        return Samples([{}], [1.0]) if self.answered or self.failed is None else up_after(self.failed)
