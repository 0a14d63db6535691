"""Whatever is in a file, loading answers with rules and problems."""

import json
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.config.load import load
from evaluator.config.problems import render, render_plain
from tests.config.conftest import PLUGINS, SETTINGS, rule

WORDS = st.sampled_from(
    [
        *(
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "=",
            "==",
            ":",
            ",",
            '"',
            "'",
            '"""',
            "'''",
            "#",
            "\n",
            "\r\n",
            "\t",
            " ",
            "\\",
        ),
        *(
            "rule",
            "defaults",
            "sources",
            "services",
            "above",
            "for",
            "recover",
            "P0",
            "query",
            "severity",
            "window",
            "rising",
            "unusual",
            "missed",
            "only_if",
            "active",
            "when",
            "cron",
            "from",
            "env",
            "file",
        ),
        *("5%", "10m", "True", "1_000", ".5", "inf", "nan", "0x1F", "2020-01-01", "“", "”", "ä", "漢", "\0", "\ufeff"),
        *(
            '"box"',
            '"cpu"',
            '"P1"',
            "[rule.a]\n",
            'source = "box"\n',
            'query = "cpu"\n',
            "above = 5\n",
            'severity = "P1"\n',
        ),
        *(
            'missed = { cron = "0 2 * * *" }\n',
            'rising = { by = "5%", over = "1h" }\n',
            'inhibited_by = ["a", "x"]\n',
            'active = "Mon-Fri 08:00-20:00"\n',
            "flapping = false\n",
            "absent = true\n",
            "[window.w]\n",
            'when = { cron = "* * * * *", for = "1m" }\n',
            "until = 2026-12-01\n",
        ),
        *("routing_key", "type", "[[rule]]\n", "[rule.a.P0]\n", "a.b.c = 1\n", "labels = { a = { b = [ 1 ] } }\n"),
    ]
)
TEXTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(WORDS, max_size=60).map(lambda words: "".join(words).encode("utf-8", "replace")),
    st.lists(WORDS, max_size=40).map(lambda words: (rule("x") + " ".join(words)).encode("utf-8", "replace")),
)


@settings(max_examples=250, deadline=None)
@given(rules=TEXTS, config=st.one_of(st.just(SETTINGS.encode()), TEXTS), saved=TEXTS, first=st.booleans())
def test_loading_never_raises(rules: bytes, config: bytes, saved: bytes, first: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rules").mkdir()
        (folder / "rules" / "a.toml").write_bytes(rules)
        (folder / "evaluator.toml").write_bytes(config)
        older = {} if first else {"a.toml": saved.decode("utf-8", "replace"), "b.toml": rule("b")}
        loaded = load(folder / "evaluator.toml", {}, older, plugins=PLUGINS)
        for problem in loaded.problems:
            assert render_plain(problem) == render(problem).plain
            lines = len(rules.splitlines()) + len(config.splitlines()) + len(saved.splitlines()) + 5
            assert 0 <= problem.line <= max(lines, 300)
            assert problem.column < problem.end_column or not problem.line
        assert loaded.fatal or loaded.settings is not None


PIECES = [
    "*",
    "0",
    "5",
    "31",
    "30",
    "59",
    "60",
    "2",
    "L",
    "LW",
    "MON",
    "FEB",
    "1-5",
    "*/0",
    "*/7",
    "5L",
    "1#5",
    ",",
    "/",
]
CRONS = st.lists(st.sampled_from([*PIECES, "-", "#", "²", "@daily", ""]), max_size=8).map(" ".join)
ODD_TEXTS = st.one_of(
    CRONS,
    st.text(max_size=30),
    st.from_regex(r"(Mon|Su?n?|[a-z]+)?[-, ]?(Fri)? ?[0-9:]{0,5}[- ]+[0-9:]{0,5} ?(UTC|Europe/.*)?", fullmatch=True),
    st.sampled_from(["2026-12-01", "2026-02-30 00:00", "0001-01-01 00:00", "9999-12-31T23:59:59+00:00", "last 0 days"]),
)
ODD_VALUES = st.one_of(ODD_TEXTS, st.booleans(), st.integers(-5, 10**20), st.just(float("inf")), st.just(-0.0))
KEYS = [
    *("rising.by", "falling.over", "unusual.by", "unusual.compared_to", "unusual.history", "unusual.learn", "absent"),
    *(
        "missed.cron",
        "missed.timezone",
        "missed.grace",
        "active",
        "inhibited_by",
        "flapping",
        "flapping.opens",
        "storm",
    ),
    *("only_if.query", "only_if.above", "storm.within", "recover.margin", "unit", "P1.rising.by", "P1.missed.cron"),
]
WINDOW_KEYS = [
    "from",
    "until",
    "when.cron",
    "when.for",
    "when.timezone",
    "rules",
    "except",
    "series.x",
    "reason",
    "when",
]


def written(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


@settings(max_examples=200, deadline=None)
@given(
    keys=st.dictionaries(st.sampled_from(KEYS), ODD_VALUES, max_size=6),
    window=st.dictionaries(st.sampled_from(WINDOW_KEYS), ODD_VALUES, max_size=4),
)
def test_odd_values_of_the_keys_are_told(keys: dict[str, object], window: dict[str, object]) -> None:
    lines = [f"{key} = {written(value)}\n" for key, value in keys.items()]
    text = rule("x") + "".join(lines) + "[window.w]\n"
    text += "".join(f"{key} = {written(value)}\n" for key, value in window.items())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rules").mkdir()
        (folder / "rules" / "a.toml").write_bytes(text.encode("utf-8", "replace"))
        (folder / "evaluator.toml").write_text(SETTINGS)
        loaded = load(folder / "evaluator.toml", {}, plugins=PLUGINS, now=1.8e9)
        assert loaded.fatal == any(problem.error for problem in loaded.problems)
        assert all(render_plain(problem) for problem in loaded.problems)


def test_large_files_are_answered_quickly(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "evaluator.toml").write_text(SETTINGS)
    blobs = [
        b"x" * 1_000_001,
        b"a = b\n" * 150_000,
        b"[" * 900_000,
        b"a = [" * 150_000,
        b'a = """' * 140_000,
        b"\xff" * 9,
        b"[rule." + b".".join([b"a"] * 3000) + b"]\nx = 1\n",
        b"[rule.z]\n" + b".".join([b"a"] * 900) + b" = 1\n",
        b"[rule.y]\nlabels = " + b"{ a = " * 300 + b"1" + b" }" * 300 + b"\n",
    ]
    for number, blob in enumerate(blobs):
        (tmp_path / "rules" / f"{number}.toml").write_bytes(blob)
    loaded = load(tmp_path / "evaluator.toml", {}, plugins=PLUGINS)
    assert {problem.file for problem in loaded.problems} == {f"rules/{number}.toml" for number in range(len(blobs))}
    assert len(loaded.problems) < 200


def test_a_pipe_among_the_rules_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "evaluator.toml").write_text(SETTINGS)
    (tmp_path / "rules" / "a.toml").write_text(rule("a"))
    os.mkfifo(tmp_path / "rules" / "pipe.toml")
    loaded = load(tmp_path / "evaluator.toml", {}, plugins=PLUGINS)
    assert [problem.headline for problem in loaded.problems if problem.error] == [
        "rules/pipe.toml: cannot be read: it is a pipe, and no file"
    ]
    assert "a" in loaded.rules.rules
