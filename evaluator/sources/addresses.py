"""Where an API answers over HTTP, in the settings.

This module knows what such an address may be. It never talks to anybody.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def api_url(url: str) -> str:
    """Return an address that paths can be added to; `ValueError` where it is none. It holds no credential."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("must be an address such as https://api.example.com, with a port up to 65535 if any") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and no password; credentials have keys of their own")
    if parts.query or parts.fragment:
        raise ValueError("must hold no ? and no #")
    return url.rstrip("/")


ApiUrl = Annotated[str, AfterValidator(api_url)]
"""An address that paths are added to, without credentials."""
