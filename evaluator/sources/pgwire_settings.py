"""Where a server that speaks PostgreSQL's protocol is, and who we are there: settings that two sources share.

This module knows addresses, credentials and TLS. It never connects.
"""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from evaluator.sources.fields import Seconds, Strict

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Text = Annotated[str, Field(min_length=1, pattern="^[^\x00]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]

_KEEPALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
"""Seconds, seconds and probes. A firewall forgets a connection that is idle for some minutes and says nothing (AWS's
after 350 s, https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html): the next poll
would find a server that is silent. With probes it is not idle, and one that is cut nevertheless is known to be so."""
_PARTS = ("host", "port", "user", "password", "database")


class ServerSettings(Strict):
    """One server, as a `url` or as its parts."""

    default_port: ClassVar[int] = 5432
    default_database: ClassVar[str] = "postgres"

    url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host:5432/database`, one host; may end with `?sslmode=…`. It is never "
        "shown.",
    )
    host: Text | None = Field(None, description="Instead of `url`: a name, an address, or the folder of a Unix socket.")
    port: Port | None = Field(None, description="Instead of the default one, 5432 (PgBouncer: 6432).")
    user: Text | None = Field(None, description='The role to connect as; default `"evaluator"`.')
    password: SecretStr | None = Field(None, description="Its password, where it is not in `url`. Never shown.")
    database: Text | None = Field(
        None, description='The database to connect to; default `"postgres"` (PgBouncer: `"pgbouncer"`).'
    )
    sslmode: SslMode | None = Field(
        None,
        description="TLS, as libpq calls it: `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`; "
        "default `prefer`, and `verify-full` where `ca` is given.",
    )
    ca: Path | None = Field(None, description="File with the certificate authorities to trust (PEM).")
    cert: Path | None = Field(None, description="File with the client certificate (PEM).")
    key: Path | None = Field(None, description="File with the client certificate's key (PEM).")
    timeout: Seconds = Field(10.0, description="A poll, from the connection to the last answer, takes no longer.")

    @field_validator("url")
    @classmethod
    def _url_is_a_place(cls, url: SecretStr | None) -> SecretStr | None:
        """Take the address of one server, with no options of libpq hidden in it; say nothing of what is in it."""
        if url is None:
            return url
        try:
            parts = urlsplit(url.get_secret_value())
        except ValueError:
            raise ValueError("is not an address; in a password [ is written %5B and ] %5D") from None
        _check(parts)
        return url

    @model_validator(mode="after")
    def _it_fits_together(self) -> Self:
        """Refuse a place that is given twice or not at all, and TLS files that would not be used."""
        if (self.url is None) == (self.host is None):
            raise ValueError("needs either `url` or `host`")
        parts = urlsplit("" if self.url is None else self.url.get_secret_value())
        if self.url is not None:
            given = {"port": parts.port, "user": parts.username, "password": parts.password}
            given["database"] = parts.path.strip("/")
            twice = [name for name, value in given.items() if value and getattr(self, name) is not None]
            if twice:
                raise ValueError(f"`{twice[0]}` is in `url` already")
            if self.sslmode is not None and parts.query:
                raise ValueError("`sslmode` is in `url` already")
        if self.key is not None and self.cert is None:
            raise ValueError("`key` needs `cert`")
        mode = self.tls()
        if mode.startswith("verify") and self.ca is None:
            raise ValueError(f'`sslmode = "{mode}"` needs `ca`, the file with the authorities to trust')
        if mode == "disable" and (self.ca or self.cert):
            raise ValueError('`sslmode = "disable"` would not use the certificates')
        return self

    def tls(self) -> str:
        """Return the mode of TLS."""
        parts = urlsplit("" if self.url is None else self.url.get_secret_value())
        said = self.sslmode or dict(parse_qsl(parts.query)).get("sslmode")
        return said or ("verify-full" if self.ca is not None else "prefer")

    def place(self) -> dict[str, str]:
        """Return host, port, user, password and database, wherever they are written."""
        parts = urlsplit("" if self.url is None else self.url.get_secret_value())
        in_url = {
            "host": unquote(parts.hostname or ""),
            "port": str(parts.port or ""),
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": unquote(parts.path[1:]),
        }
        defaults = {"port": self.default_port, "user": "evaluator", "database": self.default_database}
        found = {}
        for name in _PARTS:
            value = getattr(self, name)
            value = value.get_secret_value() if isinstance(value, SecretStr) else value
            found[name] = str(value or in_url[name] or defaults.get(name, ""))
        return found

    def parameters(self) -> dict[str, str]:
        """Return what libpq is told. What it would take from its environment or from a service file is said too."""
        place = self.place()
        told = {"dbname": place.pop("database"), **place, "sslmode": self.tls(), "gssencmode": "disable"}
        told |= {"application_name": "evaluator", "client_encoding": "UTF8", "target_session_attrs": "any"}
        told |= _KEEPALIVE
        files = {"sslrootcert": self.ca, "sslcert": self.cert, "sslkey": self.key}
        told |= {name: str(path) for name, path in files.items() if path is not None}
        # Without a password libpq looks into ~/.pgpass, as people expect.
        return {name: value for name, value in told.items() if value} | {"options": ""}

    def where(self) -> str:
        """Return the address for people, without a secret."""
        place = self.place()
        host = f"[{place['host']}]" if ":" in place["host"] else place["host"]
        return f"postgresql://{host}:{place['port']}/{place['database']}"

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen, as it is and as it is written in a url."""
        raw = urlsplit("" if self.url is None else self.url.get_secret_value()).password
        return tuple(each for each in (self.place()["password"], raw) if each)


def _check(parts: SplitResult) -> None:
    """Raise `ValueError` unless it is the address of one server."""
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise ValueError("must begin with postgresql:// and name a host; `host` takes the folder of a Unix socket")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must have one host, and a port from 0 to 65535; each server is a source of its own") from None
    if "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("must have one host; each server is a source of its own")
    if re.search("[?/#]", parts.path[1:]) or parts.fragment:
        raise ValueError("must end with the name of a database; in a password # is written %23, / %2F and ? %3F")
    options = parse_qsl(parts.query, keep_blank_values=True)
    modes = SslMode.__args__  # type: ignore[attr-defined] # What a Literal lists; typing has no type for it.
    if parts.query and (len(options) != 1 or options[0][0] != "sslmode" or options[0][1] not in modes):
        raise ValueError("may hold no option but ?sslmode=…; the others have keys of their own, or are fixed")
