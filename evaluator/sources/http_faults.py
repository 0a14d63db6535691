"""Why a probe brought no answer, and whose fault that may be.

This module knows exceptions. It never sends a request, and never decides what a rule sees: `http_measures` does.
"""

import errno
import socket
import ssl
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

import httpx

from evaluator.engine.samples import FailureReason
from evaluator.sources.weather import reason_of, said

_ALWAYS_OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EPERM, errno.EACCES}
)
"""This machine is out of something, or does not let us connect."""
_NO_NETWORK = frozenset({errno.ENETUNREACH, errno.ENETDOWN})
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""The DNS has answered that there is none. Anything else means that it has not answered."""


class Blame(Enum):
    """Whose fault it may be that there is no answer."""

    TARGET = auto()
    """The target's: it is down."""
    NAME = auto()
    """The target's, whose name is not known; where no name at all is known, perhaps our resolver's."""
    NAMES = auto()
    """The resolver does not answer; where it answers for another target, it is this target's."""
    NETWORK = auto()
    """There is no way to it; where there is a way to another target, it is this target's."""
    OURS = auto()
    """Ours: nothing is known of the target."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer."""

    reason: FailureReason
    text: str
    """What happened, without the address and without a secret."""
    blame: Blame = Blame.TARGET


class ProbeError(Exception):
    """A probe ends, and this is why."""

    def __init__(self, fault: Fault) -> None:
        """Keep the fault."""
        super().__init__(fault.text)
        self.fault = fault


def fault_of(error: Exception, *, proxied: bool = False) -> Fault:
    """Return what an exception of httpx, a socket, TLS or the resolver means. `proxied`: the way there is a proxy's."""
    root = _root(error)
    number = getattr(root, "errno", None)
    known = reason_of(root)
    if isinstance(error, ProbeError):
        fault = error.fault
    elif isinstance(root, socket.gaierror):
        blame = Blame.NAME if number in _NO_SUCH_NAME else Blame.NAMES
        text = "the name does not resolve" if blame is Blame.NAME else "the resolver has no answer for its name"
        fault = Fault(FailureReason.REFUSED, text, blame)
    elif isinstance(error, httpx.ProxyError):
        theirs = str(error).startswith(("502", "503", "504"))
        text = f"the proxy does not connect us: {said(str(error))}"
        return Fault(FailureReason.UNAVAILABLE, text, Blame.TARGET if theirs else Blame.OURS)
    elif isinstance(error, httpx.TimeoutException):
        fault = Fault(FailureReason.TIMEOUT, "no answer in time")
    elif isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Fault(FailureReason.BAD_QUERY, f"the request cannot be sent: {said(str(error))}", Blame.OURS)
    elif isinstance(error, zlib.error):
        fault = Fault(FailureReason.BAD_ANSWER, "its body is not packed as its Content-Encoding says")
    elif isinstance(error, httpx.RemoteProtocolError) and "without sending" not in str(error):
        fault = Fault(FailureReason.BAD_ANSWER, f"the answer is not HTTP: {said(str(error))}")
    elif known is not None:
        fault = Fault(*known, _blame(number, root))
    else:
        fault = Fault(FailureReason.RESET, "the connection broke off")
    if proxied and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not isinstance(root, ssl.SSLError):
        return Fault(fault.reason, f"the proxy is not reached: {fault.text}", Blame.OURS)
    return fault


def _blame(number: int | None, root: BaseException) -> Blame:
    """Return whose fault an error of the operating system is. OpenSSL counts errors of its own."""
    if isinstance(root, ssl.SSLError):
        return Blame.TARGET
    return Blame.OURS if number in _ALWAYS_OURS else Blame.NETWORK if number in _NO_NETWORK else Blame.TARGET


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error with a number that httpx has wrapped, else the error itself."""
    return next((each for each in _causes(error) if isinstance(each, OSError) and each.errno is not None), error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what brought it about."""
    inner: BaseException | None = error
    seen: set[int] = set()
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__
