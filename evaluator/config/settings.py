"""Every key of `evaluator.toml`, as pydantic models with the sentence that an editor and the docs show for it.

This module knows what settings may be. It never reads a file, an environment or a secret's value. What cannot be shown
is a `SecretStr`, which cannot print itself.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from evaluator.config.fields import Interval, Keys
from evaluator.config.times import TimeZone

DEFAULT_STORE = "sqlite:///var/evaluator.db"
KEY_PLACE = "PagerDuty shows it at Services > (the service) > Integrations > Events API V2 > Integration Key"
_STORES = ("sqlite:///", "postgresql+psycopg://")
_SECRET_SCHEMA = WithJsonSchema({"type": "string", "writeOnly": True})


def _instance(value: str) -> str:
    """Return a name that may be part of a dedup_key."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value):
        raise ValueError("must have 1 to 64 letters, digits, -, _ and dots")
    return value


def _listen(value: str) -> str:
    """Return `host:port` where both can be listened on."""
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError('must be an address and a port; write one like "127.0.0.1:9464" or "[::1]:9464"')
    if ":" in host or bare != host:
        try:
            ip_address(bare)
        except ValueError:
            raise ValueError('must have an IPv6 address in brackets; write one like "[::1]:9464"') from None
        if bare == host:
            raise ValueError(f'must have an IPv6 address in brackets; write "[{host}]:{port}"')
    return value


def _web_address(value: SecretStr) -> SecretStr:
    """Return a secret address that HTTP can reach."""
    try:
        parts = urlsplit(value.get_secret_value())
        reachable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        reachable = False
    if not reachable:
        raise ValueError("must be an address that begins with https:// or http://")
    return value


def _store_url(value: SecretStr) -> SecretStr:
    """Return the address of a database that evaluator can keep its state in."""
    url = value.get_secret_value()
    if url.startswith(("postgres://", "postgresql://")):
        raise ValueError("must name its driver; write postgresql+psycopg://...")
    if not url.startswith(_STORES):
        raise ValueError("must be SQLite or PostgreSQL; write sqlite:///var/evaluator.db or postgresql+psycopg://...")
    if url.removeprefix("sqlite:///") in ("", ":memory:"):
        raise ValueError("must be a file, since a restart has to find it again; write sqlite:///var/evaluator.db")
    return value


def _routing_key(key: SecretStr) -> SecretStr:
    """Return a PagerDuty key of the right shape; the complaint never holds it."""
    value = key.get_secret_value()
    if re.fullmatch(r"[A-Za-z0-9]{32}", value):
        return key
    why = "some of its characters are no letters or digits" if len(value) == 32 else f"it has {len(value)} characters"
    raise ValueError(f"is not a routing key, which has 32 letters and digits: {why}; {KEY_PLACE}")


def _fallback(value: str) -> str:
    """Return who hears what PagerDuty refuses."""
    if value == "console":
        return value
    if value.startswith(("email:", "slack:")):
        kind = value.split(":", 1)[0]
        raise ValueError(f'cannot be {kind} in this version of evaluator yet; write fallback = "console"')
    raise ValueError('must be the name of a notifier without keys; write fallback = "console"')


RoutingKey = Annotated[SecretStr, AfterValidator(_routing_key), _SECRET_SCHEMA]
"""32 letters and digits."""


class HeartbeatKeys(Keys):
    """`[heartbeat]`: a dead man's switch elsewhere is told that this daemon lives."""

    url: Annotated[SecretStr, AfterValidator(_web_address), _SECRET_SCHEMA] = Field(
        description="address that is asked after a cycle was committed, while no delivery is overdue"
    )
    every: Interval = Field(60.0, description="how often; default 1m")


class StoreKeys(Keys):
    """`[store]`: where alerts, incidents and deliveries are kept."""

    url: Annotated[SecretStr, AfterValidator(_store_url), _SECRET_SCHEMA] = Field(
        SecretStr(DEFAULT_STORE),
        description="sqlite:///path (relative to this file) or postgresql+psycopg://user:password@host/name",
    )


class WebKeys(Keys):
    """`[web]`: pages, API, metrics and health."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:9464", description="address and port; port 0 takes a free one"
    )
    token: Annotated[SecretStr, _SECRET_SCHEMA] | None = Field(
        None, description="needed for every write; without it writes are off"
    )

    @property
    def host(self) -> str:
        """The address to listen on, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])


class SeverityKeys(Keys):
    """`[services.NAME.P0]` to `P3`: a severity with a PagerDuty service of its own."""

    routing_key: RoutingKey | None = Field(None, description="the key of this severity's PagerDuty service")
    policy: str | None = Field(None, description="name of its escalation policy, for people")


class ServiceKeys(Keys):
    """`[services.NAME]`: who hears of an incident."""

    title: str = Field("", description="its name for people")
    routing_key: RoutingKey | None = Field(
        None, description="the key of its PagerDuty service; without one only console and web page are told"
    )
    policy: str | None = Field(None, description="name of its escalation policy, for people")
    fallback: Annotated[str, AfterValidator(_fallback)] = Field(
        "console", description="hears what PagerDuty refuses; default console"
    )
    P0: SeverityKeys | None = Field(None, description="its own key for P0")
    P1: SeverityKeys | None = Field(None, description="its own key for P1")
    P2: SeverityKeys | None = Field(None, description="its own key for P2")
    P3: SeverityKeys | None = Field(None, description="its own key for P3")


class LintKeys(Keys):
    """`[lint]`: warnings that are of no use here."""

    ignore: list[str] = Field(default_factory=list, description="ids of warnings that are not shown, see docs/lint")


class SourceEntry(BaseModel):
    """One `[sources.NAME]`, checked by the model of its type."""

    model_config = ConfigDict(frozen=True)

    type: str
    enabled: bool = True
    settings: BaseModel | None = None
    """An instance of the type's `Settings`; `None` only where it is disabled and could not be made."""
    implicit: bool = False
    """Whether it is there without having been declared."""


class NotifierEntry(BaseModel):
    """One `[notifiers.NAME]`, checked by the model of its type."""

    model_config = ConfigDict(frozen=True)

    type: str
    enabled: bool = True
    settings: BaseModel | None = None
    """An instance of the type's `Settings`; `None` only where it is disabled and could not be made."""


class Settings(Keys):
    """`evaluator.toml`, whole and checked."""

    instance: Annotated[str, AfterValidator(_instance)] = Field(
        "default", description="part of every dedup_key, so that two installations never close each other's incidents"
    )
    rules: str = Field("rules", description="folder of rule files, relative to this file, read recursively")
    every: Interval = Field(30.0, description="how often rules are judged that do not say so, 1s to 1d; default 30s")
    timezone: TimeZone = Field(
        "UTC", description="IANA time zone of pages and texts, and of hours and dates in rules that name none"
    )
    strict: bool = Field(default=False, description="a routing key that is not there is an error, not a warning")
    heartbeat: HeartbeatKeys | None = Field(None, description="a dead man's switch elsewhere is told that we live")
    store: StoreKeys = Field(default_factory=StoreKeys, description="where state is kept")
    web: WebKeys = Field(default_factory=WebKeys, description="pages, API, metrics and health")
    lint: LintKeys = Field(default_factory=LintKeys, description="warnings that are of no use here")
    services: Mapping[str, ServiceKeys] = Field(default_factory=dict, description="who hears of incidents")
    sources: Mapping[str, SourceEntry] = Field(default_factory=dict, description="what is asked for values")
    notifiers: Mapping[str, NotifierEntry] = Field(default_factory=dict, description="how people are told")
