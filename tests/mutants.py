"""Changes the two pure stations in thousands of small ways, and holds what no test notices against tests/mutants.toml.

`make mutants` runs it; CONTRIBUTING.md says how to work with it. mutmut makes the changes and runs the tests; this
script knows which survivors have a reason. It never changes the code itself.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_module_from_key, orig_function_and_class_names_from_key

WORK = Path("mutants")
"""Where mutmut puts its copy of the tree, and what it found out."""

REASONS = Path(__file__).with_suffix(".toml")

CAUGHT = ("killed", "timeout")
MISSED = ("survived", "no tests")


class Change(NamedTuple):
    """One mutant as people see it: unlike mutmut's number it stays the same when other mutants come and go."""

    function: str
    """With its module and its class."""
    was: str
    """The lines that are changed, without their indent."""
    becomes: str

    def __str__(self) -> str:
        """Return it as an entry of tests/mutants.toml that lacks its reason."""
        function, was, becomes = (json.dumps(text, ensure_ascii=False) for text in self)
        return f"[[survivor]]\nin = {function}\nwas = {was}\nbecomes = [{becomes}]\n"


@dataclass(frozen=True, slots=True)
class Mutant:
    """What became of one mutant."""

    name: str
    """Mutmut's, for `mutmut show`."""
    path: Path
    status: str

    @property
    def module(self) -> str:
        """The module that it changes."""
        return get_module_from_key(self.name)

    def change(self) -> Change:
        """Return what it changes."""
        function, owner = orig_function_and_class_names_from_key(self.name)
        lines = get_diff_for_mutant(self.name, path=self.path).splitlines()[3:]
        was, becomes = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
        return Change(".".join(filter(None, (self.module, owner, function))), was, becomes)


def reasons(text: str) -> dict[Change, str]:
    """Return why mutants may survive, as tests/mutants.toml has it; `ValueError` where an entry cannot be used."""
    found: dict[Change, str] = {}
    for entry in tomllib.loads(text).get("survivor", []):
        if set(entry) != {"in", "was", "becomes", "why"} or not entry["becomes"] or not entry["why"]:
            raise ValueError(f"a [[survivor]] has `in`, `was`, `becomes` (a list) and `why`: {entry}")
        for becomes in entry["becomes"]:
            change = Change(entry["in"], entry["was"], becomes)
            if change in found:
                raise ValueError(f"is told twice:\n{change}")
            found[change] = entry["why"]
    return found


def mutants(patterns: list[str]) -> Iterator[Mutant]:
    """Yield what mutmut found out, of the mutants whose names match."""
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                yield Mutant(name, path, status_by_exit_code[code])


def table(found: list[Mutant], excused: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines of a table: a row for each module, with how many of its survivors have a reason."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for mutant in found:
        counts[mutant.module][mutant.status] += 1
    yield f"{'':32} {'mutants':>8} {'killed':>8} {'timeout':>8} {'survived':>8} {'excused':>8}"
    for module, by_status in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        missed = sum(by_status[status] for status in MISSED)
        known = sum(excused.values()) if module == "all" else excused.get(module, 0)
        numbers = (by_status.total(), by_status["killed"], by_status["timeout"], missed, known)
        yield f"{module:32} " + " ".join(f"{number:8}" for number in numbers)


def report(found: list[Mutant], known: Mapping[Change, str], *, whole: bool) -> tuple[list[str], list[str]]:
    """Return the table, and what is wrong: survivors without a reason and, of the whole, reasons without a survivor."""
    wrong: list[str] = []
    excused: Counter[str] = Counter()
    unused = set(known)
    for mutant in found:
        if mutant.status in MISSED:
            change = mutant.change()
            if change in known:
                excused[mutant.module] += 1
                unused.discard(change)
            else:
                wrong.append(f"# {mutant.name}: {mutant.status}\n{change}")
        elif mutant.status not in CAUGHT:
            wrong.append(f"# {mutant.name}: {mutant.status}; try it again")
    if whole:
        wrong.extend(f"# is in {REASONS.name}, and does not survive:\n{change}" for change in sorted(unused))
    return list(table(found, excused)), wrong


def main() -> int:
    """Run mutmut, on everything from the beginning or on the mutants whose names match, and judge what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-children", default="1", help="how many mutants are tried at once")
    parser.add_argument("pattern", nargs="*", help="names of mutants to try again, as evaluator.engine.alerts.*")
    given = parser.parse_args()
    known = reasons(REASONS.read_text())
    if not given.pattern:
        shutil.rmtree(WORK, ignore_errors=True)
    # Which tests reach what is found out again: they may have changed.
    (WORK / "mutmut-stats.json").unlink(missing_ok=True)
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run([mutmut, "run", "--max-children", given.max_children, *given.pattern], check=True)
    lines, wrong = report(list(mutants(given.pattern or ["*"])), known, whole=not given.pattern)
    print("\n".join(["", *lines, "", *wrong]))
    print(f"{len(wrong)} things to mend." if wrong else "Each mutant that survives has its reason.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
