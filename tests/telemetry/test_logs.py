import io
import json
import logging
import os
import warnings
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from evaluator.telemetry import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for name in (*logs._LIBRARIES, *logs._ALWAYS_QUIET):
        logging.getLogger(name).setLevel(logging.NOTSET)


def written(level: str = "info", *, as_json: bool | None = True) -> io.StringIO:
    stream = io.StringIO()
    logs.setup(level, as_json, stream)
    return stream


def log() -> structlog.stdlib.BoundLogger:
    found: structlog.stdlib.BoundLogger = structlog.get_logger("evaluator.test")
    return found


def test_json_has_one_object_a_line_with_time_level_and_logger() -> None:
    stream = written()
    log().warning("poll failed", source="redis", reason="timeout")
    entry = json.loads(stream.getvalue())
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "poll failed",
        "level": "warning",
        "logger": "evaluator.test",
        "source": "redis",
        "reason": "timeout",
    }


def test_elsewhere_it_is_logfmt_on_one_line_whatever_is_logged() -> None:
    stream = written(as_json=None)
    log().info("opened", title='two\nlines "quoted"')
    assert stream.getvalue().count("\n") == 1
    assert 'level=info event=opened logger=evaluator.test title="two\\nlines \\"quoted\\""' in stream.getvalue()


def test_a_terminal_gets_colours_but_no_values_of_locals_in_a_traceback() -> None:
    stream = Terminal()
    logs.setup("info", None, stream)
    hidden = "hunter2 of a local"
    try:
        int("boom")
    except ValueError:
        log().exception("a poll failed")
    assert "\x1b[" in stream.getvalue()
    assert "ValueError: invalid literal" in stream.getvalue()
    assert hidden not in stream.getvalue()


def test_journald_gets_priorities_and_no_second_timestamp(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader) as lines:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.setup("info", None, stream)
        log().error("the store is full", path="/var")
        log().info("fine")
        stream.flush()
        assert lines.readline() == '<3>event="the store is full" logger=evaluator.test path=/var\n'
        assert lines.readline() == "<6>event=fine logger=evaluator.test\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_written_by_us_or_by_a_library(as_json: bool) -> None:
    stream = written(as_json=as_json)
    log().info("made", settings=SecretStr("hunter2"), routing_key="hunter2", nested={"password": "hunter2"})
    log().info("asking http://app:hunter2@host/")
    logging.getLogger("some.library").warning("GET %s", "http://host/?token=hunter2")
    try:
        int("redis://:hunter2@cache")
    except ValueError:
        log().exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 6


def test_libraries_are_heard_only_where_something_is_wrong() -> None:
    stream = written("info")
    logging.getLogger("httpx").info("HTTP Request: GET http://localhost")
    logging.getLogger("apscheduler.scheduler").info("Added job")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert not stream.getvalue()
    logging.getLogger("uvicorn.error").error("Invalid HTTP request received.")
    assert json.loads(stream.getvalue())["logger"] == "uvicorn.error"


def test_debug_lets_libraries_speak_but_never_of_statements_and_requests() -> None:
    stream = written("debug")
    logging.getLogger("apscheduler.scheduler").info("Added job")
    logging.getLogger("httpx").info("HTTP Request: GET https://heartbeat.example.com/2f1e9a34")
    logging.getLogger("httpcore.http11").info("send_request_headers.started")
    logging.getLogger("sqlalchemy.engine").info("INSERT INTO deliveries VALUES ('key')")
    log().debug("slot", at=1)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["Added job", "slot"]


def test_a_level_holds_back_what_is_below_it() -> None:
    stream = written("error")
    log().warning("no")
    logging.getLogger("httpx").warning("no")
    log().error("yes")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_setting_up_again_replaces_what_was_there() -> None:
    first = written()
    second = written()
    log().info("once")
    assert not first.getvalue()
    assert second.getvalue().count("once") == 1


def test_a_warning_of_python_becomes_a_line_of_the_log() -> None:
    stream = written()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old name", DeprecationWarning, stacklevel=1)
    assert "old name" in json.loads(stream.getvalue())["event"]


def test_an_unknown_level_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="use one of debug, info, warning, error"):
        logs.setup("loud")


def test_a_stream_without_a_file_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not logs.to_journal(io.StringIO())


NASTY = "a\x00b\x07c\x1b[31md\x7fe\x9bf\u2028g\u202eh\u2066i\rj\nk\tl\ud800m"


@pytest.mark.parametrize("text", [NASTY, f"with spaces {NASTY}"])
@pytest.mark.parametrize("kind", ["json", "logfmt", "terminal"])
def test_no_label_reaches_a_terminal_as_a_command(kind: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal() if kind == "terminal" else io.StringIO()
    logs.setup("info", kind == "json" or None, stream)
    log().info(text, text=text, nested={text: [text]}, several=[text])
    logging.getLogger("some.library").warning("said %s", text)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert all(letter.isprintable() or letter == "\n" for letter in written)
    assert "\\u202e" in written
    written.encode()
    if kind == "json":
        entry = json.loads(written.splitlines()[0])
        assert entry["event"] == entry["text"] == entry["several"][0] == text
    else:
        assert "\\x1b[31m" in written


def test_a_traceback_keeps_its_lines_on_a_terminal_only_and_its_control_characters_nowhere() -> None:
    for stream, lines in ((Terminal(), True), (io.StringIO(), False)):
        logs.setup("info", None, stream)
        try:
            int("\x9b\x1b[2J boom")
        except ValueError as error:
            error.add_note("noted \x1b[2J")
            log().exception("a poll failed")
        text = stream.getvalue()
        assert (text.count("\n") > 3) is lines
        assert "\x1b[2J" not in text
        assert "Traceback (most recent call last):" in text


def test_what_the_daemon_says_itself_is_not_said_twice() -> None:
    stream = written("warning")
    logging.getLogger("apscheduler.scheduler").warning("maximum number of running instances reached (1)")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert not stream.getvalue()
    logging.getLogger("apscheduler.scheduler").error("Error adding job")
    assert json.loads(stream.getvalue())["logger"] == "apscheduler.scheduler"
