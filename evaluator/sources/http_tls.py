"""TLS of probes: what is trusted, and when a certificate ends.

This module knows contexts and certificates. It never connects to anything.
"""

import ssl
from pathlib import Path

from cryptography import x509

from evaluator.engine.samples import FailureReason
from evaluator.sources.http_faults import Blame, Fault, ProbeError
from evaluator.sources.http_query import HttpTarget

Trust = tuple[bool, Path | None, Path | None, Path | None]
Stamp = tuple[int, int] | None


class Contexts:
    """A context for each different way of trusting: making one reads all authorities of the system.

    Files that were renewed are read again: client certificates end long before a daemon does.
    """

    def __init__(self) -> None:
        """Read nothing yet."""
        self._made: dict[Trust, tuple[tuple[Stamp, ...], ssl.SSLContext]] = {}

    def of(self, target: HttpTarget, *, trusting: bool = True) -> ssl.SSLContext:
        """Return the context of a target; not `trusting`: one that takes any certificate, to look at it."""
        plain = not target.secure and not target.follow_redirects
        trust = (target.verify and trusting and not plain, target.ca, target.cert, target.key)
        stamps = tuple(_stamp(file) for file in trust[1:])
        made = self._made.get(trust)
        if made is None or made[0] != stamps:
            made = self._made[trust] = stamps, _context(*trust)
        return made[1]


def _stamp(file: Path | None) -> Stamp:
    """Return what tells a file from the one that it replaced; `None`: there is none."""
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_ino)


def _context(verify: bool, ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:  # noqa: FBT001 - a `Trust`.
    """Make a context; `ProbeError` where a file is missing or is no PEM file."""
    name = ca
    try:
        if verify:
            context = ssl.create_default_context(cafile=ca)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if cert is not None:
            name = cert
            context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or "it is no PEM file"
        raise ProbeError(Fault(FailureReason.TLS, f"the file {name} cannot be used: {why}", Blame.OURS)) from None
    return context


def ends(certificate: bytes) -> float | None:
    """Return when a certificate (DER) ends, in seconds since the epoch; `None` where it cannot be read."""
    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except (ValueError, x509.InvalidVersion):
        return None
