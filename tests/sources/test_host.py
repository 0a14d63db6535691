"""The source `host` on this very machine, and on the machines that cannot be had for a test."""

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.host import HostSource
from evaluator.sources.host_disks import Disks, Mount, chosen
from evaluator.sources.host_query import HostQuery
from evaluator.testing.sources import SourceConformance, build, polled, query, run


def ask(*queries: Mapping[str, Any] | str, gap: float = 0.0, **settings: object) -> list[PollResult]:
    """Return the last of two polls, or of one where there is no gap."""
    asked = [query(HostSource, each if isinstance(each, Mapping) else {"measure": each}) for each in queries]

    async def poll() -> list[PollResult]:
        source = build(HostSource, settings)
        await source.open()
        answers = await source.poll(asked, 0)
        if gap:
            await asyncio.sleep(gap)
            answers = await source.poll(asked, 0)
        await source.close()
        return answers

    answers: list[PollResult] = run(poll())
    return answers


def values(result: PollResult) -> list[float]:
    assert isinstance(result, Samples), result
    return list(result.values)


class TestConformance(SourceConformance):
    kind = HostSource
    queries = (
        {"measure": "memory"},
        {"measure": "memory_available"},
        {"measure": "load"},
        {"measure": "load", "minutes": 1, "per_core": False},
        {"measure": "disk", "mount": "/"},
        {"measure": "disk"},
        {"measure": "disk_free"},
        {"measure": "disk_inodes", "mount": "/"},
        {"measure": "network_bytes"},
        {"measure": "network_errors", "interface": "lo"},
        {"measure": "uptime"},
        {"measure": "processes"},
        {"measure": "up"},
    )

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        yield {"host": "web-1"}


def test_the_processor_is_measured_between_two_polls_and_never_guessed() -> None:
    assert values(ask("cpu")[0]) == []
    each = {"measure": "cpu", "each": True}
    stop = time.monotonic() + 1.2
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(psutil.cpu_count() or 1)]
    try:
        whole, cores = ask("cpu", each, gap=stop - time.monotonic())
    finally:
        for process in busy:
            process.kill()
            process.wait()
    (percent,) = values(whole)
    assert 60 < percent <= 100
    assert isinstance(cores, Samples)
    assert [row["cpu"] for row in cores.labels] == [str(number) for number in range(psutil.cpu_count() or 1)]
    assert all(0 <= value <= 100 for value in cores.values)


def test_two_polls_in_the_same_moment_do_not_make_noise() -> None:
    asked = [query(HostSource, {"measure": "cpu"})]

    async def polls() -> list[list[float]]:
        source = build(HostSource, {})
        seen = []
        for pause in (0.0, 0.7, 0.0):
            await asyncio.sleep(pause)
            seen.append(values((await source.poll(asked, 0))[0]))
        await source.close()
        return seen

    first, second, third = run(polls())
    assert first == []
    assert second == third
    assert len(second) == 1


@pytest.mark.parametrize("mount", ["/", "/dev/shm"])
def test_a_disk_is_as_full_as_df_says(mount: str) -> None:
    (percent,) = values(ask({"measure": "disk", "mount": mount})[0])
    df = shutil.which("df")
    assert df is not None
    shown = subprocess.run([df, "--output=pcent", mount], check=True, capture_output=True, text=True).stdout
    # `df` rounds up.
    assert percent <= float(shown.split()[1].rstrip("%")) <= percent + 1.1


def test_the_other_measures_agree_with_the_machine() -> None:
    memory, available, load, uptime, processes, sent = ask(
        "memory",
        "memory_available",
        {"measure": "load", "minutes": 15, "per_core": False},
        "uptime",
        "processes",
        {"measure": "network_bytes", "interface": "lo", "direction": "out"},
    )
    total = psutil.virtual_memory().total
    assert values(memory)[0] == pytest.approx(100 - 100 * values(available)[0] / total, abs=3)
    assert values(load)[0] == pytest.approx(os.getloadavg()[2], abs=0.5)
    assert values(uptime)[0] == pytest.approx(time.time() - psutil.boot_time(), abs=600)
    assert values(processes)[0] == pytest.approx(len(psutil.pids()), abs=50)
    assert isinstance(sent, Samples)
    assert [dict(row) for row in sent.labels] == [{"interface": "lo"}]


def test_the_host_label_is_there_when_it_is_asked_for() -> None:
    assert ask("memory")[0].labels == [{}]  # type: ignore[union-attr]
    memory, disk = ask("memory", {"measure": "disk", "mount": "/"}, host="web-1")
    assert memory.labels == [{"host": "web-1"}]  # type: ignore[union-attr]
    assert disk.labels[0]["host"] == "web-1"  # type: ignore[union-attr]


MACHINE = [
    Mount("proc", "/proc", "proc"),
    Mount("/dev/sda1", "/", "ext4"),
    Mount("/dev/sda1", "/var/lib/app", "ext4"),
    Mount("tmpfs", "/run", "tmpfs"),
    Mount("/dev/loop0", "/snap/core", "squashfs"),
    Mount("overlay", "/var/lib/docker/overlay2/abc/merged", "overlay"),
    Mount("/dev/sdb1", "/home", "xfs"),
    Mount("tank/data", "/srv", "zfs"),
    Mount("nas:/export", "/mnt/nas", "nfs4"),
    Mount("/dev/sdc1", "/secret", "ext4"),
    Mount("tmpfs", "/secret", "tmpfs"),
]


def test_each_disk_is_listed_once_and_without_pseudo_file_systems() -> None:
    found, vain = chosen(MACHINE, "*")
    assert {mount.path for mount in found} == {"/", "/home", "/srv"}
    assert not vain


def test_what_a_rule_names_is_taken_whatever_it_is() -> None:
    assert [mount.path for mount in chosen(MACHINE, ("/mnt/nas", "/run", "/var/lib/app/"))[0]] == [
        "/mnt/nas",
        "/run",
        "/var/lib/app",
    ]
    assert {mount.path for mount in chosen(MACHINE, "/mnt/*")[0]} == {"/mnt/nas"}
    assert chosen(MACHINE, ("/", "/nowhere")) == ([], "/nowhere")


def disks(mounts: list[Mount], mount: str | list[str], within: float = 5.0) -> PollResult:
    """Return what is said of these mounts, and fail where the loop was held up meanwhile."""

    async def answer() -> PollResult:
        looked = Disks()
        asked = HostQuery.model_validate({"measure": "disk", "mount": mount})
        loop = asyncio.get_running_loop()
        started = loop.time()
        waiting = asyncio.create_task(looked.answer([asked], mounts, {}, within=within))
        await asyncio.sleep(0)
        assert loop.time() - started < 0.5, "the loop was held up"
        (result,) = await waiting
        looked.close()
        return result

    result: PollResult = run(answer())
    return result


def test_the_root_of_a_container_is_a_disk_and_its_bound_files_are_none(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("")
    deeper = tmp_path / "hosts.d"
    deeper.mkdir()
    container = [Mount("overlay", "/", "overlay"), Mount("/dev/vda1", str(file), "ext4")]
    result = disks([*container, Mount("/dev/vda1", str(deeper), "ext4")], "*")
    assert isinstance(result, Samples)
    assert [labels["mount"] for labels in result.labels] == ["/", str(deeper)]
    result = disks(container, str(file))
    assert isinstance(result, Samples)
    assert [labels["mount"] for labels in result.labels] == [str(file)]


def test_a_disk_that_hangs_at_any_question_never_holds_up_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    real = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: free.wait(1) if path == "/dying" else real(path))
    statvfs = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: statvfs("/" if path == "/dying" else path))
    result = disks([Mount("/dev/sda1", "/", "ext4"), Mount("/dev/sdb1", "/dying", "ext4")], "*", within=0.2)
    free.set()
    assert isinstance(result, Samples)
    assert [labels["mount"] for labels in result.labels] == ["/"]
    assert result.warnings == ("the file system at /dying does not answer",)


def test_a_mount_that_is_not_there_is_a_failed_poll() -> None:
    (result,) = ask({"measure": "disk", "mount": "/no/such/mount"})
    assert isinstance(result, PollFailed)
    assert result.reason is FailureReason.BAD_QUERY
    assert "/no/such/mount" in result.message


def test_a_file_system_that_hangs_is_left_out_and_asked_again_only_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = threading.Event()
    asked: list[str] = []

    def statvfs(path: str) -> Any:  # noqa: ANN401
        asked.append(path)
        if path == "/mnt/nas":
            free.wait(10)
        return SimpleNamespace(f_blocks=100, f_bfree=30, f_bavail=20, f_frsize=4096, f_files=0, f_ffree=0)

    monkeypatch.setattr(os, "statvfs", statvfs)
    mounts = [SimpleNamespace(device=each.device, mountpoint=each.path, fstype=each.fstype) for each in MACHINE]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    both = query(HostSource, {"measure": "disk", "mount": ["/", "/mnt/nas"]})
    alone = query(HostSource, {"measure": "disk", "mount": "/mnt/nas"})
    inodes = query(HostSource, {"measure": "disk_inodes", "mount": "/"})

    async def story() -> list[list[PollResult]]:
        source = build(HostSource, {"timeout": "300ms"})
        answers = [await source.poll([both, alone, inodes], 0) for _ in range(2)]
        free.set()
        await asyncio.sleep(0.1)
        answers.append(await source.poll([both, alone, inodes], 0))
        await source.close()
        return answers

    first, second, third = run(story())
    for shared, single, none in (first, second):
        assert values(shared) == [pytest.approx(100 * 70 / 90)]
        assert isinstance(shared, Samples)
        assert shared.warnings == ("the file system at /mnt/nas does not answer",)
        assert isinstance(single, PollFailed)
        assert single.reason is FailureReason.TIMEOUT
        assert values(none) == []
    assert len(values(third[0])) == 2
    assert asked.count("/mnt/nas") == 2


def test_what_cannot_be_read_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(**_: object) -> Any:  # noqa: ANN401
        raise FileNotFoundError(2, "No such file or directory", "/proc/stat")

    monkeypatch.setattr(psutil, "cpu_times", hidden)
    monkeypatch.setattr(psutil, "pids", lambda: [4711])
    cpu, processes, memory = ask("cpu", "processes", "memory")
    assert isinstance(cpu, PollFailed)
    assert cpu.reason is FailureReason.AUTH
    assert "/proc/stat: No such file or directory" in cpu.message
    assert isinstance(processes, PollFailed)
    assert "ProtectProc" in processes.message
    assert len(values(memory)) == 1


def test_a_machine_without_swap_has_no_such_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=0, used=0))
    (none,) = ask("swap")
    assert values(none) == []
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=200, used=50))
    assert values(ask("swap")[0]) == [25.0]


def test_network_errors_are_counts_or_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([10, 10, 40, 40, 5, 5])

    def counters(**_: object) -> dict[str, object]:
        return {"eth0": SimpleNamespace(errin=next(counts), errout=2, dropin=0, dropout=0)}

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    rate = query(HostSource, {"measure": "network_errors", "per": "1m"})
    count = query(HostSource, {"measure": "network_errors", "direction": "in"})

    async def polls() -> list[list[PollResult]]:
        source = build(HostSource, {})
        seen = []
        for _ in range(3):
            seen.append(await source.poll([rate, count], 0))
            await asyncio.sleep(0.6)
        await source.close()
        return seen

    first, second, third = run(polls())
    assert [values(each) for each in first] == [[], [10.0]]
    assert values(second[1]) == [40.0]
    assert values(second[0])[0] == pytest.approx(30 / 0.6 * 60, rel=0.3)
    # The counter began anew: what it has now is what has grown.
    assert values(third[0])[0] == pytest.approx(7 / 0.6 * 60, rel=0.3)


def test_what_does_not_fit_together_is_refused() -> None:
    for fields in (
        {"measure": "cpu", "mount": "/"},
        {"measure": "memory", "per": "1m"},
        {"measure": "load", "minutes": 2},
        {"measure": "disk", "interface": "eth0"},
        {"measure": "temperature"},
    ):
        with pytest.raises(ValueError, match=r".+"):
            query(HostSource, fields)


def test_many_queries_are_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    real = psutil.virtual_memory

    def read() -> Any:  # noqa: ANN401
        reads.append(1)
        return real()

    monkeypatch.setattr(psutil, "virtual_memory", read)
    queries = [query(HostSource, {"measure": "memory"}) for _ in range(1000)]
    (answers,) = run(polled(build(HostSource, {}), queries))
    assert len(answers) == 1000
    assert len(reads) == 1


def examined(*queries: Mapping[str, Any]) -> dict[str, Checkup]:
    async def story() -> list[Checkup]:
        source = build(HostSource, {})
        await source.open()
        try:
            found: list[Checkup] = await source.examine([query(HostSource, each) for each in queries], 0)  # type: ignore[attr-defined]
        finally:
            await source.close()
        return found

    return {each.subject: each for each in run(story())}


def test_a_checkup_reads_what_rules_ask_for_and_what_they_usually_do() -> None:
    found = examined({"measure": "disk", "mount": "/"}, {"measure": "disk", "mount": "/no/such/mount"})
    assert found["measure disk of /"].grade is Grade.FINE
    wrong = found["measure disk of /no/such/mount"]
    assert wrong.grade is Grade.WRONG
    assert "`mount`" in wrong.mend
    assert found["measure cpu"].grade is Grade.FINE
    assert found["measure memory"].grade is Grade.FINE


def test_a_checkup_says_how_to_show_what_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "pids", lambda: [4711])

    def hidden() -> None:
        raise PermissionError(13, "Permission denied", "/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    found = examined({"measure": "memory"})
    assert found["measure memory"].grade is Grade.WRONG
    assert "ProcSubset=all" in found["measure memory"].mend
    # No rule asks for it, so no rule is blind.
    assert found["measure processes"].grade is Grade.WARNING
    assert "ProtectProc=default" in found["measure processes"].mend


def test_a_checkup_leaves_the_last_readings_to_the_polls() -> None:
    async def story() -> list[int]:
        source: Any = build(HostSource, {})
        await source.open()
        cpu = query(HostSource, {"measure": "cpu"})
        await source.examine([cpu], 0)
        counts = []
        for _ in range(2):
            (answer,) = await source.poll([cpu], 0)
            counts.append(len(answer))
            await asyncio.sleep(0.7)
        await source.close()
        assert source.usage() == {"requests": 3.0}
        return counts

    assert run(story()) == [0, 1]
