"""From the text of `evaluator.toml` to settings, routes, and what rules may refer to.

This module knows how the tables of the settings act together. It never reads rule files. Whatever is wrong, it says as
much as can be said, and no problem that leaves it holds a secret.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import TypeVar

from pydantic import BaseModel, SecretStr

from evaluator.config.complaints import validate, validate_partly
from evaluator.config.declared import Declared, DeclaredSource
from evaluator.config.document import Document, Table
from evaluator.config.fields import did_you_mean
from evaluator.config.plugins import Plugins
from evaluator.config.positions import Path
from evaluator.config.problems import Problem
from evaluator.config.references import References
from evaluator.config.routes import RouteBuilder
from evaluator.config.secrecy import harmless, name_shown, scrub
from evaluator.config.settings import NotifierEntry, Settings, SourceEntry
from evaluator.incidents.routing import Routes
from evaluator.sources.reader import SELF

_ALWAYS = ("console", "pagerduty")
"""Notifiers that exist without being declared."""
_SHORTEST_SECRET = 4

Entry = TypeVar("Entry", SourceEntry, NotifierEntry)


@dataclass(frozen=True)
class SettingsFile:
    """The settings, judged."""

    settings: Settings | None
    """`None` where anything is wrong with them."""
    declared: Declared
    routes: Routes = field(default_factory=Routes)
    problems: tuple[Problem, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    """By service: why it cannot page."""
    ignored: tuple[str, ...] = ()
    """Lint ids that are not shown."""
    rules: str = "rules"
    unpaged: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """By service: the warning that it cannot page, which is of interest once a rule needs it."""
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By source that is off: what its settings refer to and is not there."""


def read_settings(document: Document, environ: Mapping[str, str], folder: FilePath, plugins: Plugins) -> SettingsFile:
    """Return the settings of a file and every mistake in it."""
    return _Reader(document, References(document, environ, folder), folder, plugins).read()


@dataclass
class _Reader:
    """Reads one settings file."""

    document: Document
    references: References
    folder: FilePath
    plugins: Plugins
    problems: list[Problem] = field(default_factory=list)
    disabled: list[Path] = field(default_factory=list)

    def read(self) -> SettingsFile:
        """Return everything that the file says."""
        resolved = self.references.resolve(self.document.data)
        table = resolved if isinstance(resolved, dict) else {}
        sources = self._sources(table)
        notifiers = self._notifiers(table)
        rest = {key: value for key, value in table.items() if key not in {"sources", "notifiers"}}
        found, problems = validate_partly(Settings, rest, self.document, ())
        self.problems += problems
        partly = found or Settings()
        settings = partly.model_copy(update={"sources": sources, "notifiers": notifiers, "store": self._store(partly)})
        router = RouteBuilder(self.document, settings, self.references.missing)
        routes = router.build()
        self.problems += [problem for _, problem in router.problems if problem.error]
        self.problems += self._unresolved()
        shown = tuple(self._safe(self.problems))
        unpaged = {name: tuple(self._safe([problem], slips=False)) for name, problem in router.problems}
        broken = any(problem.error for problem in shown)
        return SettingsFile(
            None if broken else settings,
            self._declared(table, settings, broken=broken),
            routes,
            shown,
            router.notes,
            tuple(settings.lint.ignore),
            settings.rules,
            unpaged,
            self._lacking(),
        )

    def _store(self, settings: Settings) -> BaseModel:
        """Return the store with a relative SQLite path made absolute, since the daemon may start anywhere."""
        url = settings.store.url.get_secret_value()
        head, sign, path = url.partition("sqlite:///")
        if head or not sign or path.startswith("/"):
            return settings.store
        return settings.store.model_copy(update={"url": SecretStr(f"sqlite:///{self.folder.absolute() / path}")})

    def _sources(self, table: Table) -> dict[str, SourceEntry]:
        """Return every source that is right."""
        models = {name: kind.Settings for name, kind in self.plugins.sources.items()}
        found = dict(self._entries(table, "sources", models, SourceEntry))
        declared = table.get("sources")
        if isinstance(declared, dict) and SELF in declared:
            self._check_self(declared[SELF])
        elif SELF in models:
            found[SELF] = SourceEntry(type=SELF, settings=models[SELF](), implicit=True)
        return found

    def _check_self(self, keys: object) -> None:
        """Complain of another system under the name of the daemon itself."""
        kind = keys.get("type") if isinstance(keys, dict) else None
        if isinstance(kind, str) and kind != SELF:
            message = f'the name "{SELF}" is kept for the daemon\'s own health'
            self.problems.append(self.document.at_key(("sources", SELF), message, "give this source another name"))

    def _notifiers(self, table: Table) -> dict[str, NotifierEntry]:
        """Return every notifier that is right, and those that need no declaration."""
        models = {name: kind.Settings for name, kind in self.plugins.notifiers.items()}
        found = dict(self._entries(table, "notifiers", models, NotifierEntry))
        declared = table.get("notifiers")
        for name in _ALWAYS:
            if name in models and not (isinstance(declared, dict) and name in declared):
                found[name] = NotifierEntry(type=name, settings=models[name]())
        return found

    def _entries(
        self, table: Table, section: str, models: Mapping[str, type[BaseModel]], entry: type[Entry]
    ) -> Iterator[tuple[str, Entry]]:
        """Yield the entries of `[sources]` or `[notifiers]` that are right."""
        tables = table.get(section, {})
        if not isinstance(tables, dict):
            self.problems.append(self.document.at_key((section,), f"`{section}` is a table", f"write [{section}.name]"))
            return
        for name, keys in tables.items():
            path: Path = (section, name)
            if not isinstance(keys, dict):
                hint = f"write [{section}.{name}] and its keys below"
                self.problems.append(self.document.at_key(path, f"`{name}` is a table", hint))
                continue
            found = self._entry(keys, path, models, entry)
            if found is not None:
                yield name, found

    def _entry(
        self, keys: Table, path: Path, models: Mapping[str, type[BaseModel]], entry: type[Entry]
    ) -> Entry | None:
        """Return one entry, checked by its type's own model."""
        enabled = keys.get("enabled", True)
        if not isinstance(enabled, bool):
            self.problems.append(self.document.at_value((*path, "enabled"), "`enabled` must be true or false"))
        if enabled is False:
            self.disabled.append(path)
        kind = keys.get("type")
        model = self._model(kind, path, models)
        if model is None:
            return None
        rest = {key: value for key, value in keys.items() if key not in {"type", "enabled"}}
        settings, problems = validate(model, rest, self.document, path)
        incomplete = any(missing[: len(path)] == path for missing in self.references.missing)
        if incomplete:
            # What is said to be missing refers to nothing, and that is said already; so may be what the table as a
            # whole lacks ("needs either `url` or `host`").
            head = self.document.at_key(path, "")
            whole = (head.line, head.column)
            problems = [
                problem
                for problem in problems
                if not problem.message.endswith("is missing") and (problem.line, problem.column) != whole
            ]
        self.problems += problems
        if settings is None and not (incomplete and enabled is False):
            return None
        return entry(type=str(kind), enabled=enabled is not False, settings=self._absolute(settings))

    def _model(self, kind: object, path: Path, models: Mapping[str, type[BaseModel]]) -> type[BaseModel] | None:
        """Return the settings model of a type, or say which types there are."""
        known = ", ".join(sorted(models))
        if kind is None:
            if not self.document.incomplete(path):
                self.problems.append(self.document.at_key(path, "`type` is missing", f"the types are {known}"))
            return None
        if not isinstance(kind, str):
            self.problems.append(
                self.document.at_value((*path, "type"), "`type` must be a text", f"the types are {known}")
            )
            return None
        if kind in models:
            return models[kind]
        if kind in self.plugins.broken:
            message, hint = self.plugins.broken[kind], "install it again, or set enabled after removing its rules"
            self.problems.append(self.document.at_value((*path, "type"), message, hint))
            return None
        meant = did_you_mean(kind, models)
        hint = f'did you mean "{meant}"?' if meant else f"the types are {known}"
        message = (
            f'there is no {path[0][:-1] if isinstance(path[0], str) else "type"} of type "{name_shown(kind[:60])}"'
        )
        self.problems.append(self.document.at_value((*path, "type"), message, hint))
        return None

    def _absolute(self, settings: BaseModel | None) -> BaseModel | None:
        """Return settings whose relative paths start at the settings file, those of tables inside them too."""
        if settings is None:
            return None
        changed = {
            name: absolute
            for name in type(settings).model_fields
            if (absolute := self._placed(value := getattr(settings, name))) is not value
        }
        return settings.model_copy(update=changed) if changed else settings

    def _placed(self, value: object) -> object:
        """Return a value of the settings, or one like it whose relative paths start at the settings file."""
        if isinstance(value, FilePath):
            return value if value.is_absolute() else self.folder.absolute() / value
        if isinstance(value, BaseModel):
            return self._absolute(value)
        if isinstance(value, dict):
            placed = {key: self._placed(each) for key, each in value.items()}
            return placed if any(placed[key] is not each for key, each in value.items()) else value
        return value

    def _unresolved(self) -> Iterator[Problem]:
        """Yield a mistake for each reference to nothing, but for routing keys and what is disabled."""
        for path, problem in self.references.missing.items():
            key = path[0] == "services" and path[-1] == "routing_key" and len(path) in (3, 4)
            if not key and not any(path[: len(off)] == off for off in self.disabled):
                yield problem

    def _lacking(self) -> dict[str, tuple[str, ...]]:
        """Return, for each source that is off, the sentence of each of its references that leads nowhere."""
        found: dict[str, tuple[str, ...]] = {}
        for path, problem in self.references.missing.items():
            if path[0] == "sources" and path[:2] in self.disabled:
                found[str(path[1])] = (*found.get(str(path[1]), ()), *(each.message for each in self._safe([problem])))
        return found

    def _declared(self, table: Table, settings: Settings, *, broken: bool) -> Declared:
        """Return what rules may refer to, as far as it can be made out."""
        raw = table.get("sources")
        sources = {
            name: DeclaredSource(
                name,
                self.plugins.sources.get(str(keys.get("type"))),
                keys.get("enabled") is not False,
                settings=settings.sources[name].settings if name in settings.sources else None,
            )
            for name, keys in (raw.items() if isinstance(raw, dict) else ())
            if isinstance(keys, dict)
        }
        if SELF not in sources and SELF in self.plugins.sources:
            sources[SELF] = DeclaredSource(SELF, self.plugins.sources[SELF], implicit=True)
        services = table.get("services")
        names = tuple(services) if isinstance(services, dict) else ()
        complete = not self.document.lost and not (broken and not table)
        return Declared(sources, names, settings.every, settings.timezone, complete)

    def _safe(self, found: list[Problem], *, slips: bool = True) -> Iterator[Problem]:
        """Yield problems, and the slips of the text, without those that only echo a slip, and without any secret."""
        secrets = {secret for secret in self.references.secrets if len(secret) >= _SHORTEST_SECRET}
        secrets |= set(_literals(self.document.data))
        slipped = {problem.line for problem in self.document.problems}
        for problem in (*(self.document.problems if slips else ()), *(p for p in found if p.line not in slipped)):
            yield replace(problem, message=scrub(problem.message, secrets), hint=scrub(problem.hint, secrets))


def _literals(value: object, key: str = "", depth: int = 0) -> Iterator[str]:
    """Yield every text in the settings that may be a secret written out."""
    if isinstance(value, dict) and depth < 50:
        for name, item in value.items():
            yield from _literals(item, name, depth + 1)
    elif isinstance(value, list) and depth < 50:
        for item in value:
            yield from _literals(item, key, depth + 1)
    elif isinstance(value, str) and len(value) >= 8 and not harmless(key):
        yield value
