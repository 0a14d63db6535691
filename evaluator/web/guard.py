"""What stands before every endpoint: who may ask, what a browser may do with an answer, and what becomes of a mistake.

This module knows requests and headers. It never knows what an endpoint answers.

Pages in a browser on this machine could otherwise be made to read us by a name that suddenly points to 127.0.0.1 (DNS
rebinding), so what arrives on a loopback address must ask for a loopback name.
"""

import base64
import binascii
import hmac
import ipaddress

import structlog
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evaluator.telemetry.metrics import Metrics

_log = structlog.stdlib.get_logger("evaluator.web")

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes carry no credentials, and learn nothing but whether we are well."""

MOST_REQUESTS = 256
"""Requests that are answered at once, probes aside; an answer is worked out even where nobody waits for it any more."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """The outermost layer of the app: the one place where whatever goes wrong in a request is caught."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, token: SecretStr | None) -> None:
        self._app = app
        self._metrics = metrics
        self._token = token
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._under_way += 1
        try:
            refusal = self._refusal(scope) or self._too_many(scope)
            await (refusal or self._app)(scope, receive, send_guarded)
        except Exception:  # noqa: BLE001  # One request must never take the daemon with it.
            self._metrics.errors.labels("request").inc()
            _log.exception("a request failed", method=scope["method"], path=scope["path"])
            if not started:
                sentence = "the daemon made a mistake in answering this; its log says which"
                await failure(scope["path"], 500, "internal", sentence)(scope, receive, send_guarded)
        finally:
            self._under_way -= 1

    def _too_many(self, scope: Scope) -> Response | None:
        if self._under_way <= MOST_REQUESTS or scope["path"] in OPEN_PATHS:
            return None
        answer = failure(scope["path"], 503, "unavailable", "too many requests are being answered; ask again soon")
        answer.headers["Retry-After"] = "1"
        return answer

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        local = is_loopback(_address(scope))
        # HTTP/1.0 has no Host, and simple load balancers probe with it; no browser leaves it out.
        nameless = path in OPEN_PATHS and "host" not in headers
        if local and not nameless and not _ours(_name(headers.get("host", ""))):
            return failure(
                path, 421, "bad_host", "this is not the host that was asked for; a proxy must send Host: localhost"
            )
        if self._token is None or local or path in OPEN_PATHS:
            return None
        if _carries(headers.get("authorization", ""), self._token):
            return None
        answer = failure(path, 401, "unauthorized", "reading from another machine needs the token of [web]")
        answer.headers["WWW-Authenticate"] = 'Basic realm="evaluator", charset="UTF-8"'
        return answer


def failure(path: str, status: int, kind: str, sentence: str) -> Response:
    """Return an error: in Prometheus' shape under /api, as plain text elsewhere."""
    # What is quoted of a body may have lone surrogates, which no answer can be written with.
    sentence = sentence.encode("utf-8", "replace").decode()
    if path.startswith("/api/"):
        return JSONResponse({"status": "error", "errorType": kind, "error": sentence}, status)
    return PlainTextResponse(f"{sentence}\n", status)


def _address(scope: Scope) -> str:
    """Return the address of ours at which the request arrived; empty where there is none (a Unix socket)."""
    server = scope.get("server")
    return str(server[0]) if server else ""


def _name(host: str) -> str:
    """Return a Host header without its port, IPv6 brackets and a final dot, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if ":" in host else host.rstrip(".")


def _ours(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def is_loopback(address: str) -> bool:
    """Return whether this is an address of loopback, and no name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _carries(authorization: str, token: SecretStr) -> bool:
    """Return whether the header has the token: as a bearer, or as the password of any user, which browsers can send."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return bearer(authorization, token)
    try:
        given = base64.b64decode(value.strip().encode(), validate=True).partition(b":")[2]
    except binascii.Error:
        return False
    return hmac.compare_digest(given, token.get_secret_value().encode())


def bearer(authorization: str, token: SecretStr) -> bool:
    """Return whether the header has the token as a bearer: no browser sends that without being told to."""
    scheme, _, value = authorization.partition(" ")
    same = hmac.compare_digest(value.strip().encode(), token.get_secret_value().encode())
    return same and scheme.lower() == "bearer"
