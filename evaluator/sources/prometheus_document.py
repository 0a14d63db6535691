"""The documents of Prometheus' HTTP API, as they are decoded.

This module knows their shape. It never knows how one was fetched, or what it means. Rows are plain structures that the
garbage collector does not track, so that 100,000 of them cost little.
"""

from typing import Any

import msgspec


class Row(msgspec.Struct, gc=False):
    """A series of an answer: an instant vector has `value`, a range `values`, native histograms the others."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []
    histogram: Any = None
    histograms: Any = None


class Vector(msgspec.Struct, tag_field="resultType", tag="vector"):
    """`data` of an instant vector."""

    result: list[Row]


class Matrix(msgspec.Struct, tag_field="resultType", tag="matrix"):
    """`data` of a range."""

    result: list[Row]


class Scalar(msgspec.Struct, tag_field="resultType", tag="scalar"):
    """`data` of a scalar."""

    result: tuple[float, str]


class Text(msgspec.Struct, tag_field="resultType", tag="string"):
    """`data` of a string."""

    result: tuple[float, str]


class Document(msgspec.Struct):
    """The body of every answer of the HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    status: str
    data: Vector | Matrix | Scalar | Text | None = None
    errorType: str = ""  # noqa: N815 - the API's own spelling.
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


decode = msgspec.json.Decoder(Document).decode
"""Return the document in a body; `msgspec.DecodeError` where it is none."""
