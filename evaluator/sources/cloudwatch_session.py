"""Sessions of boto3: whose credentials are used, and how answers are parsed.

This module knows settings and botocore's components. It never calls AWS by itself: credentials are looked for when a
client is made.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from evaluator.sources.cloudwatch_query import CloudWatchSettings

if TYPE_CHECKING:
    from botocore.credentials import DeferredRefreshableCredentials

_SESSION_NAME = "evaluator"


@cache
def described() -> Any:  # noqa: ANN401  # A loader of botocore.
    """Return a loader of descriptions that sessions may share, with that of CloudWatch in it; it is slow to load."""
    import boto3
    from botocore.session import Session

    core = Session()
    # A client is made of it once, with keys of nobody, so that nothing is looked for.
    keys = {"aws_access_key_id": "-", "aws_secret_access_key": "-"}
    session: Any = boto3.Session(botocore_session=core, region_name="us-east-1", **keys)
    session.client("cloudwatch").close()
    return core.get_component("data_loader")


def session_of(settings: CloudWatchSettings, loader: Any) -> Any:  # noqa: ANN401  # boto3 makes them at run time.
    """Return a session with the credentials that the settings, or else boto3's chain, have."""
    import boto3

    keys: dict[str, Any] = {}
    if settings.access_key_id is not None and settings.secret_access_key is not None:
        token = settings.session_token
        keys["aws_access_key_id"] = settings.access_key_id
        keys["aws_secret_access_key"] = settings.secret_access_key.get_secret_value()
        keys["aws_session_token"] = None if token is None else token.get_secret_value()
    return boto3.Session(botocore_session=_core(loader, settings.profile), region_name=settings.region, **keys)


def session_in_role(
    settings: CloudWatchSettings,
    role: str,
    session: Any,  # noqa: ANN401  # As above.
    loader: Any,  # noqa: ANN401  # As above.
    sts: Callable[..., Any],
) -> Any:  # noqa: ANN401  # As above.
    """Return a session whose credentials are those of a role, and are renewed before they expire.

    `session` has those with which it is assumed, and `sts` makes the client for that.
    """
    import boto3
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.exceptions import NoCredentialsError

    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    extra = {"RoleSessionName": _SESSION_NAME}
    if settings.external_id is not None:
        extra["ExternalId"] = settings.external_id.get_secret_value()
    fetcher = AssumeRoleCredentialFetcher(sts, source, role, extra_args=extra)

    class _Role(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> "DeferredRefreshableCredentials":
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    core = _core(loader, None)
    core.register_component("credential_provider", CredentialResolver([_Role()]))
    return boto3.Session(botocore_session=core, region_name=settings.region)


def _core(loader: Any, profile: str | None) -> Any:  # noqa: ANN401  # As above.
    """Return a session of botocore."""
    from botocore.session import Session

    # Its debugging log has session tokens in it.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # It logs a traceback where credentials cannot be renewed, which is a failed poll with a sentence here.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
    core = Session(profile=profile)
    core.register_component("data_loader", loader)
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return core


def _timestamp(value: object) -> object:
    """Return a timestamp as it is read cheapest: the seconds of the JSON protocol as they are.

    botocore would make a `datetime` with a time zone of each point, which is two thirds of the CPU of a poll.
    """
    if isinstance(value, int | float):
        return float(value)
    from botocore.utils import parse_timestamp

    return parse_timestamp(str(value))
