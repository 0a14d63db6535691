"""Real Redis, Prometheus and PostgreSQL for tests, each as a context manager that gives its address.

A container is used where a Docker engine answers, else the binary of this machine, else the failure names the Debian
package to install. Every server listens on a free port of 127.0.0.1, keeps its files in a folder of its own, and is
gone at the end.
"""

import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

START = 30.0
"""Seconds that a server may take to start."""
_FIRST_PORT, _PORTS = 20_000, 12_000
"""Below the range from which the kernel takes ports for outgoing connections."""


class MissingComponentError(RuntimeError):
    """A server can be started neither in a container nor from this machine."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on; parallel processes look at different ones."""
    for offset in range(_PORTS):
        port = _FIRST_PORT + (os.getpid() * 137 + _taken() + offset) % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = "no port of 127.0.0.1 is free"
    raise MissingComponentError(message)


def _taken(_count: list[int] = [0]) -> int:  # noqa: B006 - the one number that this process counts.
    """Return another number at each call."""
    _count[0] += 1
    return _count[0]


@cache
def docker() -> bool:
    """Return whether a Docker engine answers."""
    if not os.environ.get("DOCKER_HOST"):
        # Docker's own client leaves a socket open where nobody answers.
        with socket.socket(socket.AF_UNIX) as engine:
            if engine.connect_ex("/var/run/docker.sock"):
                return False
    try:
        from docker import from_env  # type: ignore[import-untyped]

        client = from_env(timeout=2)
        client.ping()
        client.close()
    except Exception:  # noqa: BLE001 - whatever goes wrong there, there is no engine for us.
        return False
    return True


def binary(name: str, package: str, folders: Sequence[str] = ()) -> str:
    """Return where a program is; `MissingComponentError` names the package that brings it."""
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    if found is None:
        message = f"{name} is neither installed here (apt-get install {package}) nor can Docker run it"
        raise MissingComponentError(message)
    return found


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="evaluator-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def process(
    arguments: Sequence[str], ready: Callable[[], bool], log: Path, stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end; `ready` says when it answers, `stop` is the signal that ends it."""
    with log.open("wb") as output:
        server = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=log.parent)
    try:
        deadline = time.monotonic() + START
        while not ready():
            if server.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-800:]
                message = f"{arguments[0]} does not start:\n{tail}"
                raise RuntimeError(message)
            time.sleep(0.02)
        yield server
    finally:
        server.send_signal(stop)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(port: int) -> bool:
    """Return whether somebody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _fetches(url: str) -> bool:
    """Return whether an address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - http to ourselves.
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _container(make: "Callable[[], DockerContainer]", port: int) -> Iterator[tuple[str, int]]:
    """Run a container until the end; give the host and port where its own port is."""
    with make() as started:
        host, outside = started.get_container_host_ip(), int(started.get_exposed_port(port))
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((host, outside)) == 0:
                    break
            time.sleep(0.05)
        yield host, outside


@contextmanager
def redis(*options: str, port: int | None = None) -> Iterator[str]:
    """Run a Redis server; give its address. `options` are of redis-server (`"--requirepass", "x"`).

    With `port` it is a local process at that port: for tests that stop a server and start it again.
    """
    settings = ["--save", "", "--appendonly", "no", *options]
    if docker() and port is None:
        from testcontainers.core.container import DockerContainer

        def make() -> DockerContainer:
            return DockerContainer("redis:7").with_exposed_ports(6379).with_command(["redis-server", *settings])

        with _container(make, 6379) as (host, outside):
            yield f"redis://{host}:{outside}/0"
        return
    program = binary("redis-server", "redis-server")
    with folder() as home:
        port = free_port() if port is None else port
        arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home), *settings]
        with process(arguments, lambda: answers(port), home / "log"):
            yield f"redis://127.0.0.1:{port}/0"


_SCRAPES_ITSELF = """\
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


@contextmanager
def prometheus(config: str = _SCRAPES_ITSELF, openmetrics: str = "", port: int | None = None) -> Iterator[str]:
    """Run a Prometheus server; give its address.

    `config` is a `prometheus.yml`, in which `PORT` stands for its own port; `openmetrics` is history in OpenMetrics'
    text format with timestamps, which is there from the start.
    """
    with folder() as home:
        if docker() and port is None:
            home.chmod(0o755)
            inside, run, create = "/evaluator", "prometheus", "promtool"
            port, listen = 9090, "0.0.0.0:9090"
        else:
            port = free_port() if port is None else port
            inside, listen = str(home), f"127.0.0.1:{port}"
            run, create = binary("prometheus", "prometheus"), binary("promtool", "prometheus")
        (home / "prometheus.yml").write_text(config.replace("PORT", str(port)))
        (home / "history").write_text(openmetrics)
        data = "/prometheus/data" if inside == "/evaluator" else f"{home}/data"
        blocks = [create, "tsdb", "create-blocks-from", "openmetrics", f"{inside}/history", data] if openmetrics else []
        arguments = [
            *(run, f"--config.file={inside}/prometheus.yml", f"--storage.tsdb.path={data}", "--log.level=warn"),
            *("--storage.tsdb.retention.time=100y", f"--web.listen-address={listen}"),
        ]
        if inside == "/evaluator":
            yield from _prometheus_container(home, blocks, arguments)
            return
        if blocks:
            subprocess.run(blocks, check=True, capture_output=True, timeout=START)
        url = f"http://127.0.0.1:{port}"
        with process(arguments, lambda: _fetches(f"{url}/-/ready"), home / "log"):
            yield url


def _prometheus_container(home: Path, blocks: Sequence[str], arguments: Sequence[str]) -> Iterator[str]:
    """Run Prometheus in a container that sees the folder."""
    from testcontainers.core.container import DockerContainer

    script = " && ".join(shlex.join(each) for each in (blocks, ["exec", *arguments]) if each)

    def make() -> DockerContainer:
        container = DockerContainer("prom/prometheus:v2.53.5", entrypoint=["/bin/sh", "-c", script])
        return container.with_exposed_ports(9090).with_volume_mapping(str(home), "/evaluator", "ro")

    with _container(make, 9090) as (host, outside):
        url = f"http://{host}:{outside}"
        deadline = time.monotonic() + START
        while not _fetches(f"{url}/-/ready") and time.monotonic() < deadline:
            time.sleep(0.05)
        yield url


@contextmanager
def postgres(port: int | None = None, **settings: str) -> Iterator[str]:
    """Run a PostgreSQL server; give the address of its database `postgres`. `settings` are of postgresql.conf.

    With `port` it is a local process at that port: for tests that kill a server and start another.
    """
    if docker() and port is None:
        from testcontainers.core.container import DockerContainer

        command = ["postgres", *(f"-c{name}={value}" for name, value in settings.items())]

        def make() -> DockerContainer:
            container = DockerContainer("postgres:16").with_exposed_ports(5432).with_command(command)
            return container.with_env("POSTGRES_PASSWORD", "postgres")

        with _container(make, 5432) as (host, outside):
            url = f"postgresql://postgres:postgres@{host}:{outside}/postgres"
            _wait_for_postgres(url)
            yield url
        return
    with folder() as home:
        yield from _local_postgres(home, settings, free_port() if port is None else port)


def _local_postgres(home: Path, settings: dict[str, str], port: int) -> Iterator[str]:
    """Run the server of this machine; it refuses to run as root, so root runs it as the user `postgres`."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True)
    folders = [str(each) for each in versions]
    initdb, program = (binary(name, "postgresql", folders) for name in ("initdb", "postgres"))
    become: list[str] = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        become = [
            binary("setpriv", "util-linux"),
            f"--reuid={owner.pw_uid}",
            f"--regid={owner.pw_gid}",
            "--clear-groups",
        ]
    data = home / "data"
    create = [
        *become,
        initdb,
        "-D",
        str(data),
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
        "--locale=C",
    ]
    subprocess.run(create, check=True, capture_output=True, timeout=START, cwd=home)
    options = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", **settings}
    arguments = [*become, program, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    arguments += [f"-c{name}={value}" for name, value in options.items()]
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    # With SIGTERM it would wait until all clients have gone.
    with process(arguments, lambda: answers(port), home / "log", signal.SIGINT):
        _wait_for_postgres(url)
        yield url


def _wait_for_postgres(url: str) -> None:
    """Return when the server takes connections: it listens before that."""
    import psycopg

    deadline = time.monotonic() + START
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
