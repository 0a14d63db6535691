"""What `evaluator doctor` found, as text for a person and as JSON.

This module knows sections of checkups, their order and their marks. It never tries anything itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr
from rich.console import Console
from rich.text import Text

from evaluator.cli.terminal import line
from evaluator.config.secrecy import scrub
from evaluator.sources.checkup import Checkup, Grade
from evaluator.web.wording import count

MARKS = {Grade.FINE: ("ok", "green"), Grade.WARNING: ("warning", "bold yellow"), Grade.WRONG: ("WRONG", "bold red")}
"""Words, so that they can be told apart, and looked for, without colours."""
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that was looked at: the settings, the store, a source, a notifier."""

    kind: str
    name: str
    about: str = ""
    """What it is, for its headline: `redis, 5 rules`."""
    off: str = ""
    """Why it was not tried, and how to have it; empty: it was."""
    checkups: tuple[Checkup, ...] = ()
    seconds: float = 0.0
    """How long it took."""

    @property
    def title(self) -> str:
        """Its name as people call it."""
        return f"{self.kind} {self.name}".strip()


def number(sections: Iterable[Section], grade: Grade) -> int:
    """Return how many checkups of all sections have this grade."""
    return sum(checkup.grade is grade for section in sections for checkup in section.checkups)


def as_json(sections: Sequence[Section]) -> dict[str, Any]:
    """Return everything as one JSON object."""
    return {
        "ok": not number(sections, Grade.WRONG),
        "wrong": number(sections, Grade.WRONG),
        "warnings": number(sections, Grade.WARNING),
        "sections": [
            {
                "kind": section.kind,
                "name": section.name,
                "about": section.about,
                "off": section.off,
                "seconds": round(section.seconds, 3),
                "checkups": [
                    {"grade": each.grade.value, "subject": each.subject, "found": each.found, "mend": each.mend}
                    for each in section.checkups
                ],
            }
            for section in sections
        ],
    }


def draw(console: Console, sections: Sequence[Section]) -> None:
    """Draw everything for a person: what was tried, what is off, and one line for all."""
    for section in (each for each in sections if not each.off):
        console.print(line((section.title, "bold"), f"  {section.about}" if section.about else ""), soft_wrap=True)
        for checkup in section.checkups:
            _draw(console, checkup)
    off = [section for section in sections if section.off]
    if off:
        console.print(line(("off", "bold")))
        for section in off:
            console.print(line(f"  {section.title}: ", (section.off, "dim")), soft_wrap=True)
    console.print(_summary(sections), soft_wrap=True)


def _draw(console: Console, checkup: Checkup) -> None:
    """Draw one thing that was tried, and below it what to do."""
    mark, style = MARKS[checkup.grade]
    console.print(line("  ", (f"{mark:<8}", style), (checkup.subject, "bold"), f": {checkup.found}"), soft_wrap=True)
    if checkup.mend:
        console.print(line(" " * 10, ("mend: ", "dim"), checkup.mend), soft_wrap=True)


def _summary(sections: Sequence[Section]) -> Text:
    """Return the last line."""
    wrong, warnings = number(sections, Grade.WRONG), number(sections, Grade.WARNING)
    words = [f"{count(wrong, 'thing is', 'things are')} wrong"] if wrong else []
    words += [count(warnings, "warning")] if warnings else []
    style = "bold red" if wrong else "bold yellow" if warnings else "bold green"
    return line((", ".join(words) or "all is well", style))


def without_secrets(checkups: Iterable[Checkup], secrets: Sequence[str]) -> Iterator[Checkup]:
    """Yield checkups whose texts hold none of the secrets, whoever wrote them."""
    for each in checkups:
        yield Checkup(each.grade, *(scrub(text, secrets) for text in (each.subject, each.found, each.mend)))


def _pieces(secret: str) -> Iterator[str]:
    """Yield what must not be seen of a secret; of an address only its password and what follows a `?`."""
    parts = [secret]
    with suppress(ValueError):
        if "://" in secret:
            found = urlsplit(secret)
            parts = [found.password or "", unquote(found.password or ""), found.query]
    yield from (part for part in parts if len(part) >= _SHORTEST_SECRET)


def secrets_in(value: object) -> Iterator[str]:
    """Yield every secret in settings, at any depth; what is too short to be told from a word is none."""
    if isinstance(value, SecretStr | SecretBytes):
        text = value.get_secret_value()
        yield from _pieces(text if isinstance(text, str) else text.decode(errors="replace"))
    elif isinstance(value, BaseModel):
        yield from (each for _, item in value for each in secrets_in(item))
    elif isinstance(value, dict):
        yield from (each for item in value.values() for each in secrets_in(item))
    elif isinstance(value, list | tuple):
        yield from (each for item in value for each in secrets_in(item))
