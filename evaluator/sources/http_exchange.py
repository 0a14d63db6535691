"""One probe of one target: a new connection, the request, its redirects, and what was seen on the way.

This module knows how to ask with httpx within a deadline and a size, and keeps nothing between probes: no
connection, no cookie. It never judges what it saw.
"""

import asyncio
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import httpx

from evaluator.engine.samples import FailureReason
from evaluator.sources.http_faults import Blame, Fault, ProbeError, fault_of
from evaluator.sources.http_names import Names, is_address, is_local
from evaluator.sources.http_query import HttpTarget
from evaluator.sources.weather import said

_CHUNK = 1 << 16
_EARLIER = 0.95
"""Of the time that is left: when a connection is given up. One that is cancelled amid its handshake stays open for a
while."""
_PACKED = {"gzip": 47, "x-gzip": 47, "deflate": 47}
"""Encodings that are unpacked although none was asked for, and zlib's window bits for them."""


@dataclass(slots=True)
class Seen:
    """What was seen of a target in one probe."""

    status: int | None = None
    """Of the last answer; `None`: there was none."""
    body: bytes = b""
    cut: bool = False
    """Whether the body is longer than what was read of it."""
    took: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase that was reached."""
    certificate: bytes | None = None
    """What the server showed, as DER."""
    fault: Fault | None = None
    """Why there is no whole answer."""
    mismatch: Fault | None = None
    """In what the body is not as the settings expect."""
    resolved: bool = False
    """Whether the DNS knew its name, or that of an address that it sent us to."""
    reached: bool = False
    """Whether another machine than this one answered at all."""
    requests: int = 0


class _CertificateSeenError(Exception):
    """The certificate is known: nothing is sent to a server that is not trusted."""


class Exchange:
    """One probe of one target."""

    def __init__(self, target: HttpTarget, names: Names, *, agent: str, most: int) -> None:
        """Begin nothing yet; `most`: bytes of the body that are read."""
        self.seen = Seen()
        self._target = target
        self._names = names
        self._agent = agent
        self._most = most
        self._proxy = None if target.proxy is None else target.proxy.get_secret_value()
        self._begin = 0.0

    async def run(self, context: SSLContext, until: float) -> None:
        """Ask, follow redirects, and note what is seen; it ends by `until`, an instant of the loop's clock."""
        loop = asyncio.get_running_loop()
        self._begin = loop.time()
        try:
            async with asyncio.timeout_at(until):
                await self._follow(context, until)
            self.seen.took["total"] = loop.time() - self._begin
        except TimeoutError:
            self.seen.fault = Fault(FailureReason.TIMEOUT, "no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ProbeError, zlib.error) as error:
            self.seen.fault = fault_of(error, proxied=self._proxy is not None)

    async def look(self, context: SSLContext, until: float) -> None:
        """Look at the certificate of a server that is not trusted; nothing is sent to it."""
        with suppress(_CertificateSeenError, TimeoutError, httpx.HTTPError, OSError):
            async with asyncio.timeout_at(until):
                url = httpx.URL(self._target.address)
                for address in await self._addresses(url):
                    with suppress(httpx.ConnectError):
                        await self._request(context, "GET", url, address, until, certificate_only=True)

    async def _follow(self, context: SSLContext, until: float) -> None:
        """Ask the target, and wherever it sends us."""
        url, method = httpx.URL(self._target.address), self._target.method
        begin = _origin(url)
        for hop in range(self._target.follow_redirects + 1):
            if self._target.body is not None and method == self._target.method and _origin(url) != begin:
                raise _astray(f"it sends our request with its body on to {said(url.host)}, which is another place")
            response = await self._ask(context, method, url, until)
            location = response.headers.get("Location", "")
            if not response.has_redirect_location or not self._target.follow_redirects:
                return
            method = _method(method, response.status_code)
            try:
                url = url.join(location)
            except httpx.InvalidURL as error:
                raise _astray(f"it sends us to what is no address: {error}") from None
            if url.scheme not in ("http", "https") or not url.host:
                raise _astray("it sends us to what is no HTTP address")
            if hop == self._target.follow_redirects:
                break
        raise _astray(f"it sent us on more than {self._target.follow_redirects} times")

    async def _ask(self, context: SSLContext, method: str, url: httpx.URL, until: float) -> httpx.Response:
        """Send one request to the first address that lets us connect."""
        addresses = await self._addresses_there(url)
        for position, address in enumerate(addresses):
            now = asyncio.get_running_loop().time()
            # What is left is shared by the addresses that are left.
            share = now + (until - now) / (len(addresses) - position)
            try:
                return await self._request(
                    context, method, url, address, share if position + 1 < len(addresses) else until
                )
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if position + 1 == len(addresses):
                    raise
        raise _astray("its name has no address")

    async def _addresses_there(self, url: httpx.URL) -> list[str | None]:
        """Return the addresses to try; where a redirect names what the DNS does not know, say so of that name."""
        try:
            return await self._addresses(url)
        except socket.gaierror as error:
            fault = fault_of(error)
            if fault.blame is not Blame.NAME or url.host == httpx.URL(self._target.address).host:
                raise
            text = f"it sends us to {said(url.host)}, and that name does not resolve"
            raise ProbeError(Fault(fault.reason, text, Blame.TARGET if self.seen.resolved else fault.blame)) from None

    async def _addresses(self, url: httpx.URL) -> list[str | None]:
        """Return the addresses to try; `None` stands for the host that the URL names."""
        if self._target.resolve is not None and url.host == httpx.URL(self._target.address).host:
            return [self._target.resolve]
        if self._proxy is not None or is_address(url.host):
            return [None]
        found: list[str | None] = [*await self._names.addresses(url.raw_host.decode("ascii"))]
        self.seen.resolved = self.seen.resolved or not all(map(is_local, filter(None, found)))
        return found

    async def _request(
        self,
        context: SSLContext,
        method: str,
        url: httpx.URL,
        address: str | None,
        until: float,
        *,
        certificate_only: bool = False,
    ) -> httpx.Response:
        """Send one request on a connection of its own, and read the answer."""
        loop = asyncio.get_running_loop()
        connecting = max(0.001, (until - loop.time()) * _EARLIER)
        trace = _Trace(self.seen, self._begin, address or url.host, self._proxy, certificate_only=certificate_only)
        extensions: dict[str, Any] = {"timeout": {"connect": connecting}, "trace": trace.event}
        if address is not None:
            extensions["sni_hostname"] = url.raw_host.decode("ascii")
        body = self._target.body if method == self._target.method else None
        request = httpx.Request(
            method,
            url if address is None else url.copy_with(host=address),
            headers=self._headers(url),
            content=None if body is None else body.get_secret_value().encode(),
            extensions=extensions,
        )
        self.seen.requests += 1
        self.seen.status = None
        # A transport for each request: nothing is shared, so nothing waits for anything.
        async with httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=self._proxy) as transport:
            with trace.refused():
                response = await transport.handle_async_request(request)
            self.seen.status = response.status_code
            self.seen.took["first_byte"] = loop.time() - self._begin
            try:
                await self._read(response)
            finally:
                await response.aclose()
        return response

    def _headers(self, url: httpx.URL) -> list[tuple[str, str]]:
        """Return the headers; those of the settings may be credentials, which go nowhere but where they are meant."""
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Accept": "*/*",
            # What is packed could be small on the wire and huge here.
            "Accept-Encoding": "identity",
            "User-Agent": self._agent,
            "Connection": "close",
        }
        if _origin(url) == _origin(httpx.URL(self._target.address)):
            given = {name.lower() for name in self._target.headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in given}
            headers |= {name: value.get_secret_value() for name, value in self._target.headers.items()}
        return list(headers.items())

    async def _read(self, response: httpx.Response) -> None:
        """Read the body, but no more of it than is allowed, packed or not."""
        bits = _PACKED.get(response.headers.get("Content-Encoding", "").strip().lower())
        unpack = None if bits is None else zlib.decompressobj(bits)
        body = bytearray()
        self.seen.cut = False
        async for chunk in response.aiter_raw(_CHUNK):
            body += chunk if unpack is None else unpack.decompress(chunk, self._most + 1 - len(body))
            if len(body) > self._most:
                self.seen.cut = True
                break
        self.seen.body = bytes(body[: self._most])


class _Trace:
    """Listens to what httpx does on a connection."""

    def __init__(self, seen: Seen, begin: float, host: str, proxy: str | None, *, certificate_only: bool) -> None:
        """Listen for one request; `proxy` may have a certificate too, which is not the target's."""
        self._seen = seen
        self._handshake = "connection.start_tls.complete" if proxy is None else "proxy.start_tls.complete"
        self._begin = begin
        self._remote = not is_local(host) and host != "localhost"
        self._certificate_only = certificate_only
        self._first = seen.requests == 0 or certificate_only

    async def event(self, name: str, info: Mapping[str, Any]) -> None:
        """Note how long each step took, and the certificate."""
        now = asyncio.get_running_loop().time()
        if name == "connection.connect_tcp.complete":
            self._seen.reached = self._seen.reached or self._remote
            if self._first:
                self._seen.took["connect"] = now - self._begin
        elif name == self._handshake and self._first:
            self._seen.took["tls"] = now - self._begin - self._seen.took.get("connect", 0.0)
            stream = info["return_value"]
            tls = stream.get_extra_info("ssl_object")
            self._seen.certificate = None if tls is None else tls.getpeercert(binary_form=True)
            if self._certificate_only:
                await stream.aclose()
                raise _CertificateSeenError

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Note that a machine which refuses us is there."""
        try:
            yield
        except httpx.ConnectError as error:
            if fault_of(error).text == "nobody listens there":
                self._seen.reached = self._seen.reached or self._remote
            raise


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what must be equal for a credential to be meant for an address."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _method(method: str, status: int) -> str:
    """Return the method with which a redirect is followed, as browsers do it (RFC 9110, 15.4)."""
    if status == 303 or (status in (301, 302) and method == "POST"):
        return "HEAD" if method == "HEAD" else "GET"
    return method


def _astray(text: str) -> ProbeError:
    """Return the end of a probe that was sent elsewhere."""
    return ProbeError(Fault(FailureReason.BAD_ANSWER, text))
