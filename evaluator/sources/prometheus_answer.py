"""What an answer of a Prometheus-compatible server means: samples, or the reason why there are none.

This module knows documents and errors as values. It never talks to a server.
"""

import http.client
from array import array
from collections.abc import Sequence

import msgspec
import requests
import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.prometheus_document import Document, Matrix, Scalar, Text, Vector, decode
from evaluator.sources.prometheus_http import Call, TooBigError
from evaluator.sources.weather import reason_of, said

WEATHER = (
    PrometheusApiClientException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    msgspec.DecodeError,
    TooBigError,
    OSError,
    ValueError,
)
"""What asking raises when it is not our mistake; `ValueError`: numbers and texts that are none."""
_LATE = ("timeout", "timed out", "deadline exceeded", "canceled")
"""Prometheus answers 422 or 503 with one of these words where a query took too long."""
_HISTOGRAM = "the query gives native histograms: take a number of them, with histogram_quantile() or histogram_count()"
_OFF = 0.002
"""Seconds by which an instant of a range may be another than was asked: the API counts milliseconds."""
_MOVED = (
    "the server answers a range at other instants than were asked, so that the past cannot be judged: switch off its "
    "alignment to the step (Mimir, Thanos and Cortex: align_queries_with_step of the query frontend)"
)


def samples_of(document: Document) -> PollResult:
    """Return the samples of an instant query, in columns; no object is made for a row."""
    if document.status != "success":
        return _complaint(document)
    warnings = (*document.warnings, *document.infos)
    match document.data:
        case Vector(result=result):
            values = array("d")
            for row in result:
                if row.value is None:
                    return PollFailed(FailureReason.BAD_QUERY, _HISTOGRAM)
                values.append(float(row.value[1]))
            return Samples([row.metric for row in result], values, warnings=warnings)
        case Scalar(result=(_, text)):
            return Samples([{}], [float(text)], warnings=warnings)
        case Matrix():
            message = "the query gives a range of samples: put a function around it, such as rate() or max_over_time()"
            return PollFailed(FailureReason.BAD_QUERY, message)
        case Text():
            return PollFailed(FailureReason.BAD_QUERY, "the query gives a text, not a number")
        case None:
            return PollFailed(FailureReason.BAD_ANSWER, "the answer has no data")


def history_of(document: Document, instants: Sequence[float], step: float) -> list[PollResult]:
    """Return what an instant query would have answered at each of these instants, which are `step` apart."""
    if document.status != "success" or not isinstance(document.data, Matrix):
        failed = _complaint(document) if document.status != "success" else None
        return [failed or PollFailed(FailureReason.BAD_ANSWER, "the answer is no range")] * len(instants)
    labels: list[list[dict[str, str]]] = [[] for _ in instants]
    values = [array("d") for _ in instants]
    for row in document.data.result:
        if row.histograms is not None:
            return [PollFailed(FailureReason.BAD_QUERY, _HISTOGRAM)] * len(instants)
        for at, text in row.values:
            index = round((at - instants[0]) / step)
            if not 0 <= index < len(instants) or abs(at - instants[index]) > _OFF:
                return [PollFailed(FailureReason.BAD_ANSWER, _MOVED)] * len(instants)
            labels[index].append(row.metric)
            values[index].append(float(text))
    warnings = (*document.warnings, *document.infos)
    return [Samples(each, numbers, warnings=warnings) for each, numbers in zip(labels, values, strict=True)]


def failure_of(call: Call, error: Exception, where: str, seconds: float, secrets: Sequence[str]) -> PollFailed:
    """Return why a request brought no document."""
    known = reason_of(error)
    if isinstance(error, TooBigError):
        reason, what = FailureReason.TOO_BIG, f"the answer is larger than max_size ({call.most / 1e6:g} MB)"
    elif known is not None:
        reason, what = known
        if reason is FailureReason.TIMEOUT:
            what = f"no answer within {seconds:g} s"
    elif isinstance(error, msgspec.DecodeError | UnicodeDecodeError | ValueError) and call.status == OK:
        reason, what = FailureReason.BAD_ANSWER, _not_json(call, error)
    elif call.status and call.status != OK:
        return _refusal(call, where, secrets)
    else:
        reason, what = FailureReason.RESET, "the connection broke off"
    return PollFailed(reason, f"{where}: {what}")


OK = 200
_MEANINGS = {
    401: (FailureReason.AUTH, "it wants other credentials"),
    403: (FailureReason.AUTH, "our credentials do not allow this"),
    404: (FailureReason.BAD_ANSWER, "there is no /api/v1/query: `url` must be where the server's API begins"),
    407: (FailureReason.AUTH, "the proxy wants credentials"),
    408: (FailureReason.TIMEOUT, "the request took too long"),
    413: (FailureReason.BAD_QUERY, "the query is too long for this server"),
    429: (FailureReason.RATE_LIMITED, "it asks us to come back later"),
    504: (FailureReason.TIMEOUT, "the server behind it took too long"),
}


def _refusal(call: Call, where: str, secrets: Sequence[str]) -> PollFailed:
    """Return what a status other than 200 means."""
    document = _document(call.body)
    if document is not None and document.error and call.status not in (401, 403, 429):
        complaint = _complaint(document)
        reason = complaint.reason
        if call.status >= 500 and reason is not FailureReason.TIMEOUT:
            reason = FailureReason.UNAVAILABLE
        return PollFailed(reason, f"{where}: {said(complaint.message, secrets)}")
    if call.status in _MEANINGS:
        reason, what = _MEANINGS[call.status]
    elif 300 <= call.status < 400:
        reason, what = (
            FailureReason.BAD_ANSWER,
            f"it sends us elsewhere ({said(call.location.partition('?')[0], secrets)})",
        )
    elif call.status >= 500:
        reason, what = FailureReason.UNAVAILABLE, "it cannot answer now"
    else:
        reason, what = FailureReason.BAD_ANSWER, "it does not understand us"
    text = "" if _is_html(call.body) else said(call.body.decode("utf-8", "replace"), secrets)
    return PollFailed(reason, f"{where}: HTTP {call.status}, {what}" + (f": {text}" if text else ""))


def _complaint(document: Document) -> PollFailed:
    """Return what the server's own words mean."""
    text = said(document.error or "the answer is an error without a word")
    kind = document.errorType
    if kind in ("timeout", "canceled") or any(word in document.error for word in _LATE):
        return PollFailed(FailureReason.TIMEOUT, f"the query took too long: {text}")
    if kind in ("unavailable", "internal"):
        return PollFailed(FailureReason.UNAVAILABLE, text)
    return PollFailed(FailureReason.BAD_QUERY, text)


def _document(body: bytes) -> Document | None:
    """Return the document of an error, or `None`."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_html(body: bytes) -> bool:
    """Return whether this is a web page."""
    start = body[:256].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def _not_json(call: Call, error: Exception) -> str:
    """Return what to say of a body that is not what the API promises."""
    if _is_html(call.body):
        return "it answers with a web page: `url` must be where the server's API begins"
    if not call.body:
        return "the answer is empty"
    if isinstance(error, UnicodeDecodeError) or "surrogate" in str(error):
        return "a label's value in the answer is not valid Unicode: whoever exports that series must mend it"
    return f"the answer is not what the API promises ({len(call.body)} bytes that begin {call.body[:40]!r})"
