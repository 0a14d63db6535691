"""How we talk to a Prometheus-compatible server: prometheus-api-client on a session that keeps its promises.

The package asks and reads; this session adds what it lacks: a deadline for the whole request, a limit on its size,
forms instead of long addresses, no retries, no redirects, and warnings that are not lost. It knows no queries' meaning.
"""

import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager
from urllib3.util.retry import Retry

from evaluator.sources.prometheus_document import Document, decode
from evaluator.sources.prometheus_query import PrometheusSettings

_CHUNK = 1 << 18
_ERROR_SIZE = 1 << 16
"""Bytes that are read of an answer that is not the asked one."""


class TooBigError(Exception):
    """The answer is larger than the settings allow."""


class Call:
    """One request under way, which another thread may break off."""

    def __init__(self, deadline: float, most: int) -> None:
        """Begin; `deadline` is an instant of the monotonic clock, `most` the largest answer in bytes."""
        self.deadline = deadline
        self.most = most
        self.document: Document | None = None
        self.status = 0
        self.body = b""
        self.location = ""
        self._connection: HTTPConnection | None = None
        self._broken = False

    @property
    def late(self) -> bool:
        """Whether there is nothing left to do but to give up."""
        return self._broken or monotonic() >= self.deadline

    def left(self) -> float:
        """Return the seconds until the deadline; `TimeoutError` where there are none."""
        left = self.deadline - monotonic()
        if self._broken or left <= 0:
            raise TimeoutError
        return left

    def uses(self, connection: HTTPConnection) -> None:
        """Note the connection that the request is on."""
        self._connection = connection
        self.left()

    def break_off(self) -> None:
        """Make the thread that waits for this request return, even from a server that sends a byte now and then."""
        self._broken = True
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            try:
                # The plain socket's own method: TLS would be torn down under the feet of the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                # It has ended by itself.
                return


class _Current(threading.local):
    """The call that each thread is at."""

    call: Call


_CURRENT = _Current()


class _Connection(HTTPConnection):
    """A connection that its call knows of."""

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as it is.
        """Send a request."""
        _CURRENT.call.uses(self)
        super().request(*args, **kwargs)


class _SecureConnection(HTTPSConnection):
    """The same with TLS."""

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as it is.
        """Send a request."""
        _CURRENT.call.uses(self)
        super().request(*args, **kwargs)


class _Pool(HTTPConnectionPool):
    """Connections that calls know of."""

    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    """The same with TLS."""

    ConnectionCls = _SecureConnection


_POOLS: Any = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Connections that calls know of, kept alive, never retried."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as it is.
        """Make the pools of our own connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - passed on as it is.
        """Make them for a proxy too."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Build(msgspec.Struct):
    """The body of `/api/v1/status/buildinfo`."""

    data: dict[str, str]


class _Answer(requests.Response):
    """A response whose document is kept whole, while the package takes its part."""

    def json(self, **_: Any) -> Any:  # noqa: ANN401 - the package wants plain dictionaries.
        """Return `{"data": {"result": …}}`, the rows as `Row`."""
        call = _CURRENT.call
        call.document = decode(self.content)
        return {"data": {"result": None if call.document.data is None else call.document.data.result}}


class _Session(requests.Session):
    """The session that prometheus-api-client asks through."""

    def __init__(self, settings: PrometheusSettings) -> None:
        """Take credentials and trust from the settings, and nothing from the environment (.netrc, proxies)."""
        super().__init__()
        self.trust_env = False
        self.verify = str(settings.ca) if settings.ca is not None and settings.verify else settings.verify
        if not settings.verify:
            # Whoever wrote `verify = false` knows; a line of log for each request would help nobody.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if settings.cert is not None:
            self.cert = (str(settings.cert), str(settings.key)) if settings.key is not None else str(settings.cert)
        if settings.proxy is not None:
            self.proxies = dict.fromkeys(("http", "https"), settings.proxy.get_secret_value())
        self.headers["User-Agent"] = "evaluator"
        # Packing costs both ends more than a local connection does.
        local = urlsplit(settings.url).hostname in ("localhost", "127.0.0.1", "::1")
        self.headers["Accept-Encoding"] = "identity" if local else "gzip"
        self.usage = {"requests": 0.0, "bytes": 0.0}
        self._counting = threading.Lock()

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401
        """Send one request and read its answer, all within the call's deadline and the settings' size."""
        call = _CURRENT.call
        # The package puts what is posted into the address, where a long query does not fit.
        options["data"] = options.pop("params", None)
        options["timeout"] = call.left()
        self._count("requests", 1)
        # Credentials would follow to wherever a redirect points.
        raw = super().request(method, url, **options, stream=True, allow_redirects=False)
        try:
            call.status = raw.status_code
            call.location = raw.headers.get("Location", "")
            ok = raw.status_code == requests.codes.ok
            call.body = self._read(raw, call, call.most if ok else _ERROR_SIZE, strict=ok)
        finally:
            raw.close()
        self._count("bytes", len(call.body))
        answer = _Answer()
        answer.status_code = raw.status_code
        answer._content = call.body  # noqa: SLF001 - as requests itself fills a response.
        return answer

    def _count(self, unit: str, used: float) -> None:
        """Add to what was used; threads do so at once."""
        with self._counting:
            self.usage[unit] += used

    @staticmethod
    def _read(raw: requests.Response, call: Call, most: int, *, strict: bool) -> bytes:
        """Return the body; `TooBigError` where it is larger (where not `strict`: only its beginning)."""
        if strict and int(raw.headers.get("Content-Length") or 0) > most:
            raise TooBigError
        parts: list[bytes] = []
        size = 0
        while chunk := raw.raw.read1(_CHUNK, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                if strict:
                    raise TooBigError
                break
            call.left()
        # Nothing more to read is no error for `read1`, even in the middle of an answer.
        if raw.raw.length_remaining and size <= most:
            raise ConnectionResetError
        return b"".join(parts)


class Connection(PrometheusConnect):  # type: ignore[misc]  # The package has no types.
    """One server, asked through prometheus-api-client. Threads may share it."""

    def __init__(self, settings: PrometheusSettings) -> None:
        """Connect to nothing yet."""
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        auth: tuple[bytes, bytes] | None = None
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        elif settings.username is not None and settings.password is not None:
            auth = (settings.username.encode(), settings.password.get_secret_value().encode())
        session = _Session(settings)
        self.usage = session.usage
        """What was used so far: requests, and bytes of answers, unpacked."""
        super().__init__(url=settings.url, headers=headers, auth=auth, session=session, retry=Retry(0), method="POST")
        # The package has mounted an adapter of its own.
        session.mount(
            settings.url, _Adapter(pool_connections=1, pool_maxsize=settings.max_concurrency + 1, max_retries=0)
        )

    def instant(self, call: Call, query: str, at: float) -> Document:
        """Return what the query is at an instant; whatever it raises, the call says what came instead."""
        params = {"time": _written(at), "timeout": _written(call.left())}
        return self._ask(call, lambda: self.custom_query(query, params=params))

    def range(self, call: Call, query: str, start: float, end: float, step: float) -> Document:
        """Return what the query is at `start`, `start + step`, ... up to `end`."""
        # The package rounds both ends to seconds; what is in `params` goes before that.
        params = {"start": _written(start), "end": _written(end), "timeout": _written(call.left())}
        # VictoriaMetrics would answer at other instants, and others do not mind
        # (https://docs.victoriametrics.com/victoriametrics/keyconcepts/#range-query).
        params["nocache"] = "1"
        ends = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        return self._ask(call, lambda: self.custom_query_range(query, *ends, _written(step), params=params))

    def build(self, call: Call) -> Mapping[str, str]:
        """Return what the server says of itself (`version`, ...); not every compatible server says anything."""
        _CURRENT.call = call
        try:
            address = f"{self.url}/api/v1/status/buildinfo"
            answer = self._session.request("GET", address, headers=self.headers, auth=self.auth)
        finally:
            del _CURRENT.call
        return msgspec.json.decode(answer.content, type=_Build).data

    @staticmethod
    def _ask(call: Call, ask: Callable[[], object]) -> Document:
        """Let the package ask, and return the whole document that it took its part of."""
        _CURRENT.call = call
        try:
            ask()
        finally:
            # A thread that waits for its next call must not keep the last answer alive.
            del _CURRENT.call
        if call.document is None:
            raise msgspec.DecodeError("no document")
        return call.document


def _written(seconds: float) -> str:
    """Return seconds as the API takes them: to the millisecond, as it counts."""
    return f"{seconds:.3f}"
