"""The shipped rules on this machine: a file system that really fills up, and an interface that counts errors.

Which mounts there are, and what interfaces count, psutil reads from a folder that looks like /proc: it is made for
that (`psutil.PROCFS_PATH`, https://psutil.readthedocs.io). The file system is a small one of our own where the
machine lets a test mount one; where it does not (a container without that right), the kernel's answer stands in.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.rules.shipped import watch

SIZE = 8 * 1024 * 1024
Fill = Callable[[float], None]


@contextmanager
def mounted(place: Path) -> Iterator[Path | None]:
    """Mount a file system of 8 MiB that only this test sees; give where, or None where mounting is forbidden."""
    become = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = f"mount -t tmpfs -o size={SIZE} none {place} && echo mounted && exec cat"
    with subprocess.Popen(
        ["unshare", "--mount", *become, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        ready = holder.stdout.readline()
        yield Path(f"/proc/{holder.pid}/root{place}") if ready else None
        holder.stdin.close()


def filled(place: Path) -> Fill:
    """Return what fills a file system up to a share."""

    def fill(share: float) -> None:
        (place / "logs").write_bytes(b"x" * int(SIZE * share))

    return fill


def pretended(place: Path, monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Return what makes the kernel say of a folder that it is a file system filled up to a share."""
    real, shares = os.statvfs, [0.0]

    def statvfs(path: str) -> os.statvfs_result:
        if path != str(place):
            return real(path)
        free = int(2048 * (1 - shares[-1]))
        return os.statvfs_result((4096, 4096, 2048, free, free, 2048, 2047, 2047, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    return shares.append


@pytest.mark.parametrize("real", [True, False])
def test_a_disk_that_fills_up_opens_and_closes_when_there_is_room(
    real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, proc = tmp_path / "disk", tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    place.mkdir()
    with mounted(place) as own, monkeypatch.context() as patch:
        inside = own if real and own is not None else place
        fill = filled(inside) if real and own is not None else pretended(inside, patch)
        (proc / "self" / "mounts").write_text(f"/dev/vdb1 {inside} ext4 rw 0 0\n")
        (proc / "filesystems").write_text("\text4\n")
        with watch("disk-full") as watched, patch.context() as again:
            again.setattr(psutil, "PROCFS_PATH", str(proc))
            fill(0.5)
            watched.is_quiet()
            assert watched.values == [pytest.approx(50, abs=1)]
            fill(0.84)
            watched.is_quiet()
            fill(0.9)
            incident = watched.opens("P2")
            assert incident.title.startswith(f"Disk {inside} is 9")
            assert dict(incident.group) == {"mount": str(inside), "device": "/dev/vdb1", "fstype": "ext4"}
            watched.stays_open_while_blind()
            fill(0.84)
            watched.look_for(1800)
            assert watched.open == [watched.incidents[0]], "a little room is no end"
            fill(0.3)
            watched.closes()


def test_an_interface_with_damaged_packets_opens_and_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "filesystems").write_text("\text4\n")

    def counted(errors: int) -> None:
        """Write /proc/net/dev as the kernel does: 8 numbers received, 8 sent."""
        time.sleep(0.6)  # A rate needs two readings that lie apart on the machine's own clock.
        row = f"  eth0: 1000 10 {errors} 0 0 0 0 0 1000 10 0 0 0 0 0 0"
        (tmp_path / "net" / "dev").write_text(f"Inter-| Receive | Transmit\n face |bytes | bytes\n{row}\n")

    counted(5)
    with watch("network-errors") as watched:
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
        watched.is_quiet(1)
        counted(5)
        watched.is_quiet(1)
        assert watched.values == [0.0], "old errors are no news"
        watched.look_for(600, repeat=True)
        counted(500)
        incident = watched.opens("P2", repeat=True)
        assert incident.title.startswith("Errors on eth0 are increasing: ")
        watched.stays_open_while_blind()
        watched.look_for(1200, repeat=True)
        assert watched.open, "they increase no longer, and are still many"
        counted(500)
        watched.closes(repeat=True)
