"""Which text of each rule file is in force: what is on disk now, or what was last good.

This module knows texts by their names, and how they are judged. It never reads a disk. It sees to it that a broken,
vanished or clashing file takes no rule away that was being watched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evaluator.config.document import Document
from evaluator.config.inhibition import Astray, astray
from evaluator.config.problems import Problem
from evaluator.config.rules import RuleFile

Judge = Callable[[str, bytes], RuleFile]
"""Reads one file's text."""


@dataclass
class InForce:
    """The texts in force, and why they are not what is on disk where they are not."""

    judge: Judge
    saved: Mapping[str, str]
    prefix: str = ""
    """What people see before a file's name: the folder of rules."""
    others: frozenset[str] = frozenset()
    """Names of rules that are in no file of these."""
    files: dict[str, RuleFile] = field(default_factory=dict)
    """By name, in order: what is in force."""
    read: dict[str, RuleFile] = field(default_factory=dict)
    """By name: what is on disk, right or wrong."""
    problems: list[Problem] = field(default_factory=list)
    complete: bool = True
    """Whether all rules are known by name; where not, what is not known may well be there."""
    fatal: bool = False
    """Something is broken and there is nothing older to fall back to."""
    refused: set[str] = field(default_factory=set)
    """Files whose saved text was taken, or nothing."""

    def settle(self, disk: Mapping[str, bytes], unreadable: Mapping[str, Problem], *, keep_vanished: bool) -> None:
        """Decide for every file."""
        for name in sorted({*disk, *unreadable, *self.saved}):
            if name in unreadable:
                self.problems.append(unreadable[name])
                self._fall_back(name)
            elif name in disk:
                self._from_disk(name, disk[name])
            elif keep_vanished:
                message = "this file is gone; its rules stay in force until the next restart or SIGHUP"
                self.problems.append(Problem(self.prefix + name, 0, 0, 0, message, error=False))
                self._fall_back(name)
        self.complete &= not unreadable and not any(file.document.lost for file in self.read.values())
        while self._refuse_clashes() or self._refuse_astray():
            pass

    @property
    def names(self) -> frozenset[str]:
        """The names of all rules that there are, in force or not."""
        files = (*self.read.values(), *self.files.values())
        return self.others | {name for file in files for kind, name in file.names if kind == "rule"}

    def _from_disk(self, name: str, raw: bytes) -> None:
        """Take a file from disk if it is right."""
        found = self.read[name] = self.judge(name, raw)
        if not found.broken:
            self.files[name] = found
            return
        self.problems += found.problems
        same = self.saved.get(name) == found.document.source.text
        self._fall_back(name, tried=same)

    def _fall_back(self, name: str, *, tried: bool = False) -> None:
        """Take a file's saved text; `tried`: it is known to be wrong too."""
        self.files.pop(name, None)
        self.refused.add(name)
        if name not in self.saved:
            # With nothing saved at all this is a check or a first start, where a person is looking.
            self.fatal |= not self.saved
            return
        older = None if tried else self.judge(name, _raw(self.saved[name]))
        if older is not None and not older.broken:
            self.files[name] = older
            return
        # To go on without this file would close everything that its rules have open, for a slip in the settings.
        self.fatal = True
        message = "what was in force for this file before is no longer right either, so nothing of this is put in force"
        self.problems.append(
            Problem(self.prefix + name, 0, 0, 0, message, "mend the mistakes of this file or of the settings")
        )

    def _refuse_clashes(self) -> bool:
        """Put files back to their saved text until nothing is defined twice; return whether there was anything."""
        found = False
        while clashes := self._clashes():
            found = True
            for name, first, second in clashes:
                self.problems.append(self._report(name, first, second))
            for file in {file for _, first, second in clashes for file in self._refused(first, second)}:
                if self._changed(file):
                    self._fall_back(file)
                else:
                    self.files.pop(file, None)
        return found

    def _refuse_astray(self) -> bool:
        """Put files back to their saved text where rules inhibit in circles, or what is no rule.

        Where nothing was changed (a file with an inhibitor vanished), it is said and stays: to drop a rule for it would
        be worse. Return whether there was any.
        """
        files = {**self.read, **self.files}
        found = list(astray(files, self.names, complete=self.complete))
        told = set(self.problems)
        self.problems += dict.fromkeys(each.problem for each in found if each.problem not in told)
        refused = {name for each in found for name in self._changed_by(each)}
        for name in refused:
            self._fall_back(name)
        return bool(refused)

    def _changed_by(self, each: Astray) -> list[str]:
        """Return the changed files that brought a mistake: where it lies, else from where the rule was taken."""
        changed = [name for name in each.files if self._changed(name)]
        if changed or not each.unknown:
            return changed
        rule = ("rule", each.unknown)
        return [
            name
            for name in self.files
            if self._changed(name) and name in self.saved and rule in self.judge(name, _raw(self.saved[name])).names
        ]

    def _refused(self, first: str, second: str) -> list[str]:
        """Return which of two clashing files are not taken: the changed ones, else the second."""
        return [file for file in (first, second) if self._changed(file)] or [second]

    def _changed(self, name: str) -> bool:
        """Return whether the text in force is not the saved one."""
        found = self.files.get(name)
        return found is not None and name not in self.refused and self.saved.get(name) != found.document.source.text

    def _clashes(self) -> list[tuple[tuple[str, str], str, str]]:
        """Return every rule and window that two files define, with the files' names."""
        seen: dict[tuple[str, str], str] = {}
        return [
            (name, seen[name], file)
            for file, rules in self.files.items()
            for name in rules.names
            if seen.setdefault(name, file) != file
        ]

    def _report(self, path: tuple[str, str], first: str, second: str) -> Problem:
        """Return the problem, at the definition that is newer."""
        blamed, other = (second, first) if self._changed(second) or not self._changed(first) else (first, second)
        document: Document = self.files[blamed].document
        elsewhere = self.files[other].document
        kind, name = path
        where = f"{elsewhere.file}:{elsewhere.positions.key(path).line}"
        hint = f"give this {kind} another name, or delete one of the two"
        return document.at_key(path, f'{kind} "{name}" is already defined at {where}', hint)


def _raw(text: str) -> bytes:
    """Return a saved text as it was on disk."""
    return text.encode("utf-8", "replace")
