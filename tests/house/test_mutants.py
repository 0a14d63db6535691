"""The list of harmless mutants is about code that is still there: `make mutants` itself takes an hour or two."""

import ast
import tomllib

from tests.house.repository import PACKAGE, ROOT


def functions() -> dict[str, str]:
    """Return each function of the two pure stations on one line, by its name with its module and its class."""
    found = {}
    for path in [*PACKAGE.glob("engine/*.py"), *PACKAGE.glob("incidents/*.py")]:
        text = path.read_text()
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(text)
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        for owner, body in [("", tree.body), *((f".{each.name}", each.body) for each in classes)]:
            for node in body:
                if isinstance(node, ast.FunctionDef):
                    lines = (ast.get_source_segment(text, node) or "").splitlines()
                    found[f"{module}{owner}.{node.name}"] = " ".join(line.strip() for line in lines)
    return found


def test_each_mutant_that_may_survive_has_a_reason_and_changes_a_line_that_is_there() -> None:
    known = functions()
    for entry in tomllib.loads((ROOT / "tests" / "mutants.toml").read_text()).get("survivor", []):
        assert entry["was"] in known[entry["in"]], entry
        assert entry["becomes"], entry
        assert entry["why"].endswith("."), entry


def test_the_functions_are_found_by_the_names_that_the_list_has() -> None:
    assert "return self.value < other.value" in functions()["evaluator.engine.rules.Severity.worse_than"]
    assert "def quiet_alert" in functions()["evaluator.engine.alerts.quiet_alert"]
