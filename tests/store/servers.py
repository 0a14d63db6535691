"""A PostgreSQL server of our own for the tests that must hurt one: stop it, freeze it, start it again.

It runs as another user where we are root, as the server demands, and listens on a free port of the loopback only.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

_PASSWORD = "correct-horse"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if found:
        return found[-1]
    pg_ctl = shutil.which("pg_ctl")
    if pg_ctl is None:
        msg = "PostgreSQL's server programs are not installed"
        raise RuntimeError(msg)
    return Path(pg_ctl).parent


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A server in its own folder, with one role `evaluator` that has a password."""

    def __init__(self) -> None:
        """Make the folder; nothing runs yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="evaluator-postgres-"))
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(_programs() / program), *arguments],
            check=True,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    @property
    def _pg(self) -> str:
        return str(self.folder / "data")

    def create(self) -> None:
        """Make the cluster and start it."""
        secret = self.folder / "password"
        secret.write_text(_PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", self._pg, "-U", "evaluator", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
            f"--pwfile={secret}", "--no-sync",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", self._pg, "-w", "-l", str(self.folder / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """Stop it as an administrator in a hurry does."""
        self._run("pg_ctl", "-D", self._pg, "-w", "-m", "fast", "stop")

    def pids(self) -> list[int]:
        """Return the processes of the server, the first one first."""
        first = int((Path(self._pg) / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def freeze(self) -> None:
        """Make it accept and acknowledge everything, and answer nothing."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def kill_sessions(self) -> None:
        """End every session at once, as an administrator can."""
        for pid in self.pids()[1:]:
            if b"evaluator" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self._run("pg_ctl", "-D", self._pg, "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database on it."""
        return f"postgresql+psycopg://evaluator:{_PASSWORD}@127.0.0.1:{self.port}/{database}"
