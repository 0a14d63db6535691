"""What the errors of redis-py mean, for every source that asks a server of Redis' protocol (RESP).

This module knows redis-py's exceptions. It never knows who asked what.
"""

from redis import exceptions

from evaluator.engine.samples import FailureReason


def resp_fault(error: BaseException, text: str, timeout: float) -> tuple[FailureReason, str] | None:
    """Return the reason for an error that the server or its protocol gave, and what to say of it.

    `text` is what the error said, without secrets; `timeout` is the source's, in seconds. `None`: it is of the network,
    or of another library.
    """
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthenticationWrongNumberOfArgsError():
            return FailureReason.AUTH, f"it does not accept our user and password: {text}"
        case exceptions.NoPermissionError():
            return FailureReason.AUTH, text
        case exceptions.BusyLoadingError():
            return FailureReason.UNAVAILABLE, "it is loading its data into memory"
        case exceptions.InvalidResponse():
            return FailureReason.BAD_ANSWER, "it does not speak the protocol of Redis"
        case exceptions.TimeoutError():
            return FailureReason.TIMEOUT, f"no answer within {timeout:g} s"
        case exceptions.ConnectionError() if "max number of clients" in text:
            return FailureReason.UNAVAILABLE, "it has no connection left for us (maxclients)"
        case exceptions.ResponseError():
            return FailureReason.UNAVAILABLE, text
        case _:
            return None
