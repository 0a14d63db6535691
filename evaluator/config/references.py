"""`{ env = "NAME" }` and `{ file = "path" }` in the settings, and what they stand for.

This module reads variables and small files. It never knows which key needs which secret, and never says a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from evaluator.config.document import Document, Table
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.secrecy import name_shown

_LARGEST = 64_000


@dataclass
class References:
    """What became of the references of one settings file."""

    document: Document
    environ: Mapping[str, str] = field(repr=False)
    folder: FilePath
    """Where the settings file lies; relative paths start there."""
    secrets: set[str] = field(default_factory=set, repr=False)
    """Every value that came from outside, so that no message repeats one."""
    missing: dict[Path, Problem] = field(default_factory=dict)
    """What is not there, by the key that refers to it."""

    def resolve(self, value: object, path: Path = ()) -> object:
        """Return a value with every reference in it replaced by what it stands for; missing ones are left out."""
        if isinstance(value, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if path and set(value) <= {"env", "file"} and value and all(isinstance(item, str) for item in value.values()):
            return self._value(value, path)
        resolved = {key: self.resolve(item, (*path, key)) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if (*path, key) not in self.missing}

    def _value(self, reference: Table, path: Path) -> str:
        """Return what one reference stands for; where it is not there, note why."""
        if len(reference) == 2:
            return self._miss(path, "`env` and `file` cannot both be", "keep one of the two")
        if "env" in reference:
            name = str(reference["env"])
            found = self.environ.get(name, "")
            if not found:
                shown = name_shown(name)
                state = "is empty" if name in self.environ else "is not set"
                return self._miss(
                    path, f"the environment variable {shown} {state}", "set it where evaluator is started"
                )
        else:
            found = self._file(str(reference["file"]), path)
        self.secrets.add(found)
        return found

    def _file(self, name: str, path: Path) -> str:
        """Return the text of a secret's file, without the newline at its end."""
        place = self._place(name)
        try:
            with place.open("rb") as file:
                raw = file.read(_LARGEST + 1)
            text = raw.decode().strip("\r\n")
        except UnicodeDecodeError:
            return self._miss(path, f"the file {name_shown(name)} is not UTF-8 text")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no path"
            return self._miss(
                path, f"the file {name_shown(name)} cannot be read: {why}", f"it is looked for at {place}"
            )
        if len(raw) > _LARGEST:
            return self._miss(path, f"the file {name_shown(name)} is too large for a secret")
        if not text:
            return self._miss(path, f"the file {name_shown(name)} is empty")
        return text

    def _place(self, name: str) -> FilePath:
        """Return where a file is: among systemd's credentials if it is there, else relative to the settings."""
        credentials = self.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and not FilePath(name).is_absolute() and "\0" not in name:
            place = FilePath(credentials) / name
            if place.is_file():
                return place
        return self.folder / name

    def _miss(self, path: Path, message: str, hint: str = "") -> str:
        """Note that a reference leads nowhere."""
        self.missing[path] = self.document.at_value(path, message, hint if "itself" not in message else "")
        return ""
