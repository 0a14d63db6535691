"""A real RabbitMQ, and real Celery workers and beats, for tests that kill and restart them.

They are always local processes, since tests kill them; where RabbitMQ is not installed, the failure names the Debian
package. What a worker runs is a module that the test writes.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from evaluator.testing.servers import START, answers, binary, folder, free_port

_RABBITMQ_FOLDERS = "/usr/lib/rabbitmq/bin"
VIRTUAL_HOSTS = tuple("abcdefgh")
"""Virtual hosts that every RabbitMQ here has, besides `/`: one for each test that must be alone."""


class RabbitMQ:
    """A local RabbitMQ server. It is root's own node, with its own port mapper, cookie and files."""

    def __init__(self, home: Path, users: Mapping[str, tuple[str, str]], tls: Path | None = None) -> None:
        """Take a folder, and users with their password and the names that they may configure, write and read.

        With `tls`, a folder with `ca.pem`, `cert.pem` and `key.pem`, it speaks TLS as well, at `tls_port`.
        """
        self.tls_port = free_port()
        self.port = free_port()
        self._home = home
        self._distribution, self._mapper = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._program = binary("rabbitmq-server", "rabbitmq-server", [_RABBITMQ_FOLDERS])
        if not self._program.startswith(_RABBITMQ_FOLDERS) and Path(_RABBITMQ_FOLDERS, "rabbitmq-server").exists():
            # Debian's own in /usr/sbin becomes the user `rabbitmq`, and uses the machine's folders.
            self._program = f"{_RABBITMQ_FOLDERS}/rabbitmq-server"
        (home / "env.conf").touch()
        (home / "plugins").write_text("[].")
        (home / "definitions.json").write_text(json.dumps(definitions(users)))
        lines = [f"listeners.tcp.default = 127.0.0.1:{self.port}", f"load_definitions = {home}/definitions.json"]
        if tls is not None:
            files = {"cacertfile": "ca.pem", "certfile": "cert.pem", "keyfile": "key.pem"}
            lines += [f"listeners.ssl.default = 127.0.0.1:{self.tls_port}"]
            lines += [f"ssl_options.{option} = {tls / name}" for option, name in files.items()]
            lines += ["ssl_options.verify = verify_none"]
        (home / "rabbitmq.conf").write_text("\n".join(lines) + "\n")

    def url(self, virtual_host: str = "", user: str = "guest", password: str = "guest") -> str:  # noqa: S107 - its own.
        """Return the address of a virtual host, the default one if none is named."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{virtual_host or '%2F'}"

    def start(self) -> None:
        """Start it, with what it had; return when it takes connections."""
        self._log = (self._home / "log").open("ab")
        self._process = subprocess.Popen(
            [self._program], env=self._environment(), cwd=self._home, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 2 * START
        while not answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = (self._home / "log").read_text(errors="replace")[-800:]
                message = f"RabbitMQ does not start:\n{tail}"
                raise RuntimeError(message)
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()

    def stop(self) -> None:
        """Kill it, and its port mapper."""
        self.kill()
        mapper = binary("epmd", "erlang-base", ["/usr/lib/erlang/bin"])
        deadline = time.monotonic() + 5
        # It stays while it still has the node's name.
        while answers(self._mapper) and time.monotonic() < deadline:
            subprocess.run([mapper, "-port", str(self._mapper), "-kill"], capture_output=True, check=False, timeout=5)
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        """Return what keeps it apart from any other RabbitMQ of this machine."""
        home = self._home
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"evaluator{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            # One scheduler that sleeps when it is idle: it boots with less of the processor.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            # Erlang replaces the shell that starts it, so that there is one process to kill.
            "RUNNING_UNDER_SYSTEMD": "1",
        }


def definitions(users: Mapping[str, tuple[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return RabbitMQ's definitions with the virtual hosts, `guest`, and these users."""
    hosts = ["/", *VIRTUAL_HOSTS]
    everybody = {"guest": ("guest", ".*"), **users}
    return {
        "users": [
            {"name": name, "password": password, "tags": "administrator" if name == "guest" else ""}
            for name, (password, _) in everybody.items()
        ],
        "vhosts": [{"name": host} for host in hosts],
        "permissions": [
            {"user": name, "vhost": host, "configure": names, "write": names, "read": names}
            for name, (_, names) in everybody.items()
            for host in hosts
        ],
    }


@contextmanager
def rabbitmq(users: Mapping[str, tuple[str, str]] | None = None, tls: Path | None = None) -> Iterator[RabbitMQ]:
    """Run a RabbitMQ server of this machine, with these users and this TLS as `RabbitMQ` takes them."""
    with folder() as home:
        server = RabbitMQ(home, users or {}, tls)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@dataclass(frozen=True, slots=True)
class Shared:
    """Where a server listens that several processes use."""

    port: int
    tls_port: int

    def url(self, virtual_host: str = "", user: str = "guest", password: str = "guest") -> str:  # noqa: S107 - its own.
        """Return the address of a virtual host, the default one if none is named."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{virtual_host or '%2F'}"


@contextmanager
def shared_rabbitmq(
    home: Path, users: Mapping[str, tuple[str, str]], certify: Callable[[Path], None]
) -> Iterator[Shared]:
    """Give the one RabbitMQ server of all processes that name this folder, since each boot takes 7 s of a processor.

    Who comes first makes the certificates in the folder (`certify`), starts the server, and stops it when nobody uses
    it any more.
    """
    where, using = home / "where.json", home / "using"
    using.mkdir(parents=True, exist_ok=True)
    mine = using / str(os.getpid())
    with ExitStack() as last:
        with _alone(home):
            mine.touch()
            last.callback(mine.unlink)
            if not where.exists():
                certify(home)
                server = last.enter_context(rabbitmq(users, home))
                where.write_text(json.dumps([server.port, server.tls_port]))
                last.callback(_retire, home, where, using)
        yield Shared(*json.loads(where.read_text()))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other processes out; a process that dies lets them in."""
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _retire(home: Path, where: Path, using: Path) -> None:
    """Return when no other living process uses the server; who comes later starts another one."""
    deadline = time.monotonic() + 10 * START
    while True:
        with _alone(home):
            others = {each.name for each in using.iterdir()} - {str(os.getpid())}
            if not any(Path("/proc", other).exists() for other in others) or time.monotonic() > deadline:
                where.unlink()
                return
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Job:
    """A Celery process."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """Kill it without a warning."""
        self.process.kill()
        self.process.wait()

    def said(self, text: str, within: float = START) -> None:
        """Return when its log has the text."""
        deadline = time.monotonic() + within
        while text not in self.log.read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                message = f"Celery does not say {text!r}:\n{self.log.read_text(errors='replace')[-1500:]}"
                raise RuntimeError(message)
            time.sleep(0.02)


@contextmanager
def celery(home: Path, arguments: Sequence[str], ready: str, **environment: str) -> Iterator[Job]:
    """Run `celery ARGUMENTS` in a folder with the modules of a test; it is ready when its log says so."""
    log = home / f"{free_port()}.log"
    command = [sys.executable, "-m", "celery", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=home, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    job = Job(process, log)
    try:
        job.said(ready)
        yield job
    finally:
        # A prefork worker's children are in its session; one that a test has killed may have left them.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


@contextmanager
def worker(home: Path, app: str, broker: str, *options: str) -> Iterator[Job]:
    """Run a worker of an app (`module:name`); the module finds the broker's address in `BROKER`."""
    arguments = ["-A", app, "worker", "--without-mingle", "-l", "INFO", *options]
    with celery(home, arguments, " ready.", BROKER=broker) as job:
        yield job


@contextmanager
def beat(home: Path, app: str, broker: str, *options: str) -> Iterator[Job]:
    """Run beat of an app."""
    arguments = ["-A", app, "beat", "--pidfile=", "-s", str(home / "beat"), "-l", "INFO", *options]
    with celery(home, arguments, "beat: Starting", BROKER=broker) as job:
        yield job
