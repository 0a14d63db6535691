"""The address of a vendor's API in the settings.

This module knows what an address may be. It never talks to anybody.
"""

from urllib.parse import urlsplit


def base_url(url: str) -> str:
    """Return an address that paths can be added to; `ValueError` where it is none. It holds no credential."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        msg = "must be an address such as https://api.example.com"
        raise ValueError(msg) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = "must begin with https:// (or http://) and name a host"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = "must hold no user, no ? and no #; the token has a key of its own"
        raise ValueError(msg)
    return url.rstrip("/")
