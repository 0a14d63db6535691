"""What goes wrong between us and AWS, as a reason and a sentence with how to mend it.

This module knows AWS' error codes and boto3's exceptions. It never knows what was asked for.
"""

import traceback
from collections.abc import Iterable
from typing import Any

import structlog

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.cloudwatch_client import THROTTLES, LateError
from evaluator.sources.weather import reason_of, said, timed_out

log = structlog.get_logger(__name__)

ACTIONS = {
    "GetMetricData": "cloudwatch:GetMetricData",
    "ListMetrics": "cloudwatch:ListMetrics",
    "DescribeInstances": "ec2:DescribeInstances",
    "AssumeRole": "sts:AssumeRole",
}
"""The IAM action of each operation (https://docs.aws.amazon.com/service-authorization/latest/reference/)."""
DENIALS = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "NotAuthorized"}
)
"""The codes of one who is known, and may not."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_STRANGERS = frozenset(
    {
        *("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature", "AuthFailure"),
        *("InvalidAccessKeyId", "OptInRequired", "NotAuthenticated", "InvalidToken"),
    }
)
_BROKEN = frozenset(
    {"InternalServiceFault", "InternalServiceError", "InternalFailure", "InternalError", "ServiceUnavailable"}
)
WAYS = (
    "give the machine a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `profile` or `access_key_id` of "
    "the source"
)
"""How to have credentials."""
_AUTH_CLASSES = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
    *("TokenRetrievalError", "SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ConfigNotFound"),
    *("RefreshWithMFAUnsupportedError", "InvalidConfigError", "UnknownCredentialError", "ConfigParseError"),
    *("InfiniteLoopConfigError", "MetadataRetrievalError", "LoginRefreshRequired", "LoginError"),
)


class DistrustedError(Exception):
    """An answer that is not what AWS' API promises."""


def failure_of(error: Exception, where: str, seconds: float, secrets: Iterable[str] = ()) -> PollFailed:
    """Return what an exception of a call means. `where` is for people, `seconds` is the timeout of the poll."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, LateError):
        if error.last is None:
            return timed_out(where, seconds)
        return failure_of(error.last, where, seconds, secrets)
    text = said(str(error), secrets)
    match error:
        case ClientError():
            reason, what = _refusal(error.response, error.operation_name, secrets)
        case DistrustedError():
            reason, what = FailureReason.BAD_ANSWER, text
        case BotoCoreError() if type(error).__name__ == "NoCredentialsError":
            reason, what = FailureReason.AUTH, f"no AWS credentials: {WAYS}"
        case BotoCoreError() if type(error).__name__ in _AUTH_CLASSES or _is_auth(error):
            reason, what = FailureReason.AUTH, f"its credentials cannot be used: {text}"
        case _ if (known := reason_of(error)) is not None:
            reason, what = known
        case BotoCoreError():
            reason, what = _of_library(error, text)
        case _ if _is_ours(error):
            # Nobody else keeps its traceback.
            log.error("asking AWS broke", exc_info=error)
            reason, what = FailureReason.INTERNAL, f"a mistake of ours: {type(error).__name__}: {text}"
        case _:
            # Where another server answers, botocore looks for what is not there, and says no more than `KeyError`.
            reason, what = FailureReason.BAD_ANSWER, f"its answer is not what AWS' API promises: {text}"
    return PollFailed(reason, timed_out(where, seconds).message if what == "no answer in time" else f"{where}: {what}")


def _is_ours(error: Exception) -> bool:
    """Return whether an error was raised in code of evaluator, and not in a library."""
    module = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
    return module.startswith("evaluator.")


def code_of(error: Exception) -> str:
    """Return the code of a refusal of AWS; empty for any other error."""
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def answered(failed: PollFailed, error: Exception | None) -> bool:
    """Return whether the API is up although a call failed: it knew us and refused, or asked for patience."""
    if failed.reason in (FailureReason.RATE_LIMITED, FailureReason.BAD_QUERY):
        return True
    while isinstance(error, LateError):
        error = error.last
    return error is not None and code_of(error) in DENIALS


def _refusal(response: Any, operation: str, secrets: Iterable[str]) -> tuple[FailureReason, str]:  # noqa: ANN401  # JSON.
    """Return what AWS' own error means."""
    error = response.get("Error", {})
    code, text = str(error.get("Code", "")), said(str(error.get("Message", "")), secrets)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLES or status == 429 or code == "429":
        return FailureReason.RATE_LIMITED, f"AWS throttles {operation}: {text or code}"
    if code in DENIALS:
        action = ACTIONS.get(operation, operation)
        return FailureReason.AUTH, f"{action} is not allowed: {text or code}; grant the IAM action {action}"
    if code in _EXPIRED:
        return FailureReason.AUTH, f"its credentials have expired ({code}): {text}; renew them, or use a role"
    if code in _STRANGERS:
        hint = "; is the clock of this machine right?" if "ignature" in code else ""
        return FailureReason.AUTH, f"AWS does not know its credentials ({code}): {text}{hint}"
    if status >= 500 or code in _BROKEN or (code.isdigit() and int(code) >= 500):
        return FailureReason.UNAVAILABLE, f"AWS answers {status or code}: {text or code}"
    if status and status < 400:
        return FailureReason.BAD_ANSWER, f"it answers {status} with an error in it: {text}"
    if code.isdigit() or not code:
        return FailureReason.BAD_ANSWER, f"it answers {status or code}, which is none of AWS' errors: {text}"
    return FailureReason.BAD_QUERY, f"AWS refuses it ({code}): {text}"


def _is_auth(error: Exception) -> bool:
    """Return whether an error of botocore is of the family of SSO, whose members come and go."""
    return "SSO" in type(error).__name__ or "Token" in type(error).__name__ or "Credential" in type(error).__name__


def _of_library(error: Exception, text: str) -> tuple[FailureReason, str]:
    """Return what an error of botocore means that hides its cause."""
    names = {each.__name__ for each in type(error).__mro__}
    if "ResponseParserError" in names:
        return FailureReason.BAD_ANSWER, f"its answer is not what AWS' API promises: {text}"
    if names & {"ReadTimeoutError", "ConnectTimeoutError"}:
        return FailureReason.TIMEOUT, "no answer in time"
    if "ProxyConnectionError" in names:
        return FailureReason.REFUSED, "the proxy cannot be reached"
    if "EndpointConnectionError" in names:
        return FailureReason.REFUSED, "it cannot be reached"
    if names & {"ConnectionError", "ConnectionClosedError", "HTTPClientError"}:
        return FailureReason.RESET, "the connection broke off"
    if names & {"ParamValidationError", "InvalidRegionError"}:
        return FailureReason.BAD_QUERY, text
    return FailureReason.INTERNAL, f"{type(error).__name__}: {text}"
