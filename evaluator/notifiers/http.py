"""One HTTP request to a receiver, and what became of it.

This module knows the weather of HTTP: what may have arrived, what is worth another try, what a person must mend. It
never knows a vendor's shapes, and never retries. Whatever the other side does, it ends within the notifier's timeout.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isnan
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import Field

from evaluator.incidents.deliveries import Refused, RetryLater
from evaluator.notifiers.fields import Authorities, Strict, Timeout
from evaluator.notifiers.shortening import one_line, shorten
from evaluator.telemetry.redaction import HIDDEN, redact_text

LARGEST_ANSWER = 64 * 1024
"""Bytes that are read of an answer; the rest would not be shown to anybody."""
LONGEST_WAIT = 300.0
"""Seconds that a Retry-After is believed: a page must not wait for a receiver's mistake."""
LONGEST_ERROR = 500
"""Characters of the receiver's own words in a message."""

_REASONS = {400: "bad_request", 401: "auth", 403: "auth", 404: "not_found", 410: "not_found", 413: "too_big"}
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


class HttpSettings(Strict):
    """The settings that every notifier has which speaks HTTP. Proxies come from `HTTPS_PROXY` and `NO_PROXY`."""

    # The schema shows the default as it is written, the model keeps seconds.
    timeout: Timeout = Field(default=10.0, json_schema_extra={"default": "10s"})
    """Seconds for a whole request: name, connection, sending, and the answer to its last byte."""
    ca: Authorities | None = None
    """PEM file of the authorities to trust instead of the usual ones."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said, in HTTP's terms."""

    status: int
    body: bytes = b""
    """At most `LARGEST_ANSWER`; shorter than what was sent where the answer broke off or took too long."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By lower-case name."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty where it is anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class HttpSender:
    """A client for one receiver. `secrets` given with a request never appear in what comes back from here."""

    def __init__(self, settings: HttpSettings, agent: str = "evaluator") -> None:
        self._settings = settings
        self._agent = agent
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the client. It talks to nobody yet."""
        if self._client is None:
            ca = self._settings.ca
            self._client = httpx.AsyncClient(
                verify=True if ca is None else ssl.create_default_context(cafile=str(ca)),
                # A connection that is cancelled amid its handshake is only closed by the garbage collector, so its own
                # timeout comes a little before the deadline.
                timeout=httpx.Timeout(self._settings.timeout, connect=self._settings.timeout * 0.8),
                follow_redirects=False,
                # Compressed answers could be small on the wire and huge here.
                headers={"User-Agent": self._agent, "Accept-Encoding": "identity"},
            )

    async def close(self) -> None:
        """Close all connections; also fine if it was never opened."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def post(
        self, url: str, content: bytes, *, headers: Mapping[str, str], secrets: Sequence[str] = ()
    ) -> Answer | RetryLater:
        """Send the bytes once; return the answer, or why there is none.

        The status line is the answer: a body that then breaks off or drips past the deadline is cut, not waited for.
        """
        if self._client is None:
            raise RuntimeError("open() comes before post()")
        attempt = _Attempt(secrets)
        try:
            async with asyncio.timeout(self._settings.timeout):
                request = self._client.stream(
                    "POST", url, content=content, headers=dict(headers), extensions={"trace": attempt.trace}
                )
                async with request as response:
                    attempt.status, attempt.headers = response.status_code, dict(response.headers)
                    async for piece in response.aiter_raw(8192):
                        attempt.body += piece
                        if len(attempt.body) >= LARGEST_ANSWER:
                            break
        except (TimeoutError, httpx.TimeoutException):
            return attempt.ended("timeout", f"no answer within {self._settings.timeout:g} s", url)
        except httpx.RequestError as error:
            return attempt.ended(_weather(error), str(error) or type(error).__name__, url)
        return Answer(attempt.status, bytes(attempt.body[:LARGEST_ANSWER]), attempt.headers)


class _Attempt:
    """How far one request came."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self._secrets = secrets
        self._sending = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note the moment from which something of the request may be at the receiver.

        https://www.encode.io/httpcore/extensions/#trace. A proxy's CONNECT is not the request.
        """
        request = info.get("request")
        if event.endswith(".send_request_headers.started") and getattr(request, "method", b"") != b"CONNECT":
            self._sending = True

    def ended(self, reason: str, message: str, url: str) -> Answer | RetryLater:
        """Return what is known after the connection failed or the time was up."""
        if self.status:
            return Answer(self.status, bytes(self.body[:LARGEST_ANSWER]), self.headers)
        text = f"{urlsplit(url).hostname}: {hide(one_line(message), self._secrets)}"
        return RetryLater(reason, shorten(text, LONGEST_ERROR), arrived=self._sending)


def _weather(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.ProxyError):
        return "proxy"
    if isinstance(error, httpx.ConnectError):
        return "tls" if "SSL" in str(error).upper() or "CERTIFICATE" in str(error).upper() else "refused"
    return "reset"


def judge(answer: Answer, receiver: str, now: float, secrets: Sequence[str] = ()) -> RetryLater | Refused | None:
    """Return what a status other than success means, with the receiver's own words; `None` for 2xx.

    408, 429 and 5xx are weather. Of these only 429 says that nothing was taken. A redirect is refused: following it
    would hand the message, and the secret in it, to somebody else.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    said = hide(words(answer), secrets)
    text = shorten(f"{receiver} answered {status}" + (f": {said}" if said else ""), LONGEST_ERROR)
    if status == 429:
        return RetryLater("rate_limited", text, after=retry_after(answer, now), arrived=False)
    if status == 408:
        return RetryLater("timeout", text, after=retry_after(answer, now))
    if status >= 500:
        return RetryLater("server_error", text, after=retry_after(answer, now))
    if 300 <= status < 400:
        place = hide(one_line(answer.headers.get("location", "")), secrets)
        return Refused("redirect", shorten(f"{receiver} answered {status}: it has moved to {place}", LONGEST_ERROR))
    return Refused(_REASONS.get(status, "client_error"), text)


def retry_after(answer: Answer, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, from 0 to `LONGEST_WAIT`; `None` where it asks for nothing clear.

    A date is taken against the receiver's own Date, so that neither clock needs to be right.
    """
    asked = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(asked)
    except ValueError:
        due, said = _date(asked), _date(answer.headers.get("date", ""))
        if due is None:
            return None
        seconds = due - (now if said is None else said)
    return None if isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)


def _date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def words(answer: Answer) -> str:
    """Return what the receiver says about an error, in one line: JSON's usual fields, HTML's title, or the text."""
    fields = answer.fields
    if fields:
        parts = [
            text for name in ("status", "message", "error", "errors", "detail") for text in _texts(fields.get(name))
        ]
        return one_line(" - ".join(dict.fromkeys(parts)))
    text = answer.body.decode("utf-8", "replace")
    title = _TITLE.search(text)
    return one_line(title.group(1) if title else text)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for item in value[:20] for text in _texts(item)]
    if isinstance(value, dict):
        return [text for item in list(value.values())[:20] for text in _texts(item)]
    return []


def hide(text: str, secrets: Sequence[str]) -> str:
    """Return the text, cut to what is shown of one, without these secrets and without what else looks like one."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")} - {""}:
            text = re.sub(re.escape(form), HIDDEN, text, flags=re.IGNORECASE)
    # Looking for what merely looks like a secret takes time that grows with the square of a long word.
    return redact_text(text[: 2 * LONGEST_ERROR])
