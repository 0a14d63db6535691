"""What went wrong with a request to a vendor's API, as a reason and words for a person.

This module knows HTTP's errors and statuses, and where vendors put their words. It never sends anything.
"""

from collections.abc import Sequence
from difflib import get_close_matches

import httpx
import msgspec

from evaluator.engine.samples import FailureReason
from evaluator.sources.weather import reason_of, said


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint with the names that are most like this one, or with how many there are to choose from."""
    close = get_close_matches(name, known, 3, 0.6)
    if close:
        return said(f"; did you mean {' or '.join(close)}?")
    return said(f"; there are {len(known)}: {', '.join(sorted(known)[:10])}") if known else "; there are none"


def reason_of_error(error: Exception) -> tuple[FailureReason, str]:
    """Return what an error of the connection means."""
    known = reason_of(_root(error))
    if known is not None:
        return known
    text = str(error)
    if isinstance(error, httpx.RemoteProtocolError) and not ("disconnected" in text or "complete" in text):
        return FailureReason.BAD_ANSWER, "it does not speak HTTP"
    if isinstance(error, httpx.DecodingError):
        return FailureReason.BAD_ANSWER, "the answer cannot be unpacked"
    return FailureReason.RESET, "the connection broke off"


def _root(error: BaseException) -> BaseException:
    """Return the error of the operating system. anyio hides it in a group, or behind an `OSError` without a number."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError) and each.errno is not None:
            return each
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        waiting += [one for one in (each.__cause__, each.__context__, *inner) if one is not None]
    return error


def reason_of_status(response: httpx.Response, body: bytes, needs: str) -> tuple[FailureReason, str]:
    """Return what a status other than 200 means."""
    status, words = response.status_code, complaint(body)
    told = f": {words}" if words else ""
    match status:
        case 401:
            return FailureReason.AUTH, f"it does not accept our token (401){told}"
        case 403:
            return FailureReason.AUTH, f"our token may not do this (403){f'; it needs {needs}' if needs else ''}{told}"
        case 408:
            return FailureReason.TIMEOUT, "the request took too long (408)"
        case 400 | 404 | 410 | 422:
            return FailureReason.BAD_QUERY, f"it cannot answer this ({status}){told}"
        case _ if status >= 500:
            return FailureReason.UNAVAILABLE, f"it cannot answer now ({status})"
        case _ if 300 <= status < 400:
            target = response.headers.get("Location", "").partition("?")[0]
            return FailureReason.BAD_ANSWER, f"it sends us elsewhere ({target}); set `url` to where the API is"
        case _:
            return FailureReason.BAD_ANSWER, f"it answers {status}{told}"


def complaint(body: bytes) -> str:
    """Return the words of an error: `detail`, `message` or `error`, texts or objects of such."""
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for _ in range(4):
        if isinstance(found, dict):
            found = next((found[key] for key in ("detail", "message", "error") if found.get(key)), "")
        elif isinstance(found, list):
            found = "; ".join(each for each in found if isinstance(each, str))
    return found if isinstance(found, str) else ""
