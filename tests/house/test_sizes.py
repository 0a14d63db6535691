"""How big, how named and how introduced a module may be."""

import ast
from pathlib import Path

import pytest

from tests.house.repository import functions, modules, name_of

MODULE_LINES = 300
SUITE_LINES = 400
"""A conformance suite is a list of facts, like a test module."""
FUNCTION_LINES = 60
LONG_FUNCTIONS_IN_A_HUNDRED = 10
A_LONG_FUNCTION = 30
EMPTY_WORDS = {"base", "common", "core", "data", "handler", "helper", "helpers", "manager", "misc", "util", "utils"}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_fits_a_head(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= (SUITE_LINES if "testing" in path.parts else MODULE_LINES)
    too_long = {name: lines for name, lines in functions(path) if lines > FUNCTION_LINES}
    assert not too_long


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_opens_with_what_it_knows(path: Path) -> None:
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert header, "a module opens with what it knows and what it must never know"
    if path.name not in {"__init__.py", "__main__.py"} and "versions" not in path.parts:
        assert 2 <= len(header.splitlines()) <= 20, "two to five lines; a few more where there is a lot to explain"


def test_most_functions_are_short() -> None:
    lengths = [lines for path in modules() for _, lines in functions(path)]
    long = sum(lines > A_LONG_FUNCTION for lines in lengths)
    assert long * 100 <= len(lengths) * LONG_FUNCTIONS_IN_A_HUNDRED


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = [name_of(path) for path in modules() if EMPTY_WORDS & set(path.stem.split("_"))]
    assert not empty
