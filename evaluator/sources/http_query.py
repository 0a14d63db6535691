"""What a rule may ask of probed addresses, and the settings of the source `http`.

This module knows the words. It never sends a request.
"""

import re
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

import httpx
import regex
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from evaluator.sources.fields import (
    Bytes,
    MisfitError,
    Options,
    Seconds,
    Strict,
    refuse_idle_options,
    refuse_unknown,
)

Measure = Literal["up", "status", "latency", "tls_days_left", "match", "value"]
Phase = Literal["connect", "tls", "first_byte", "total"]

PATTERNS = frozenset("*?[")
"""A target's name has none of these, so that what has one is a pattern."""
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|xx)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_OPTIONS: Options = {
    "phase": (frozenset({"latency"}), "`latency`"),
    "path": (frozenset({"value"}), "`value`"),
}


def _several(value: object) -> object:
    """Take one of what may be several."""
    return (value,) if isinstance(value, str | int) and not isinstance(value, bool) else value


def _status(value: object) -> object:
    """Return a status as its text: `404`, or `2xx` for a hundred of them."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _STATUS.fullmatch(text):
        msg = 'is no HTTP status; write a number like 200, or a hundred of them like "2xx"'
        raise ValueError(msg)
    return text


Status = Annotated[str, BeforeValidator(_status, json_schema_input_type=int | str)]
Name = Annotated[str, Field(min_length=1)]


class HttpTarget(Strict):
    """One `[sources.http.targets.NAME]`: an address, and what is expected of it."""

    url: SecretStr = Field(
        description="What is requested, `https://…` or `http://…`. No user or password in it: send an "
        "`Authorization` header. What follows `?` is never shown."
    )
    method: str = Field("GET", pattern=r"^[A-Z]{1,20}$", description="Of the request.")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="More request headers. Their values are never shown."
    )
    body: SecretStr | None = Field(None, description="What is sent with the request; never shown.")
    expect_status: Annotated[tuple[Status, ...], BeforeValidator(_several), Field(min_length=1)] = Field(
        ("2xx",), description='Statuses that are as they should be: `200`, `"2xx"`, or a list of such.'
    )
    match: str | None = Field(
        None, min_length=1, description="Regular expression (Python's) that must be found in the body."
    )
    not_match: str | None = Field(
        None, min_length=1, description="Regular expression that must not be found in the body."
    )
    timeout: Seconds | None = Field(
        None, description="A target that has not answered to the last byte by then is down. Not set: `target_timeout`."
    )
    follow_redirects: int = Field(
        5, ge=0, le=20, description="How many redirects are followed; one more is an error. 0: a 301 is the answer."
    )
    resolve: str | None = Field(
        None, description="IP address to connect to instead of asking the DNS for the host of `url`."
    )
    verify: bool = Field(default=True, description="`false` accepts any TLS certificate. Better: name it in `ca`.")
    ca: Path | None = Field(None, description="File with the certificate authorities to trust (PEM).")
    cert: Path | None = Field(None, description="File with the client certificate (PEM).")
    key: Path | None = Field(None, description="File with the client certificate's key (PEM).")
    proxy: SecretStr | None = Field(
        None, description="Address of an HTTP proxy (`http://proxy:3128`). The environment's proxies are not used."
    )

    @field_validator("url")
    @classmethod
    def _url_is_a_place(cls, secret: SecretStr) -> SecretStr:
        """Take an address that is complete and holds no user; say nothing of what is in it."""
        url = secret.get_secret_value()
        if not url.isprintable() or " " in url:
            raise ValueError("must hold no spaces and no line breaks")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user and no password; send them as a header, `Authorization`")
        _has_port(url)
        try:
            httpx.URL(url)
        except httpx.InvalidURL:
            msg = "is no address that can be requested"
            raise ValueError(msg) from None
        return SecretStr(url.partition("#")[0])

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """Refuse what no HTTP header can be."""
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError("has a name that no HTTP header can have")
            text = value.get_secret_value()
            if not text.isascii() or not text.isprintable() or text != text.strip():
                raise ValueError(f"{name}: a header's value is printable ASCII without spaces around it")
        return headers

    @field_validator("match", "not_match")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        """Refuse what cannot be compiled."""
        try:
            regex.compile(pattern or "")
        except regex.error as error:
            msg = f"is no regular expression: {error}"
            raise ValueError(msg) from None
        return pattern

    @field_validator("resolve")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        """Refuse a name."""
        return None if address is None else str(ip_address(address))

    @field_validator("proxy")
    @classmethod
    def _proxy_is_a_place(cls, proxy: SecretStr | None) -> SecretStr | None:
        """Take an address of an HTTP proxy; say nothing of what is in it."""
        if proxy is None:
            return None
        parts = urlsplit(proxy.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        _has_port(proxy.get_secret_value())
        return proxy

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what would do nothing."""
        if self.key is not None and self.cert is None:
            raise ValueError("`key` needs `cert`")
        if self.ca is not None and not self.verify:
            raise ValueError("`ca` is not looked at where `verify` is false")
        if self.proxy is not None and self.resolve is not None:
            raise ValueError("with `proxy`, names are looked up by the proxy: `resolve` would do nothing")
        return self

    @property
    def address(self) -> str:
        """What is requested, with what follows `?`: it may be a credential."""
        return self.url.get_secret_value()

    @property
    def secure(self) -> bool:
        """Whether its address is one of TLS."""
        return self.address.lower().startswith("https:")


def _has_port(url: str) -> None:
    """Raise `ValueError` where the port of an address is none."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        msg = "must have a port from 0 to 65535"
        raise ValueError(msg) from None


class HttpSettings(Strict):
    """Settings of `type = "http"`."""

    targets: dict[str, HttpTarget] = Field(
        min_length=1, description="What is probed: a table `[sources.http.targets.NAME]` for each; the label `target`."
    )
    timeout: Seconds = Field(10.0, description="A poll of all targets takes no longer.")
    target_timeout: Seconds | None = Field(
        None, description="A target's own `timeout` where it has none. Not set: half of the source's `timeout`."
    )
    max_concurrency: int = Field(100, ge=1, le=1000, description="Targets that are requested at once.")
    max_size: Bytes = Field(
        10**6, description="Of a longer body only so much is read: `match`, `not_match` and `value` see no more."
    )
    user_agent: str = Field("evaluator", min_length=1, pattern=r"^[ -~]+$", description="The header `User-Agent`.")
    witness: Annotated[tuple[Name, ...], BeforeValidator(_several)] = Field(
        (),
        description="Names of targets that belong to somebody else and nearly always answer. Where none of them does, "
        "it may be our own network, and a target that is silent is unknown instead of down.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse names that cannot be used, and times that would not count."""
        for name, target in self.targets.items():
            if not name.strip() or PATTERNS & set(name) or not name.isprintable():
                raise ValueError(f"the target {name!r} needs a name without * ? [ and line breaks")
            if (target.timeout or 0.0) > self.timeout:
                raise ValueError(f"the `timeout` of the target {name} is longer than the source's: raise that one too")
        if (self.target_timeout or 0.0) > self.timeout:
            raise ValueError("`target_timeout` is longer than `timeout`")
        for name in self.witness:
            if name not in self.targets:
                raise ValueError(f"`witness` names {name!r}, which is no target")
        return self

    def refuse(self, query: "HttpQuery") -> None:
        """Refuse a target that is not declared, or that cannot have the measure."""
        patterns = [name for name in query.names if PATTERNS & set(name)]
        refuse_unknown("target", query.target, [*self.targets, *patterns], "target")
        for name in query.names:
            if name in self.targets and not self.fits(query, name):
                raise MisfitError(f"`{query.measure}` is not for the target {name}; {query.needs}", "target")
        if not self.meant(query):
            what = f"no target is meant by {', '.join(query.names)}, or none has `{query.measure}`"
            raise MisfitError(f"{what}; {query.needs}", "target")

    def meant(self, query: "HttpQuery") -> list[str]:
        """Return the targets that a query means and that can have its measure, in the query's order, each once."""
        found = [each for name in query.names for each in self.targets if each == name or fnmatchcase(each, name)]
        return [each for each in dict.fromkeys(found) if self.fits(query, each)]

    def fits(self, query: "HttpQuery", name: str) -> bool:
        """Return whether a target can have the measure."""
        target = self.targets[name]
        if query.measure == "match":
            return target.match is not None or target.not_match is not None
        return target.secure or not (query.measure == "tls_days_left" or query.phase == "tls")

    def patience(self, target: HttpTarget) -> float:
        """Return the seconds after which a target is down."""
        return target.timeout or self.target_timeout or self.timeout / 2


class HttpQuery(Strict):
    """What a rule asks: `query = { measure = "up", target = "auth" }`, or `query = "up"` for all targets."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `up` (1 where everything is as expected, else 0), `status` (the HTTP status), "
        "`latency` (seconds), `tls_days_left` (days until the certificate ends, negative afterwards), `match` (1 where "
        "the body is as expected, else 0), `value` (a number in a JSON body, in its own unit)."
    )
    target: Name | Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        "*", description="Name of a target, a list of names, or `*` for all; `*` and `?` match as in a shell."
    )
    phase: Phase = Field(
        "total",
        description="latency: `connect` (name and TCP), `tls` (handshake), `first_byte` (until the answer begins), or "
        "`total` (until its last byte).",
    )
    path: str | None = Field(
        None, min_length=1, description="value: where the number is, such as `pool.checked_out` or `queues.0.length`."
    )

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and ask for the one that is needed."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        if self.measure == "value" and self.path is None:
            raise ValueError("`value` needs `path`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names and patterns of targets."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def needs(self) -> str:
        """What a target needs to have the measure."""
        if self.measure == "match":
            return "it needs `match` or `not_match` in the settings"
        if self.measure == "tls_days_left" or self.phase == "tls":
            return "its url must begin with https://"
        return "its name must be one of [sources.NAME.targets.*]"
