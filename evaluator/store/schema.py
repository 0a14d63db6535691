"""What all tables share: their metadata, the types of their columns, and the digest that is their key.

This module knows how a Python value becomes a column on SQLite and on PostgreSQL, without loss and alike on both. It
never knows a table.
"""

import hashlib
import json
import math
import re
from typing import Any

from sqlalchemy import TEXT, Dialect, Double, MetaData, TypeDecorator
from sqlalchemy.types import TypeEngine

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the store; constraints have names, so that a migration can change them."""

_MARK = "\x1a"
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_MARKED = re.compile(_MARK + "([0-9a-f]{4})")


def escaped(text: str) -> str:
    """Return the text without what a database cannot hold, reversibly.

    PostgreSQL holds no NUL, UTF-8 no lone surrogates. Each of them, and the mark itself, becomes the mark (ASCII SUB)
    and four hexadecimal digits; every other text stays as it is, so that rows stay readable.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSTORABLE.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    if _MARK not in text:
        return text
    return _MARKED.sub(lambda found: chr(int(found[1], 16)), text)


class Text(TypeDecorator[str]):
    """Any Python string.

    On PostgreSQL it is ordered by its bytes (`COLLATE "C"`), as on SQLite: the order is then the same everywhere, and
    an upgrade of the system's collations cannot make an index wrong.
    """

    impl = TEXT
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the database."""
        return dialect.type_descriptor(TEXT(collation="C") if dialect.name == "postgresql" else TEXT())

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Escape what the database cannot hold."""
        return None if value is None else escaped(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> str | None:
        """Undo the escape."""
        return None if value is None else unescaped(value)


class _AsGiven(Double[float]):
    """A column of SQLite that is bound as it is given; the ordinary type would make a float of the text `nan`."""

    def bind_processor(self, dialect: Dialect) -> None:
        """Bind the value itself."""


class Number(TypeDecorator[float]):
    """Any Python float, in double precision.

    SQLite turns NaN into NULL, which would be another value; there it is kept as the text `nan`, which a column of real
    numbers takes as it is.
    """

    impl = Double
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the database."""
        return dialect.type_descriptor(_AsGiven() if dialect.name == "sqlite" else Double())

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | str | None:
        """Return what the database keeps."""
        if value is None:
            return None
        number = float(value)
        return "nan" if math.isnan(number) and dialect.name == "sqlite" else number

    def process_result_value(self, value: float | str | None, _dialect: Dialect) -> float | None:
        """Return the float."""
        return None if value is None else float(value)


def digest(*parts: object) -> str:
    """Return a key of 64 characters for what identifies a row.

    Label sets have no limit, but an index entry of PostgreSQL has one (2,704 bytes,
    https://www.postgresql.org/docs/15/btree-implementation.html), so rows are known by a hash of what they are.
    """
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
