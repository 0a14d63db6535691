"""Whatever is in a file, loading answers with rules and problems."""

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
