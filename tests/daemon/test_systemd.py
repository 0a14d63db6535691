"""What systemd hears over a real notify socket."""

import signal
import socket
from collections.abc import Iterator

import pytest

from evaluator.testing import servers
from tests.daemon.running import House, Running, rule, until


class Listener:
    """systemd's end of the socket."""

    def __init__(self, path: str) -> None:
        """Listen at this path."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)
        self._heard: list[str] = []

    @property
    def heard(self) -> list[str]:
        """Everything so far, a message each."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def states(self) -> list[str]:
        """Return the first line of each message but the watchdog's."""
        return [message.split("\n")[0] for message in self.heard if message != "WATCHDOG=1"]


@pytest.fixture
def systemd() -> Iterator[Listener]:
    with servers.folder() as folder:
        listener = Listener(str(folder / "notify"))
        yield listener
        listener.close()


def test_systemd_hears_of_start_reload_and_stop(house: House, systemd: Listener) -> None:
    house.rule(rule("errors"))
    daemon = house.run(environ={"NOTIFY_SOCKET": systemd.path})
    until(lambda: systemd.states() == ["READY=1"])
    assert systemd.heard[0] == "READY=1\nSTATUS=1 rule on 1 source"
    daemon.signal(signal.SIGHUP)
    until(lambda: systemd.states() == ["READY=1", "RELOADING=1", "READY=1"])
    begun = int(systemd.heard[1].split("MONOTONIC_USEC=")[1])
    assert begun > 0
    daemon.stop()
    assert systemd.states() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert "WATCHDOG=1" not in systemd.heard


def test_the_watchdog_is_fed(house: House, systemd: Listener) -> None:
    house.rule(rule("errors"))
    house.run(environ={"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "400000"})
    until(lambda: systemd.heard.count("WATCHDOG=1") >= 4)


def test_the_watchdog_of_another_process_is_not_fed(house: House, systemd: Listener) -> None:
    house.rule(rule("errors"))
    environ = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    daemon: Running = house.run(environ=environ)
    until(lambda: daemon.metric("rule_evaluations_total") >= 2)
    assert "WATCHDOG=1" not in systemd.heard
