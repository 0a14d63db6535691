"""How commands ask the running daemon: over its own HTTP API, with one clear sentence where it does not answer.

This module knows URLs and answers. It never knows what a command prints.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from evaluator.config.load import Loaded, load
from evaluator.config.settings import Settings
from evaluator.telemetry.redaction import redact_text
from evaluator.web.guard import is_loopback

Json = dict[str, Any]

TIMEOUT = 10.0
"""Seconds; the daemon answers from memory, so one that needs longer is not well."""
DEFAULT_LISTEN = "127.0.0.1:9464"


class Unanswered(Exception):  # noqa: N818  # An answer is missing; nobody made a mistake.
    """The daemon did not answer; the message says why, and what to do."""


class NotThere(Exception):  # noqa: N818  # As above.
    """The daemon answered that there is no such thing."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon to ask."""

    url: str
    token: SecretStr | None = field(default=None, repr=False)

    def get(self, path: str, **parameters: str | int) -> Any:  # noqa: ANN401  # JSON is what its endpoint says.
        """Return the `data` of an endpoint of the API."""
        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        shown = redact_text(self.url)
        try:
            # A proxy of the environment is not asked for what runs on this machine.
            with httpx.Client(timeout=TIMEOUT, trust_env=not _local(self.url)) as client:
                response = client.get(self.url.rstrip("/") + path, params=parameters, headers=headers)
        except httpx.TimeoutException as error:
            raise Unanswered(f"the daemon at {shown} does not answer within {TIMEOUT:g} s") from error
        except httpx.ConnectError as error:
            raise Unanswered(f"no daemon answers at {shown}; start it with `evaluator run`, or give --url") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Unanswered(f"the daemon at {shown} cannot be asked: {redact_text(str(error))}") from error
        return _data(response, shown)


def _data(response: httpx.Response, shown: str) -> Any:  # noqa: ANN401  # As `get`.
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and response.is_success and "data" in body:
        return body["data"]
    said = str(body.get("error", "")) if isinstance(body, dict) else ""
    if response.status_code == 404 and isinstance(body, dict):
        raise NotThere(said)
    if response.status_code == 401:
        raise Unanswered(f"{shown} wants the token: put it in the address, as in http://any:TOKEN@host:9464")
    if said:
        raise Unanswered(f"the daemon at {shown} says: {said}")
    raise Unanswered(f"what answers at {shown} is not evaluator ({response.status_code})")


def find(url: str | None, config: Path | None) -> tuple[Daemon, Loaded | None]:
    """Return the daemon that `--url`, or else the settings, name; and the settings where they were read.

    The token of the settings only goes to the address of the settings.
    """
    if url is not None:
        return Daemon(url if "://" in url else f"http://{url}"), None
    loaded = load(config, os.environ)
    settings = loaded.settings
    if settings is None:
        # The daemon runs with secrets that this shell may not have; where it listens can be read without them.
        return Daemon(address(_listen_of(loaded.path) or DEFAULT_LISTEN)), loaded
    return Daemon(address(settings.web.listen), settings.web.token), loaded


def settings_of(config: Path | None) -> Settings:
    """Return the settings, for a command that needs the store; `Unanswered` where they cannot be used."""
    loaded = load(config, os.environ)
    if loaded.settings is None:
        wrong = next((problem.headline for problem in loaded.problems if problem.error), "")
        raise Unanswered(f"the settings cannot be used; `evaluator check` says why: {wrong}")
    return loaded.settings


def _listen_of(path: Path) -> str:
    """Return `[web] listen` of settings that are otherwise wrong; empty where it cannot be told."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("web", {}).get("listen", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return found if isinstance(found, str) and ":" in found else ""


def address(listen: str) -> str:
    """Return the URL under which this machine reaches a daemon that listens there."""
    host, _, port = listen.strip().rpartition(":")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  # Compared only.
    return f"http://{host}:{port}"


def _local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or is_loopback(host)
