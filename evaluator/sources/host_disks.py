"""Which mounted file systems of this machine are worth a series, and how full they are.

This module knows mounts and `statvfs`. A file system may hang (a dead NFS server, a dying disk), so each is asked in a
thread of its own, and one that has not come back is not asked again until it has. It never knows a rule.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fnmatch import fnmatchcase

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.host_query import HostQuery
from evaluator.sources.threads import Threads

PSEUDO = frozenset(
    {
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"),
        *("erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs"),
        *("proc", "pstore", "ramfs", "rootfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs"),
        *("tracefs", "udf"),
    }
)
"""File systems without a disk, in memory, or always full by nature (images); left out unless a rule names the mount."""
REMOTE = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gfs2", "lustre", "ncpfs", "nfs"),
        *("nfs4", "smb3", "smbfs", "virtiofs"),
    }
)
"""File systems of other machines; left out of `*`, since each machine that mounts one would alert."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    device: str
    path: str
    fstype: str

    @property
    def labels(self) -> dict[str, str]:
        """What its series is known by."""
        return {"mount": self.path, "device": self.device, "fstype": self.fstype}


def chosen(mounts: Sequence[Mount], wanted: str | tuple[str, ...]) -> tuple[list[Mount], str]:
    """Return the mounts that a rule means, and the exact name that it means in vain (else an empty text)."""
    visible = {mount.path: mount for mount in mounts}  # The last one at a path hides those below it.
    patterns = (wanted,) if isinstance(wanted, str) else wanted
    found: dict[str, Mount] = {}
    for pattern in patterns:
        if not any(letter in pattern for letter in "*?["):
            path = pattern.rstrip("/") or "/"
            if path not in visible:
                return [], path
            found[path] = visible[path]
            continue
        for mount in _distinct(visible.values()):
            if fnmatchcase(mount.path, pattern) and (pattern != "*" or mount.fstype not in REMOTE):
                found[mount.path] = mount
    return list(found.values()), ""


def _distinct(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts with a disk behind them, each disk once, at the shortest path, as `df` does it."""
    kept: dict[str, Mount] = {}
    for mount in sorted(mounts, key=lambda each: (len(each.path), each.path)):
        # The root of a container is an overlay; other overlays are containers' views of a disk that is listed itself.
        overlay = mount.fstype in ("overlay", "aufs", "fuse.fuse-overlayfs")
        if mount.fstype in PSEUDO or (overlay and mount.path != "/"):
            continue
        # Containers see single files (/etc/hosts) as mounts of the host's disk.
        if mount.fstype in REMOTE or os.path.isdir(mount.path):  # noqa: PTH112 - a stat, and no object, for each.
            kept.setdefault(mount.device if mount.device.startswith("/") else mount.path, mount)
    return list(kept.values())


Call = Future[os.statvfs_result]
"""A file system that is being asked."""


class Disks:
    """How full file systems are, each asked in a thread of its own."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._threads = Threads("evaluator-disks", 8)
        self._asked: dict[str, Call] = {}

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    async def answer(
        self, queries: Sequence[HostQuery], mounts: Sequence[Mount], labels: Mapping[str, str], *, within: float
    ) -> list[PollResult]:
        """Answer each query; a file system that hangs or cannot be read is left out with a warning."""
        choices = [chosen(mounts, query.mount) for query in queries]
        # Polls overlap: each looks at the calls that it found or began.
        calls = {path: self._call(path) for path in {mount.path for found, _ in choices for mount in found}}
        futures = [asyncio.wrap_future(_shielded(call)) for call in calls.values()]
        if futures:
            await asyncio.wait(futures, timeout=within)
        return [
            _missing(vain) if vain else _rows(query, found, labels, calls)
            for query, (found, vain) in zip(queries, choices, strict=True)
        ]

    def _call(self, path: str) -> Call:
        """Return the call that asks a file system: the one under way, or a new one."""
        if path not in self._asked or self._asked[path].done():
            self._asked[path] = self._threads.submit(lambda: os.statvfs(path))
        return self._asked[path]


def _rows(
    query: HostQuery, mounts: Sequence[Mount], labels: Mapping[str, str], calls: Mapping[str, Call]
) -> PollResult:
    """Return a row for each mount that has answered."""
    rows: list[dict[str, str]] = []
    values: list[float] = []
    warnings: list[str] = []
    for mount in mounts:
        future = calls[mount.path]
        if not future.done() or future.cancelled():
            warnings.append(f"the file system at {mount.path} does not answer")
        elif (error := future.exception()) is not None:
            warnings.append(f"the file system at {mount.path} cannot be read: {getattr(error, 'strerror', error)}")
        elif (value := _value(query.measure, future.result())) is not None:
            rows.append({**mount.labels, **labels})
            values.append(value)
    if warnings and not rows:
        hangs = any(warning.endswith("does not answer") for warning in warnings)
        return PollFailed(FailureReason.TIMEOUT if hangs else FailureReason.AUTH, "; ".join(warnings))
    return Samples(rows, values, warnings=tuple(warnings))


def _shielded(future: Call) -> Call:
    """Return a future that ends with this one, and may be cancelled without cancelling it: other polls wait for it."""
    copy: Call = Future()

    def end(done: Call) -> None:
        if copy.set_running_or_notify_cancel() and not done.cancelled():
            error = done.exception()
            if error is None:
                copy.set_result(done.result())
            else:
                copy.set_exception(error)

    future.add_done_callback(end)
    return copy


def _missing(path: str) -> PollFailed:
    """Return the failure for a mount that is named and is not there."""
    return PollFailed(
        FailureReason.BAD_QUERY,
        f"nothing is mounted at {path}: a directory is part of the file system that `df {path}` shows",
    )


def _value(measure: str, usage: os.statvfs_result) -> float | None:
    """Return the value in the measure's unit; `None` where a file system has no such number (inodes of btrfs)."""
    if measure == "disk_inodes":
        return 100.0 * (usage.f_files - usage.f_ffree) / usage.f_files if usage.f_files else None
    if measure == "disk_free":
        return float(usage.f_bavail * usage.f_frsize) if usage.f_blocks else None
    used = usage.f_blocks - usage.f_bfree
    # Blocks that only root may use count as neither used nor available, as `df` counts.
    usable = used + usage.f_bavail
    return 100.0 * used / usable if usable else None
