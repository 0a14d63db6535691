"""What a rule may ask of a Redis server, and the settings of the source `redis`.

This module knows the words, and which INFO fields are behind them. It never talks to a server.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from evaluator.sources.fields import Options, Seconds, Strict, Text, refuse_idle_options
from evaluator.sources.names import Names

Measure = Literal[
    "up",
    "queue_depth",
    "stream_length",
    "stream_lag",
    "stream_pending",
    "memory_used",
    "memory_percent",
    "clients",
    "clients_percent",
    "clients_blocked",
    "evictions",
    "expirations",
    "rejected_connections",
    "uptime",
    "info",
]

STREAMS = frozenset({"stream_length", "stream_lag", "stream_pending"})
"""Measures with a series for each stream."""
GROUPS = frozenset({"stream_lag", "stream_pending"})
"""Measures with a series for each consumer group of a stream."""
COUNTS = frozenset({"evictions", "expirations", "rejected_connections", "info"})
"""Measures that may be growing counts."""

Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=256)]

PRIORITY_STEPS: tuple[int, ...] = (0, 3, 6, 9)
"""What kombu uses where `broker_transport_options` says nothing
(https://docs.celeryq.dev/en/stable/userguide/routing.html#redis-message-priorities)."""
SEPARATOR = "\x06\x16"
"""What kombu puts between a queue's name and its priority."""

_OPTIONS: Options = {
    "queue": (frozenset({"queue_depth"}), "`queue_depth`"),
    "priority_steps": (frozenset({"queue_depth"}), "`queue_depth`"),
    "separator": (frozenset({"queue_depth"}), "`queue_depth`"),
    "global_keyprefix": (frozenset({"queue_depth"}), "`queue_depth`"),
    "stream": (STREAMS, "the stream measures"),
    "group": (GROUPS, "`stream_lag` and `stream_pending`"),
    "field": (frozenset({"info"}), "`info`"),
    "per": (COUNTS, "growing counts (`evictions`, `expirations`, `rejected_connections`, `info`)"),
}
_NEEDED = {
    "queue_depth": "queue",
    "stream_length": "stream",
    "stream_lag": "stream",
    "stream_pending": "stream",
    "info": "field",
}


class RedisSettings(Strict):
    """Settings of `type = "redis"`."""

    url: SecretStr = Field(
        description="`redis://host:6379/0`, `rediss://…` for TLS, or `unix:///path`. It may hold a user and a "
        "password, and is "
        "never shown. The number at its end is the database."
    )
    username: str | None = Field(None, description="User of the server's ACL.")
    password: SecretStr | None = Field(None, description="Password of that user, or of `requirepass`.")
    timeout: Seconds = Field(10.0, description="A poll, from the connection to the last answer, takes no longer.")
    priority_steps: Steps = Field(
        PRIORITY_STEPS,
        description="Celery's `broker_transport_options.priority_steps`: the lists of a queue that `queue_depth` "
        "adds up. "
        "`[]` counts only the list of the queue's own name.",
    )
    separator: Text = Field(SEPARATOR, description="Celery's `broker_transport_options.sep`.")
    global_keyprefix: str = Field("", description="Celery's `broker_transport_options.global_keyprefix`.")
    ca: Path | None = Field(None, description="rediss: file with the certificate authorities to trust (PEM).")
    cert: Path | None = Field(None, description="rediss: file with the client certificate (PEM).")
    key: Path | None = Field(None, description="rediss: file with the client certificate's key (PEM).")

    @field_validator("url")
    @classmethod
    def _url_is_a_place(cls, url: SecretStr) -> SecretStr:
        """Take an address that redis-py understands; say nothing of what is in it."""
        parts = urlsplit(url.get_secret_value())
        place = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in ("redis", "rediss", "unix") or not place:
            msg = "must begin with redis://, rediss:// or unix:// and name a host (or a path)"
            raise ValueError(msg)
        try:
            _ = parts.port
        except ValueError:
            msg = "must have a port from 0 to 65535"
            raise ValueError(msg) from None
        if parts.query or parts.fragment:
            msg = "must hold no ? and no #; options have keys of their own, and a # in a password is written %23"
            raise ValueError(msg)
        if parts.scheme != "unix" and parts.path not in ("", "/") and not parts.path[1:].isdecimal():
            msg = "must end with the number of a database, such as /0"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        """Refuse TLS files that would not be used."""
        given = [name for name in ("ca", "cert", "key") if getattr(self, name) is not None]
        if given and not self.url.get_secret_value().startswith("rediss://"):
            msg = f"`{given[0]}` needs an address that starts with rediss://"
            raise ValueError(msg)
        if self.key is not None and self.cert is None:
            msg = "`key` needs `cert`"
            raise ValueError(msg)
        return self


class RedisQuery(Strict):
    """What a rule asks: `query = { measure = "queue_depth", queue = "celery" }`, or `query = "memory_percent"`."""

    shorthand: ClassVar[str] = "measure"

    measure: Measure = Field(
        description="What to measure: `queue_depth`, `stream_length`, `stream_lag`, `stream_pending` (entries), "
        "`memory_used` (bytes), "
        "`memory_percent`, `clients_percent` (percent, 0 to 100), `clients`, `clients_blocked` (connections), "
        "`evictions`, "
        "`expirations` (keys), `rejected_connections` (connections), `uptime` (seconds), `info` (any INFO field, in "
        "its own unit), "
        "`up` (1, or 0 when the server refuses connections or is silent)."
    )
    queue: Names | None = Field(
        None,
        description="queue_depth: the name of a list, or a list of names; a series for each (label `queue`), in "
        "entries.",
    )
    priority_steps: Steps | None = Field(
        None, description="queue_depth: instead of the source's own; priorities, no unit."
    )
    separator: Text | None = Field(None, description="queue_depth: instead of the source's own; a text.")
    global_keyprefix: str | None = Field(None, description="queue_depth: instead of the source's own; a text.")
    stream: Names | None = Field(None, description="Stream measures: the name of a stream, or a list (label `stream`).")
    group: Names | None = Field(
        None,
        description="stream_lag, stream_pending: the consumer group, or a list (label `group`); default all groups.",
    )
    field: Text | None = Field(
        None,
        description="info: the name of a field of INFO, in that field's unit; `db0.keys` for a part of one. The "
        "texts `ok`, `up` and "
        "`yes` count as 1, `err`, `down` and `no` as 0.",
    )
    per: Seconds | None = Field(
        None,
        description='Growing counts: the growth in this time (`"1m"`: a minute) instead of the count since the start.',
    )

    @model_validator(mode="after")
    def _options_fit_the_measure(self) -> Self:
        """Refuse an option that would do nothing, and ask for the one that is needed."""
        refuse_idle_options(self, self.measure, _OPTIONS)
        needed = _NEEDED.get(self.measure)
        if needed is not None and getattr(self, needed) is None:
            msg = f"`{self.measure}` needs `{needed}`"
            raise ValueError(msg)
        return self
