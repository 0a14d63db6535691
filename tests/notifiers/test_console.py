"""The console: what a person reads, and what becomes of a stdout that is gone, stalled or full."""

import contextlib
import errno
import io
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TextIO

import pytest

from evaluator.engine.rules import Severity
from evaluator.incidents.deliveries import Accepted, Action, Delivery, Outcome, RetryLater
from evaluator.notifiers import console
from evaluator.notifiers.console import ConsoleNotifier, ConsoleSettings
from evaluator.notifiers.notifier import Notifier, NotifierType
from evaluator.testing.notifiers import NOW, NotifierConformance, a_delivery, a_message, run, sent


def console_on(stream: TextIO | None) -> ConsoleNotifier:
    return ConsoleNotifier("console", ConsoleSettings(), "test", stream=stream)


def printed(*deliveries: Delivery) -> str:
    stream = io.StringIO()
    outcomes: list[Outcome] = run(sent(console_on(stream), *deliveries))
    assert outcomes == [Accepted()] * len(deliveries)
    return stream.getvalue()


class TestConformance(NotifierConformance):
    @contextlib.contextmanager
    def fine(self) -> Iterator[Notifier]:
        stream = io.StringIO()
        yield console_on(stream)
        self.without_secrets(stream.getvalue())


def test_it_is_a_notifier_type() -> None:
    kind: NotifierType = ConsoleNotifier
    assert kind.Settings is ConsoleSettings


def test_an_opening_is_one_line_and_why() -> None:
    opened = a_delivery(message=a_message(opened_at=NOW))
    assert printed(opened) == (
        "2026-09-21T14:13:20Z P1 opened: CPU of web-1 is 95 % (infrastructure, cpu-high)\n"
        "    why: 95 % is above 90 % since 10m\n"
        "    runbook: https://runbooks.example.com/cpu-high\n"
    )


def test_a_story_is_opened_raised_updated_resolved() -> None:
    worse = a_message(severity=Severity.P0, at=NOW + 60)
    story = (
        a_delivery(message=a_message(opened_at=NOW)),
        a_delivery(message=worse),
        # The old key ends, the incident does not.
        replace(a_delivery(Action.RESOLVE), message=worse),
        a_delivery(message=replace(worse, at=NOW + 90), accepted=1, accepted_at=NOW + 60),
        a_delivery(Action.ACKNOWLEDGE, worse),
        a_delivery(Action.NOTICE, replace(worse, why="nothing was heard of it for a day")),
        a_delivery(Action.RESOLVE, worse),
    )
    lines = [line.split(" ", 2)[1:] for line in printed(*story).splitlines() if not line.startswith(" ")]
    rest = "CPU of web-1 is 95 % (infrastructure, cpu-high)"
    assert lines == [
        ["P1", f"opened: {rest}"],
        ["P0", f"raised: {rest}"],
        ["P0", f"updated: {rest}"],
        ["P0", f"acknowledged: {rest}"],
        ["P0", f"notice: {rest}"],
        ["P0", f"resolved: {rest}"],
    ]


def test_an_end_says_why() -> None:
    assert "    closed: it has recovered, after 1m\n" in printed(a_delivery(Action.RESOLVE))


def test_a_repeat_is_not_printed_again() -> None:
    repeat = a_delivery(accepted=1, accepted_at=NOW + 1)
    assert printed(a_delivery(), repeat).count("\n") == 3
    assert printed(repeat) == "", "after a restart the row tells"


def test_an_update_that_came_while_the_last_was_printed_is_printed() -> None:
    update = a_delivery(message=a_message(at=NOW + 1), accepted=1, accepted_at=NOW + 2)
    assert printed(a_delivery(), update).count("P1 updated") == 1


def test_a_text_can_forge_neither_a_line_nor_a_colour() -> None:
    text = printed(a_delivery(message=a_message(title="a\n2026 P0 opened: b\x1b[31m", why="x\r\ny\u2028z")))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_a_stdout_that_knows_ascii_only_is_enough() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    assert run(sent(console_on(stream), a_delivery(message=a_message(title="\U0001f525" * 5000, why="ü" * 5000)))) == [
        Accepted()
    ]
    assert len(raw.getvalue()) <= 4000
    assert raw.getvalue().endswith(b"...\n")


def test_only_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "w") as stream:
        run(sent(console_on(stream), a_delivery()))
        assert b"\x1b[1;31mP1\x1b[0m opened" in screen.read(4096).replace(b"open:", b"opened:")
        monkeypatch.setenv("NO_COLOR", "1")
        run(sent(console_on(stream), a_delivery()))
        assert b"\x1b" not in screen.read(4096)


def test_stdout_is_the_stream_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    run(sent(console_on(None), a_delivery()))
    assert "P1 open: CPU of web-1" in capsys.readouterr().out


def test_a_closed_pipe_is_accepted_and_never_tried_again() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        assert run(sent(console_on(stream), a_delivery(), a_delivery(Action.RESOLVE))) == [Accepted(), Accepted()]


def test_a_closed_stdout_is_accepted() -> None:
    stream = io.StringIO()
    stream.close()
    assert run(sent(console_on(stream), a_delivery(), a_delivery())) == [Accepted(), Accepted()]


def test_no_stdout_at_all_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run(sent(console_on(None), a_delivery())) == [Accepted()]


def test_a_daemon_whose_reader_went_away_still_ends_with_0() -> None:
    code = """
        import asyncio, sys
        from evaluator.notifiers.console import ConsoleNotifier, ConsoleSettings
        from evaluator.testing.notifiers import a_delivery, sent
        sys.stdin.read()
        print(asyncio.run(sent(ConsoleNotifier("c", ConsoleSettings(), "i"), a_delivery())), file=sys.stderr)
    """
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE
    ) as process:
        os.close(writing)
        os.close(reading)
        _, errors = process.communicate(b"", timeout=30)
    assert process.returncode == 0, errors
    assert b"[Accepted(" in errors
    assert b"Exception" not in errors


def test_a_reader_that_has_stalled_is_waited_for_but_not_blocked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_PATIENCE", 0.2)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "w") as stream:
        notifier = console_on(stream)
        (outcome,) = run(sent(notifier, a_delivery()), within=5.0)
        assert isinstance(outcome, RetryLater)
        assert not outcome.arrived
        reader.read(65536)
        assert run(sent(notifier, a_delivery())) == [Accepted()]


class _FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_weather() -> None:
    (outcome,) = run(sent(console_on(_FullDisk()), a_delivery()))
    assert outcome == RetryLater("stdout", "stdout: No space left on device")
