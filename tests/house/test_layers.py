"""The stations and their order: what import-linter proves, and that it is asked about every module there is."""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.repository import PACKAGE, ROOT, entry_points, project


def contract(identifier: str) -> dict[str, object]:
    found: dict[str, object] = next(
        each for each in project()["tool"]["importlinter"]["contracts"] if each["id"] == identifier
    )
    return found


def test_every_import_goes_down_the_stack() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("station", ["sources", "notifiers"])
def test_sources_and_notifiers_never_import_each_other(station: str) -> None:
    graph = grimp.build_graph("evaluator", cache_dir=None)
    families = entry_points(f"evaluator.{station}")

    def family(module: str) -> str | None:
        stem = module.removeprefix(f"evaluator.{station}.")
        return next((name for name in families if stem == name or stem.startswith((f"{name}_", f"{name}."))), None)

    for module in sorted(graph.find_descendants(f"evaluator.{station}")):
        if mine := family(module):
            others = {other for other in graph.find_modules_directly_imported_by(module) if family(other) != mine}
            assert not [other for other in others if family(other)], module
        else:
            # What they share knows none of them.
            assert not [other for other in graph.find_modules_directly_imported_by(module) if family(other)], module


def test_the_pure_stations_never_read_a_clock() -> None:
    forbidden = contract("pure")["forbidden_modules"]
    assert isinstance(forbidden, list)
    assert {"asyncio", "logging", "os", "random", "socket", "sqlalchemy", "time"} <= set(forbidden)


def test_whatever_is_imported_is_asked_for() -> None:
    """A package that only comes with another may go with the next version of that one."""
    graph = grimp.build_graph("evaluator", include_external_packages=True, cache_dir=None)
    modules = {each for each in graph.modules if each.startswith("evaluator") and ".testing" not in each}
    imported = {
        other.partition(".")[0] for module in modules for other in graph.find_modules_directly_imported_by(module)
    }
    asked = {canonicalize_name(Requirement(each).name) for each in project()["project"]["dependencies"]}
    brought_by = packages_distributions()
    for name in sorted(imported - sys.stdlib_module_names - {"evaluator"}):
        # pydantic and its core are released together.
        distributions = {canonicalize_name(each.removesuffix("_core")) for each in brought_by[name]}
        assert distributions & asked, f"{name} is imported, but no dependency"


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
