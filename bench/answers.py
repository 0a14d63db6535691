"""What the benchmarks' Prometheus answers: instant vectors, encoded once, and a server that sends them.

It knows how many series a query wants and how many of them are beyond the limit, from the query itself. It never
computes anything while it is measured, so that what it costs is not mistaken for what the daemon costs.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs

LIMIT = 90
"""The limit of every rule of the benchmarks: `above = 90`."""

_QUERY = re.compile(r'bench\{series="(\d+)",firing="(\d+)"')


def query(series: int, firing: int = 0, number: int = 0) -> str:
    """Return the query that is answered with so many series; with another `number` it is another query."""
    return f'bench{{series="{series}",firing="{firing}",number="{number}"}}'


@cache
def answer(series: int, firing: int) -> bytes:
    """Return the body of the answer: series with five labels each, the firing ones spread among the quiet ones."""
    every = series // firing if firing else series + 1
    beyond = {number * every for number in range(firing)}
    result = [
        {"metric": _labels(number), "value": [1700000000.123, "97.25" if number in beyond else f"{number % 800 / 10}"]}
        for number in range(series)
    ]
    document = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return json.dumps(document, separators=(",", ":")).encode()


def _labels(number: int) -> dict[str, str]:
    host, mount = divmod(number, 20)
    return {
        "__name__": "disk_used_percent",
        "device": f"/dev/nvme{mount}n1",
        "instance": f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}:9100",
        "job": "node",
        "mountpoint": f"/srv/data/{mount}",
    }


class _Handler(BaseHTTPRequestHandler):
    """Answers `POST /api/v1/query`, on connections that stay open."""

    protocol_version = "HTTP/1.1"
    # Head and body in one segment: sent apart, the second waits 40 ms for the acknowledgement of the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    requests: ClassVar[list[int]]

    def do_POST(self) -> None:
        """Answer with the vector that the query names."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = _QUERY.match(form["query"][0])
        body = answer(int(asked[1]), int(asked[2])) if asked else b'{"status":"error","error":"not known here"}'
        self.requests[0] += 1
        self.send_response(200 if asked else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name.
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    """A server whose threads end with it, and that says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the daemon is stopped while its connections are open."""


class Prometheus:
    """A running server."""

    def __init__(self, url: str, requests: list[int]) -> None:
        self.url = url
        self._requests = requests

    @property
    def requests(self) -> int:
        """How many requests it has had."""
        return self._requests[0]


@contextmanager
def prometheus() -> Iterator[Prometheus]:
    """Run the server in threads of this process, which has nothing else to do while the daemon is measured."""
    counted = [0]
    handler = type("Handler", (_Handler,), {"requests": counted})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Prometheus(f"http://127.0.0.1:{server.server_port}", counted)
        server.shutdown()
        thread.join()
