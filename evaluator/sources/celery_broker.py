"""How Celery's broker is reached: connections of kombu and redis-py that end in time, and what their errors mean.

This module knows the addresses and options of Redis and RabbitMQ. It never knows a measure, a worker or a rule.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import kombu
import redis
from amqp import exceptions as amqp_errors
from kombu.exceptions import KombuError
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps
from pydantic import SecretStr
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from evaluator.engine.samples import FailureReason, PollFailed
from evaluator.sources.celery_query import CelerySettings
from evaluator.sources.resp_faults import resp_fault
from evaluator.sources.weather import place, reason_of, said

ERRORS = (
    redis_errors.RedisError,
    amqp_errors.AMQPError,
    KombuError,
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    IndexError,
    AssertionError,
)
"""What the libraries raise for the weather. py-amqp raises the built-in ones too, for connections that are lost and
for peers that speak another protocol."""
_NEVER = 10 * 365 * 86400
"""Seconds until kombu on Redis would deliver again what another client has not acknowledged: a listener must never do
that to the tasks of workers (https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html)."""
_AHEAD = 0.9
"""The part of a source's timeout that its sockets have, so that a call ends by itself before it is given up."""


class CountingChannel(kombu_redis.Channel):
    """A channel that remembers how many clients the last broadcast reached: each worker is one."""

    reached: int | None = None

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **_: Any) -> None:  # noqa: ANN401 - kombu's.
        """Publish as kombu does, and keep Redis' answer, which kombu throws away."""
        own: Any = self  # The stubs of kombu leave these out.
        with own.conn_or_acquire() as client:
            self.reached = int(client.publish(own._get_publish_topic(exchange, routing_key), dumps(message)))  # noqa: SLF001


class CountingTransport(kombu_redis.Transport):
    """kombu's transport for Redis, with that channel."""

    Channel = CountingChannel


class Broker:
    """One broker's address with its options and secrets."""

    def __init__(self, settings: CelerySettings) -> None:
        """Take the settings; nothing is connected."""
        self.settings = settings
        self.where = place(settings.broker.get_secret_value())
        self.secrets = [secret for url in (settings.broker, settings.redbeat_url) for secret in _passwords(url)]

    @contextmanager
    def redis(self, url: SecretStr | None = None) -> Iterator["redis.Redis"]:
        """Give a client of the Redis server, of the broker or at another address; closed at the end."""
        address = self.settings.broker if url is None else url
        client = redis.Redis.from_url(
            address.get_secret_value(),
            socket_timeout=self.settings.timeout * _AHEAD,
            socket_connect_timeout=self.settings.timeout * _AHEAD,
            # redis-py retries ten times by itself: a server that is down would be known after 4 s to 26 s.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            decode_responses=False,
            **(self._tls("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if self._is_broker(address) else {}),
        )
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def connection(self, heartbeat: float = 0) -> Iterator["kombu.Connection"]:
        """Give a connection that is established, and never again by itself; closed at the end.

        It is a new one each time: kombu's pooled connections to Redis answer "no workers" with short time-outs.
        """
        connection = self._made(heartbeat)
        inner: Any = connection
        try:
            # `connect` would try again and again.
            inner._connection = inner._establish_connection()  # noqa: SLF001
            yield connection
        finally:
            with suppress(*ERRORS):
                connection.release()

    def failure(self, error: BaseException, where: str | None = None) -> PollFailed:
        """Return what an error means, without secrets."""
        place_ = self.where if where is None else where
        text = said(str(getattr(error, "message", None) or error), self.secrets)
        known = reason_of(error)
        answered = resp_fault(error, text, self.settings.timeout)
        match error:
            case _ if answered is not None:
                reason, what = answered
            case amqp_errors.AccessRefused() | amqp_errors.NotAllowed():
                reason, what = FailureReason.AUTH, text
            case amqp_errors.ConnectionForced() | amqp_errors.ResourceError():
                reason, what = FailureReason.UNAVAILABLE, text
            case _ if known is not None:
                reason, what = known
            case OSError() | redis_errors.ConnectionError() | amqp_errors.RecoverableConnectionError():
                reason, what = FailureReason.RESET, "the connection broke off"
            case _:
                kind = "Redis" if self.settings.on_redis else "RabbitMQ (AMQP 0-9-1)"
                reason, what = FailureReason.BAD_ANSWER, f"it does not speak the protocol of {kind}"
        return PollFailed(reason, f"{place_}: {what}")

    def _made(self, heartbeat: float) -> "kombu.Connection":
        """Return a connection that is not yet established."""
        seconds = self.settings.timeout * _AHEAD
        url = self.settings.broker.get_secret_value()
        parts = urlsplit(url)
        encrypted = parts.scheme in ("rediss", "amqps")
        if self.settings.on_redis:
            options = {
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
                "max_retries": 0,
                "visibility_timeout": _NEVER,
                "global_keyprefix": self.settings.global_keyprefix,
                "sep": self.settings.separator,
            }
            files: dict[str, Any] = {
                "ssl_cert_reqs": "required",
                **self._tls("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
            }
            return kombu.Connection(
                url, transport=CountingTransport, transport_options=options, ssl=files if encrypted else False
            )
        options = {"read_timeout": seconds, "write_timeout": seconds}
        tls = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": parts.hostname,
            **self._tls("ca_certs", "certfile", "keyfile"),
        }
        return kombu.Connection(
            url,
            connect_timeout=seconds,
            heartbeat=heartbeat,
            transport_options=options,
            ssl=tls if encrypted else False,
        )

    def _is_broker(self, url: SecretStr) -> bool:
        """Return whether the broker's TLS files are meant for this address: the same server, whatever its database."""
        ours, theirs = urlsplit(self.settings.broker.get_secret_value()), urlsplit(url.get_secret_value())
        return (ours.scheme, ours.hostname, ours.port) == (theirs.scheme, theirs.hostname, theirs.port)

    def _tls(self, ca: str, cert: str, key: str) -> dict[str, str]:
        """Return the TLS files under the names that a library has for them."""
        files = {ca: self.settings.ca, cert: self.settings.cert, key: self.settings.key}
        return {name: str(path) for name, path in files.items() if path is not None}


def _passwords(url: SecretStr | None) -> list[str]:
    """Return the password in an address, as it is written and as it is meant."""
    found = None if url is None else urlsplit(url.get_secret_value()).password
    return [found, unquote(found)] if found else []
