"""Which mounted file systems of this machine are worth a series, and how full they are.

This module knows mounts and `statvfs`. A file system may hang (a dead NFS server, a dying disk), so each is asked in a
thread of its own, and one that has not come back is not asked again until it has. It never knows a rule.
"""

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fnmatch import fnmatchcase

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.host_query import HostQuery
from evaluator.sources.names import several
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


def candidates(mounts: Sequence[Mount], wanted: str | tuple[str, ...]) -> set[str]:
    """Return the paths that must be looked at before it is known which mounts a rule means."""
    found: set[str] = set()
    for pattern in several(wanted):
        paths = {mount.path for mount in mounts if _may_mean(pattern, mount)}
        found |= paths if _is_pattern(pattern) else {pattern.rstrip("/") or "/"} & {mount.path for mount in mounts}
    return found


def chosen(
    mounts: Sequence[Mount], wanted: str | tuple[str, ...], files: Collection[str] = ()
) -> tuple[list[Mount], str]:
    """Return the mounts that a rule means, and the exact name that it means in vain (else an empty text).

    `files` are the paths at which a single file is mounted: containers see /etc/hosts as a mount of the host's disk.
    """
    visible = {mount.path: mount for mount in mounts}  # The last one at a path hides those below it.
    found: dict[str, Mount] = {}
    for pattern in several(wanted):
        if not _is_pattern(pattern):
            path = pattern.rstrip("/") or "/"
            if path not in visible:
                return [], path
            found[path] = visible[path]
            continue
        for mount in _distinct(mount for mount in visible.values() if mount.path not in files):
            if _may_mean(pattern, mount):
                found[mount.path] = mount
    return list(found.values()), ""


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _may_mean(pattern: str, mount: Mount) -> bool:
    """Return whether a pattern fits a mount that has a disk behind it."""
    fits = _has_disk(mount) and fnmatchcase(mount.path, pattern)
    return fits and (pattern != "*" or mount.fstype not in REMOTE)


def _has_disk(mount: Mount) -> bool:
    # The root of a container is an overlay; other overlays are containers' views of a disk that is listed itself.
    overlay = mount.fstype in ("overlay", "aufs", "fuse.fuse-overlayfs")
    return mount.fstype not in PSEUDO and (not overlay or mount.path == "/")


def _distinct(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts with a disk behind them, each disk once, at the shortest path, as `df` does it."""
    kept: dict[str, Mount] = {}
    for mount in sorted(filter(_has_disk, mounts), key=lambda each: (len(each.path), each.path)):
        kept.setdefault(mount.device if mount.device.startswith("/") else mount.path, mount)
    return list(kept.values())


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at a mount."""

    usage: os.statvfs_result
    folder: bool


Call = Future[Look]
"""A file system that is being looked at."""


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
        # Polls overlap: each looks at the calls that it found or began.
        calls = {path: self._call(path) for query in queries for path in candidates(mounts, query.mount)}
        # What is no longer mounted is forgotten, unless somebody still waits for it.
        self._asked = {path: call for path, call in self._asked.items() if path in calls or not call.done()}
        futures = [asyncio.wrap_future(_shielded(call)) for call in calls.values()]
        if futures:
            await asyncio.wait(futures, timeout=within)
        files = {path for path, call in calls.items() if _is_file(call)}
        choices = [chosen(mounts, query.mount, files) for query in queries]
        return [
            _missing(vain) if vain else _rows(query, found, labels, calls)
            for query, (found, vain) in zip(queries, choices, strict=True)
        ]

    def _call(self, path: str) -> Call:
        """Return the call that asks a file system: the one under way, or a new one."""
        if path not in self._asked or self._asked[path].done():
            # Both in the thread: whatever is asked of a file system that hangs does not come back.
            self._asked[path] = self._threads.submit(lambda: Look(os.statvfs(path), os.path.isdir(path)))  # noqa: PTH112 - a stat, and no object, for each.
        return self._asked[path]


def _is_file(call: Call) -> bool:
    """Return whether a look is known to have found a single file."""
    return call.done() and not call.cancelled() and call.exception() is None and not call.result().folder


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
        elif (value := _value(query.measure, future.result().usage)) is not None:
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
