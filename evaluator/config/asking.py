"""What a rule asks: the source, and the query as that source's own model and settings understand it.

This module knows one question at a time: a rule's own, or that of its `only_if`. It never knows limits.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from pydantic import BaseModel

from evaluator.config.complaints import validate
from evaluator.config.declared import Declared, DeclaredSource, undeclared
from evaluator.config.document import Document
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.engine.rules import Query
from evaluator.sources.source import Refusing


@dataclass
class Asker:
    """Reads questions, and collects what is wrong with them."""

    document: Document
    declared: Declared
    problems: list[Problem] = field(default_factory=list)

    def source(self, name: object, place: Path) -> DeclaredSource | None:
        """Return the source of a name, which is written at `place`."""
        if not isinstance(name, str):
            return None
        found = self.declared.sources.get(name)
        if found is None and self.declared.complete:
            known = {each.name: each for each in self.declared.sources.values() if not each.implicit}
            message, hint = undeclared("source", name, known)
            self.problems.append(self.document.at_value(place, message, hint))
        return found

    def query(self, source: DeclaredSource, written: object, path: Path) -> Query | None:
        """Return the query, checked by the source's own model, as canonical JSON."""
        if source.type is None or not isinstance(written, str | dict):
            return None
        model: type[BaseModel] = source.type.Query
        if isinstance(written, str):
            shorthand = getattr(model, "shorthand", None)
            if shorthand is None:
                hint = f"write query = {{ ... }}; its keys are {', '.join(model.model_fields)}"
                self.problems.append(self.document.at_value(path, "this source's query is a table", hint))
                return None
            written = {shorthand: written}
        checked, problems = validate(model, written, self.document, path)
        self.problems += problems
        if checked is None or self._is_refused(source, checked, path):
            return None
        return _canonical(source.name, checked)

    def _is_refused(self, source: DeclaredSource, query: BaseModel, path: Path) -> bool:
        """Complain of a query to which the source's settings have no answer."""
        if not isinstance(source.settings, Refusing):
            return False
        try:
            source.settings.refuse(query)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            at: Path = (*path, *getattr(error, "at", ()))
            place = next((at[:size] for size in range(len(at), len(path), -1) if at[:size] in self._written), path)
            self.problems.append(self.document.at_value(place, f'{message} in source "{source.name}"', hint))
            return True
        return False

    @property
    def _written(self) -> Collection[Path]:
        """Where values are written."""
        return self.document.positions.values.keys()


def _canonical(source: str, query: BaseModel) -> Query:
    """Return a checked query as the engine carries it."""
    fields = query.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    spec = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    period = getattr(query, "period", None)
    return Query(source, spec, float(period) if isinstance(period, int | float) else 0.0)
