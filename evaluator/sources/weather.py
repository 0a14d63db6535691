"""What goes wrong between us and a server, as a reason and a sentence without secrets.

This module knows the exceptions of sockets, names and TLS, and which failures mean that nobody is there. It never
knows a protocol or a library above them.
"""

import errno
import socket
import ssl
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples

_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENOENT})
OURS = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
"""This machine has no way to anywhere, or no port left: that says nothing of the other side."""
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""The DNS has answered that there is none. Anything else means that it has not answered, and that we are blind."""
_DOWN = frozenset({FailureReason.REFUSED, FailureReason.TIMEOUT})
_LONGEST = 300


def root_of(error: BaseException) -> BaseException:
    """Return the first cause of an error that is one of the operating system's, else the error itself.

    Libraries wrap it as `__cause__`, as `__context__`, as a `reason`, or only as an argument.
    """
    return next((each for each in _chain(error, set()) if _is_root(each)), error)


def _is_root(error: BaseException) -> bool:
    """Return whether this is an error of a socket, and not a library's class that merely derives from `OSError`."""
    # anyio raises an OSError that only says that it has tried all addresses; what each said is in its cause.
    if type(error) is OSError and error.errno is None:
        return False
    # requests and urllib3 derive their own errors from OSError and TimeoutError.
    return isinstance(error, OSError) and type(error).__module__ in ("builtins", "socket", "ssl")


def _chain(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Yield the error and everything that it holds, each once."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    inner = (error.__cause__, getattr(error, "reason", None), *error.args, *group, error.__context__)
    for each in inner:
        if isinstance(each, BaseException):
            yield from _chain(each, seen)


def reason_of(error: BaseException) -> tuple[FailureReason, str] | None:
    """Return the reason for an error of the network, and what to say of it; `None`: it is of another kind."""
    root = root_of(error)
    match root:
        case ssl.SSLCertVerificationError():
            return FailureReason.TLS, f"its certificate is not acceptable: {root.verify_message}"
        case ssl.SSLError():
            return (
                FailureReason.TLS,
                f"no TLS connection can be made: {getattr(root, 'reason', None) or 'handshake failed'}",
            )
        case socket.gaierror() if root.errno in _NO_SUCH_NAME:
            return FailureReason.REFUSED, "the name does not resolve"
        case socket.gaierror():
            return FailureReason.UNAVAILABLE, "this machine's resolver has no answer for the name"
        case TimeoutError():
            return FailureReason.TIMEOUT, "no answer in time"
        case ConnectionRefusedError():
            return FailureReason.REFUSED, "nobody listens there"
        case OSError() if root.errno in _UNREACHABLE:
            return FailureReason.REFUSED, (root.strerror or "no route").lower()
        case OSError() if root.errno in OURS:
            return FailureReason.UNAVAILABLE, f"this machine does not get out: {(root.strerror or 'no route').lower()}"
        case ConnectionError():
            return FailureReason.RESET, "the connection broke off"
        case OSError() if _is_root(root) and root.errno is not None:
            return FailureReason.RESET, f"the connection failed: {root.strerror}"
        case _:
            return None


def nobody_there(failed: PollFailed) -> bool:
    """Return whether a failure says that the other side is down: nobody listens, or it is silent."""
    return failed.reason in _DOWN


def up_after(failed: PollFailed) -> PollResult:
    """Return the answer to `up` after a failure: 0 where nobody is there, else that it is unknown."""
    return Samples([{}], [0.0], warnings=(failed.message,)) if nobody_there(failed) else failed


def timed_out(where: str, seconds: float) -> PollFailed:
    """Return the failure of a server that has not answered within its source's timeout."""
    return PollFailed(FailureReason.TIMEOUT, f"{where}: no answer within {seconds:g} s")


def said(text: str, secrets: Iterable[str] = ()) -> str:
    """Return what a server said as one short line, with the secrets that it repeats blotted out."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def place(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    if not parts.hostname:
        return f"{parts.scheme}://{parts.path}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
