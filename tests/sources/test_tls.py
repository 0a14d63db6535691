"""TLS to both servers: what is trusted is asked, what is not is refused as such, and never asked in the clear."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.prometheus import PrometheusSource
from evaluator.sources.redis import RedisSource
from evaluator.testing import servers
from evaluator.testing.peers import nobody, peer
from evaluator.testing.sources import build, polled, query, run

ANSWER = b'{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}'

Kind = type[PrometheusSource] | type[RedisSource]
Server = Callable[[Path], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and a certificate of 127.0.0.1 that it signed, which serves as a client's too."""
    home = tmp_path_factory.mktemp("tls")
    openssl = servers.binary("openssl", "openssl")

    def make(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=home)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    make("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    make("req", *key, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=127.0.0.1")
    (home / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    make("x509", "-req", "-in", "request", "-out", "cert.pem", *sign)
    return home


@contextmanager
def prometheus(home: Path) -> Iterator[str]:
    """A server that wants a client certificate, and answers every query."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_: object) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            return

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(home / "ca.pem"))
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def redis(home: Path) -> Iterator[str]:
    """A server that speaks only TLS and wants a client certificate."""
    port = nobody()
    files = {"--tls-cert-file": "cert.pem", "--tls-key-file": "key.pem", "--tls-ca-cert-file": "ca.pem"}
    options = [text for option, name in files.items() for text in (option, str(home / name))]
    with servers.redis("--tls-port", str(port), *options, port=nobody()):
        yield f"rediss://127.0.0.1:{port}/0"


def ask(kind: Kind, fields: dict[str, Any], **settings: object) -> PollResult:
    source = build(kind, {"timeout": "3s", **settings})
    answers: list[list[PollResult]] = run(polled(source, [query(kind, fields)]))
    return answers[0][0]


CASES = [(PrometheusSource, prometheus, {"promql": "7"}), (RedisSource, redis, {"measure": "up"})]


@pytest.mark.parametrize(("kind", "server", "fields"), CASES)
def test_what_is_trusted_is_asked(certificates: Path, kind: Kind, server: Server, fields: dict[str, Any]) -> None:
    files = {"ca": certificates / "ca.pem", "cert": certificates / "cert.pem", "key": certificates / "key.pem"}
    with server(certificates) as url:
        result = ask(kind, fields, url=url, **files)
    assert isinstance(result, Samples), result
    assert len(result) == 1


@pytest.mark.parametrize(("kind", "server", "fields"), CASES)
def test_an_authority_that_is_unknown_is_refused(
    certificates: Path, kind: Kind, server: Server, fields: dict[str, Any]
) -> None:
    with server(certificates) as url:
        result = ask(kind, fields, url=url)
    assert isinstance(result, PollFailed), result
    assert result.reason is FailureReason.TLS
    assert "certificate is not acceptable" in result.message


@pytest.mark.parametrize(("kind", "server", "fields"), CASES)
def test_a_name_that_the_certificate_does_not_have_is_refused(
    certificates: Path, kind: Kind, server: Server, fields: dict[str, Any]
) -> None:
    with server(certificates) as url:
        result = ask(kind, fields, url=url.replace("127.0.0.1", "localhost"), ca=certificates / "ca.pem")
    assert isinstance(result, PollFailed), result
    assert result.reason is FailureReason.TLS


@pytest.mark.parametrize("url", ["https://127.0.0.1", "rediss://127.0.0.1"])
def test_a_server_that_speaks_no_tls_is_refused(url: str) -> None:
    kind, fields = (PrometheusSource, {"promql": "7"}) if url.startswith("https") else (RedisSource, {"measure": "up"})
    with peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close") as plain:
        result = ask(kind, fields, url=f"{url}:{plain.port}")
    assert isinstance(result, PollFailed), result
    assert result.reason is FailureReason.TLS


def test_a_silent_peer_is_a_timeout_with_tls_too() -> None:
    with peer() as hole:
        result = ask(PrometheusSource, {"promql": "7"}, url=f"https://127.0.0.1:{hole.port}", timeout="400ms")
        assert isinstance(result, PollFailed)
        assert result.reason is FailureReason.TIMEOUT
        down = ask(RedisSource, {"measure": "up"}, url=f"rediss://127.0.0.1:{hole.port}", timeout="400ms")
    assert isinstance(down, Samples), down
    assert list(down.values) == [0.0]


def test_verification_can_be_switched_off(certificates: Path) -> None:
    files = {"cert": certificates / "cert.pem", "key": certificates / "key.pem"}
    with prometheus(certificates) as url:
        result = ask(PrometheusSource, {"promql": "7"}, url=url, verify=False, **files)
    assert isinstance(result, Samples), result
