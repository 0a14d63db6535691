"""What crashes, full disks, wrong files and a second daemon do to a store: a whole commit or none, and one sentence."""

import contextlib
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from evaluator.engine.trail import CHUNK
from evaluator.incidents.changes import Changes, ChunkKey, Saved
from evaluator.store.errors import CommitFailed, Reason, StoreUnavailable
from evaluator.store.store import Store, open_store
from tests.store.rows import KEY, NOW, a_chunk, a_delivery, an_alert, an_event, an_incident, changes

VERSION = "evaluator_revision"
WRITER = Path(__file__).with_name("writer.py")
HERE = Path(__file__).resolve().parents[2]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(url: str, **how: bool | str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url, **how).close()  # type: ignore[arg-type]
    # One sentence: nothing of the database's own exception, which may quote a row, hangs on it.
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def test_a_kill_at_any_moment_leaves_whole_commits(url: str) -> None:
    chance = random.Random(7)
    for _ in range(4):
        with subprocess.Popen([sys.executable, str(WRITER), url], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            last = int(writer.stdout.readline())
            time.sleep(chance.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            last = max([last, *(int(line) for line in writer.stdout.read().split())])
        with open_store(url, instance="after") as store:
            saved = store.load(NOW)
            found = store.incident(saved.incidents[0].id)
            turned = store.transitions("up", limit=10_000)
        assert found is not None
        number = int(found[0].value or 0)
        assert number in {last, last + 1}
        assert {alert.value for alert in saved.alerts} == {number}
        assert len(saved.alerts) == 20
        assert [delivery.attempts for delivery in saved.deliveries] == [number]
        assert [kept.absent for kept in saved.series] == [number]
        assert [kept.at for kept in saved.judged] == [number]
        assert [silence.ends_at for silence in saved.silences] == [NOW + number]
        assert [chunk[0] for chunk in saved.chunks.values()] == [number] * 3
        assert [row.at for row in turned] == [float(line) for line in range(number, 0, -1)]
        assert [event.text for event in found[1]] == [str(line) for line in range(1, number + 1)]


def test_ten_thousand_alerts_are_committed_and_loaded_in_time(store: Store) -> None:
    many = tuple(an_alert(f"rule-{number % 100}", (("host", f"web-{number}"),)) for number in range(10_000))
    begin = time.perf_counter()
    store.commit(changes(alerts=many))
    store.commit(changes(alerts=many))
    assert len(store.load(NOW).alerts) == 10_000
    # About 0.8 s on two slow cores; what must not happen is a round trip or a flush for each row.
    assert time.perf_counter() - begin < 10


def test_two_million_kept_samples_are_committed_and_loaded_in_time(store: Store) -> None:
    chunk = a_chunk(*(0.1 * number for number in range(CHUNK)))
    keys = [
        ChunkKey("cpu", 300.0, (("host", f"web-{series}"),), number) for series in range(244) for number in range(32)
    ]
    begin = time.perf_counter()
    store.commit(Changes(chunks=dict.fromkeys(keys, chunk)))
    assert store.load(NOW).chunks == dict.fromkeys(keys, chunk)
    # About 3 s on two slow cores; a start waits for it.
    assert time.perf_counter() - begin < 15


def test_readers_are_not_held_up_by_the_writer(store: Store) -> None:
    done = threading.Event()

    def read() -> None:
        store.check()
        store.incidents(10)
        done.set()

    def work(connection: object) -> None:
        del connection
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(5)

    store.commit(changes(incidents=(an_incident(),)))
    store._backend.write(work, 10)
    assert done.is_set()


def test_a_second_daemon_is_refused_and_the_first_goes_on(impatient: None, url: str) -> None:
    with open_store(url, instance="production") as first:
        said = refusal(url, instance="production")
        assert said.reason is Reason.LOCKED
        assert "already used by evaluator production" in said.message
        first.commit(changes(alerts=(an_alert(),)))
        with open_store(url, read_only=True) as reader:
            assert reader.load(NOW).alerts == [an_alert()]
    with open_store(url, instance="production") as next_one:
        assert next_one.load(NOW).alerts == [an_alert()]


def test_holding_twice_is_holding_once(impatient: None, url: str) -> None:
    with open_store(url) as store:
        store.commit(changes(alerts=(an_alert(),)))
        store.hold("production")
        store.hold("production")
        store.commit(changes(alerts=(an_alert(reason="after"),)))
        assert refusal(url, instance="other").reason is Reason.LOCKED
        assert store.load(NOW).alerts == [an_alert(reason="after")]


def test_a_killed_daemon_leaves_no_lock(impatient: None, url: str) -> None:
    with subprocess.Popen([sys.executable, str(WRITER), url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert refusal(url, instance="other").reason is Reason.LOCKED
        writer.kill()
    open_store(url, instance="other").close()


def test_a_newer_revision_is_refused_and_left_alone(url: str) -> None:
    with open_store(url) as store:
        store.commit(changes(alerts=(an_alert(),)))
        store._backend.write(lambda connection: connection.execute(text(f"UPDATE {VERSION} SET version_num = '9f'")), 5)
    for read_only in (False, True):
        said = refusal(url, read_only=read_only)
        assert "was written by a newer evaluator (revision 9f" in said.message


def test_an_older_revision_is_not_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(url).close()
    monkeypatch.setattr("evaluator.store.migrate._known", lambda: ("9999", "0002", "0001"))
    assert "was written by an older evaluator (revision 0002" in refusal(url, read_only=True).message


def test_reading_only_never_makes_anything(tmp_path: Path) -> None:
    said = refusal(f"sqlite:///{tmp_path}/none/evaluator.db", read_only=True)
    assert "does not exist: start `evaluator run` once" in said.message
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_not_read(database: str) -> None:
    assert "is empty: start `evaluator run` once" in refusal(database, read_only=True).message


def test_reading_only_writes_nothing(url: str) -> None:
    open_store(url).close()
    with open_store(url, read_only=True) as store, pytest.raises(CommitFailed) as caught:
        store.commit(changes(alerts=(an_alert(),)))
    assert caught.value.reason is Reason.READONLY
    with open_store(url) as store:
        assert store.load(NOW) == Saved()


def test_only_its_owner_can_read_the_file(file_url: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_store(file_url, instance="production") as store:
            store.commit(changes(incidents=(an_incident(),), deliveries=(a_delivery(),)))
            folder = tmp_path / "state"
            names = {path.name for path in folder.iterdir()}
            assert names == {"evaluator.db", "evaluator.db-wal", "evaluator.db-shm", "evaluator.db.lock"}
            assert {mode_of(path) for path in folder.iterdir()} == {0o600}
            assert mode_of(folder) == 0o700
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_narrowed(file_url: str, tmp_path: Path) -> None:
    open_store(file_url).close()
    path = tmp_path / "state" / "evaluator.db"
    path.chmod(0o644)
    open_store(file_url).close()
    assert mode_of(path) == 0o600


def test_every_commit_is_flushed_to_the_disk(file_url: str) -> None:
    with open_store(file_url) as store:
        settings = store._backend.read(
            lambda connection: [
                connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ],
            5,
        )
    assert settings == ["wal", 2, 1, 5000]


@pytest.mark.parametrize("damage", ["not a database at all" * 100, ""])
def test_a_file_that_is_no_database(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "evaluator.db"
    path.write_text(damage)
    if not damage:
        # An empty file is how SQLite's databases begin.
        open_store(f"sqlite:///{path}").close()
        return
    said = refusal(f"sqlite:///{path}")
    assert said.message == f"the store {path} cannot be opened: it is not an SQLite database"
    assert said.reason is Reason.CORRUPT
    assert path.read_text() == damage


def test_a_damaged_file_is_named_and_kept(file_url: str, tmp_path: Path) -> None:
    with open_store(file_url) as store:
        store.commit(changes(alerts=tuple(an_alert(f"rule-{number}") for number in range(500))))
    path = tmp_path / "state" / "evaluator.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'alerts'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    with open_store(file_url) as store:
        with pytest.raises(StoreUnavailable, match="damaged: restore a backup") as read:
            store.load(NOW)
        with pytest.raises(CommitFailed) as write:
            store.commit(changes(alerts=tuple(an_alert(f"new-{number}") for number in range(500))))
    assert read.value.reason is write.value.reason is Reason.CORRUPT


def test_a_file_that_is_damaged_from_its_beginning_is_not_opened(file_url: str, tmp_path: Path) -> None:
    open_store(file_url).close()
    path = tmp_path / "state" / "evaluator.db"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    assert "damaged: restore a backup" in refusal(file_url).message


@pytest.mark.parametrize("broken", ["state = 'sleeping'", "series = '{'"])
def test_a_row_that_cannot_be_read_is_no_traceback(file_url: str, broken: str) -> None:
    with open_store(file_url) as store:
        store.commit(changes(alerts=(an_alert(),)))
        store._backend.write(lambda connection: connection.execute(text(f"UPDATE alerts SET {broken}")), 5)
        with pytest.raises(StoreUnavailable, match="a row that this version cannot read") as caught:
            store.load(NOW)
    assert caught.value.reason is Reason.CORRUPT


def test_a_file_that_was_replaced_is_not_written(file_url: str, tmp_path: Path) -> None:
    path = tmp_path / "state" / "evaluator.db"
    with open_store(file_url) as store:
        path.rename(tmp_path / "moved.db")
        with pytest.raises(CommitFailed, match="removed or replaced") as caught:
            store.commit(changes(alerts=(an_alert(),)))
        assert caught.value.reason is Reason.UNREACHABLE
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            store.check()
        assert not path.exists()


def test_a_lock_of_another_process_ends_the_wait(impatient: None, file_url: str, tmp_path: Path) -> None:
    with open_store(file_url) as store:
        other = sqlite3.connect(tmp_path / "state" / "evaluator.db", isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            begin = time.perf_counter()
            with pytest.raises(CommitFailed) as caught:
                store.commit(changes(alerts=(an_alert(),)))
            assert 0.5 < time.perf_counter() - begin < 9
            assert caught.value.reason is Reason.LOCKED
            store.check()
        store.commit(changes(alerts=(an_alert(),)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 8 MB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount here; `test_a_file_that_may_not_grow` covers the same path")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_takes_the_whole_commit_or_nothing_and_ends(small_disk: Path) -> None:
    with open_store(f"sqlite:///{small_disk / 'evaluator.db'}", instance="production") as store:
        store.commit(changes(alerts=(an_alert(reason="before"),), incidents=(an_incident(),)))
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as full:
            while True:
                full.write(bytes(4096))
        more = changes(
            alerts=(an_alert(reason="after"),),
            events=tuple(an_event(text=f"{number}" * 1000) for number in range(500)),
        )
        for _ in range(3):
            with pytest.raises(CommitFailed) as caught:
                store.commit(more)
            assert caught.value.reason is Reason.DISK_FULL
            assert store.load(NOW).alerts == [an_alert(reason="before")]
        ballast.unlink()
        store.commit(more)
        assert store.load(NOW).alerts == [an_alert(reason="after")]


def test_a_full_disk_refuses_a_start_in_one_sentence(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as full:
        while True:
            full.write(bytes(4096))
    said = refusal(f"sqlite:///{small_disk / 'evaluator.db'}")
    assert said.reason is Reason.DISK_FULL
    ballast.unlink()
    open_store(f"sqlite:///{small_disk / 'evaluator.db'}").close()


AS_NOBODY = """
import os, resource, sys, tempfile
sys.path.insert(0, sys.argv[2])
from evaluator.store.errors import CommitFailed, StoreUnavailable
from evaluator.store.store import open_store
from tests.store.rows import an_alert, an_event, an_incident, changes, NOW
# Whatever is imported late must be there before: the other user may not be allowed to read this Python.
with tempfile.TemporaryDirectory() as folder:
    open_store(f"sqlite:///{folder}/evaluator.db").close()
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    store = open_store(sys.argv[1], read_only=sys.argv[3] == "read")
    if sys.argv[3] == "grow":
        store.commit(changes(incidents=(an_incident(),), alerts=(an_alert(),)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        lines = tuple(an_event(text=f"{number}" * 1000) for number in range(500))
        try:
            store.commit(changes(alerts=(an_alert(reason="after"),), events=lines))
        except CommitFailed as error:
            print(error.reason, store.load(NOW).alerts == [an_alert()], len(store.incident(an_incident().id)[1]))
    else:
        print(store.load(NOW).alerts)
except StoreUnavailable as error:
    print(error.reason, error.message)
"""


def as_nobody(url: str, what: str) -> str:
    """Return what a process without root's rights prints."""
    program = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, url, str(HERE), what], check=False, capture_output=True, text=True, timeout=60
    )
    assert not program.stderr, program.stderr
    return program.stdout.strip()


@pytest.fixture
def theirs() -> Iterator[Path]:
    """Give a folder of a user who is not root; pytest's own cannot be entered by others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        yield folder


def give(folder: Path) -> None:
    """Let the other user own everything in the folder."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)


def test_a_folder_that_may_only_be_read(theirs: Path) -> None:
    theirs.chmod(0o500)
    said = as_nobody(f"sqlite:///{theirs}/evaluator.db", "write")
    assert said == f"readonly the store {theirs}/evaluator.db cannot be opened: Permission denied"
    theirs.chmod(0o700)


def test_a_folder_that_may_only_be_read_with_a_file_in_it(theirs: Path) -> None:
    open_store(f"sqlite:///{theirs}/evaluator.db").close()
    give(theirs)
    theirs.chmod(0o500)
    said = as_nobody(f"sqlite:///{theirs}/evaluator.db", "write")
    assert said.startswith(f"readonly the store {theirs}/evaluator.db cannot be opened: its folder {theirs} may only")
    theirs.chmod(0o700)


def test_somebody_else_may_not_read_the_file(theirs: Path) -> None:
    open_store(f"sqlite:///{theirs}/evaluator.db").close()
    said = as_nobody(f"sqlite:///{theirs}/evaluator.db", "read") if os.geteuid() == 0 else "unreachable"
    assert said.split()[0] in {"unreachable", "readonly"}
    assert "Traceback" not in said


def test_a_file_that_may_not_grow(theirs: Path) -> None:
    assert as_nobody(f"sqlite:///{theirs}/evaluator.db", "grow") == "unreachable True 0"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://root:hunter22@db/x", "begins with mysql"),
        ("postgresql+asyncpg://u:hunter22@db/x", "begins with postgresql+asyncpg"),
        ("no url with hunter22", "cannot be read"),
        ("postgresql://u:hunter22@db:port/x", "cannot be read"),
        ("postgresql://u:hunt@er22@db/x", "has an @ in it: write it as %40"),
        ("sqlite:////proc/none/evaluator.db", "No such file or directory"),
        ("sqlite:////etc", "Is a directory"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_the_secret(url: str, said: str) -> None:
    refused = refusal(url)
    assert said in refused.message
    assert "hunter22" not in refused.message
    assert "er22" not in refused.message


def test_no_secret_in_errors_or_repr(url: str) -> None:
    with open_store(url) as store:
        nowhere = a_delivery(incident="nowhere")
        with pytest.raises(CommitFailed) as caught:
            store.commit(changes(deliveries=(nowhere,)))
        shown = f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r} {store!r} {store._backend!r}"
    assert KEY not in shown
    assert "correct-horse" not in shown
