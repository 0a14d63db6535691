"""`evaluator doctor`: try every source, credential, notifier and the store; say what is wrong and how to mend it.

This module knows what is tried and in which order it is shown. Everything is tried at the same time, each in a thread
with a loop of its own, so that what hangs, or blocks as no adapter may, holds up nothing else. It changes nothing.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from evaluator.cli import doctor_notifiers, doctor_settings, doctor_sources, doctor_store
from evaluator.cli.doctor_report import Section, as_json, draw, number, secrets_in, without_secrets
from evaluator.cli.output import Output, json_text
from evaluator.cli.terminal import line, terminal
from evaluator.config.load import Loaded, load
from evaluator.config.plugins import Plugins, installed
from evaluator.config.problems import render
from evaluator.config.settings import Settings
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.threads import Threads
from evaluator.web.wording import count

STORE_SECONDS = 15.0
"""Seconds for the store, which bounds its own questions."""
WEB_SECONDS = 10.0
"""Seconds for the daemon's own page, and for the host of the heartbeat."""
SLACK = 3.0
"""Seconds that a thread may take beyond what is tried in it."""
_LOOK = 0.1
"""Seconds between two drawings of the progress."""

SOURCES = typer.Argument(
    metavar="[SOURCE]...",
    help="Try these sources only, also those that are switched off. Default: everything.",
    show_default=False,
)
CONFIG = typer.Option("--config", "-c", help="Settings file.", show_default=False)
JSON = typer.Option("--json", help="Print one JSON object.")

Work = Callable[[], Coroutine[Any, Any, list[Checkup]]]


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to try."""

    section: Section
    work: Work
    limit: float
    """Seconds within which it promises to end."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    sources: Annotated[list[str] | None, SOURCES] = None,
    config: Annotated[Path | None, CONFIG] = None,
    as_json_: Annotated[bool, JSON] = False,
) -> None:
    """Try every source, credential, notifier and the store; say what is wrong and how to mend it.

    Nothing is changed, sent or paged. Exit code 0: nothing is wrong (there may be warnings). 1: something is wrong.
    2: the settings cannot be used, or there is no such source.
    """
    loaded = load(config, os.environ)
    settings = _settings(loaded, sources or [], as_json_=as_json_)
    plugins = loaded.plugins or installed()
    jobs, off = _jobs(loaded, settings, plugins, sources or [])
    try:
        tried, unfinished = _try(jobs, list(secrets_in(settings)))
    except KeyboardInterrupt:
        _leave(context, 130)
    sections = [*tried, *off]
    if as_json_:
        typer.echo(json_text(as_json(sections)))
    else:
        draw(terminal(), sections)
    code = 1 if number(sections, Grade.WRONG) else 0
    if unfinished:
        _leave(context, code)
    raise typer.Exit(code)


def _leave(context: typer.Context, code: int) -> NoReturn:
    """End at once: the interpreter would wait for threads of libraries that still hang, such as a resolver's."""
    if isinstance(context.obj, Output):
        os._exit(context.obj.finish(code))
    raise typer.Exit(code)


def _settings(loaded: Loaded, named: Sequence[str], *, as_json_: bool) -> Settings:
    """Return the settings; exit code 2 where they cannot be used, or have no such source."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if loaded.settings is None:
        for problem in loaded.problems:
            if problem.error:
                console.print(render(problem))
        console.print("nothing was tried: the settings cannot be used")
        if as_json_:
            section = Section("settings", "", str(loaded.path), checkups=doctor_settings.unusable(loaded))
            typer.echo(json_text(as_json([section])))
        raise typer.Exit(2)
    known = list(loaded.settings.sources)
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known) or 'none'}"
            console.print(line(f'evaluator: there is no source "{name}"; {hint}'))
            raise typer.Exit(2)
    return loaded.settings


def _jobs(
    loaded: Loaded, settings: Settings, plugins: Plugins, named: Sequence[str]
) -> tuple[list[Job], list[Section]]:
    """Return what is to be tried, in the order in which it is shown, and what is off."""
    jobs, off = _source_jobs(loaded, settings, plugins, named)
    if named:
        return jobs, []
    notifiers, silent = _notifier_jobs(settings, plugins)
    return [*_own_jobs(loaded, settings), *jobs, *notifiers], [*off, *silent]


def _own_jobs(loaded: Loaded, settings: Settings) -> list[Job]:
    """Return what is to be tried of the daemon itself."""

    async def own() -> list[Checkup]:
        found = doctor_settings.look(loaded, settings, tuple(settings.lint.ignore))
        return found + await doctor_settings.look_at_heartbeat(settings)

    async def store() -> list[Checkup]:
        return doctor_store.look(loaded)

    async def services() -> list[Checkup]:
        return doctor_notifiers.services(loaded)

    web = Section("web", settings.web.listen)
    jobs = [
        Job(Section("settings", "", str(loaded.path)), own, WEB_SECONDS),
        Job(Section("store", ""), store, STORE_SECONDS),
        Job(web, lambda: doctor_settings.look_at_web(settings), WEB_SECONDS),
    ]
    keyed = Job(Section("services", "", "who hears of an incident"), services, WEB_SECONDS)
    return [*jobs, keyed] if settings.services or loaded.rules else jobs


def _source_jobs(
    loaded: Loaded, settings: Settings, plugins: Plugins, named: Sequence[str]
) -> tuple[list[Job], list[Section]]:
    """Return the sources to try, and those that are off; one that is named is tried in any case."""
    jobs, off = [], []
    now = time.time()
    for name, entry in settings.sources.items():
        if named and name not in named:
            continue
        rules = doctor_sources.rules_of(loaded.rules, name, waiting=not entry.enabled)
        about = f"{entry.type}, {count(len(rules), 'rule')}"
        if not entry.enabled and not named:
            wait = f"; {count(len(rules), 'rule waits', 'rules wait')} for it" if rules else ""
            gaps = "".join(f"; {each}" for each in loaded.lacking.get(name, ()))
            off.append(Section("source", name, about, f"set enabled = true in [sources.{name}]{gaps}{wait}"))
            continue
        section = Section("source", name, about + ("" if entry.enabled else ", off: tried all the same"))
        if entry.settings is None or entry.type not in plugins.sources:
            gaps = "; ".join(loaded.lacking.get(name, ())) or "they cannot be used"
            found = Checkup(Grade.WRONG, "settings", gaps, "set it where evaluator is started")
            jobs.append(Job(section, _always(found), 1.0))
            continue
        kind, own = plugins.sources[entry.type], entry.settings

        def examine(name: str = name, kind: Any = kind, own: Any = own, rules: Any = rules) -> Any:  # noqa: ANN401  # Bound now.
            return doctor_sources.examined(name, kind, own, rules, now)

        jobs.append(Job(section, examine, doctor_sources.limit_of(own) + doctor_sources.GOODBYE))
    return jobs, off


def _always(found: Checkup) -> Work:
    async def work() -> list[Checkup]:
        return [found]

    return work


def _notifier_jobs(settings: Settings, plugins: Plugins) -> tuple[list[Job], list[Section]]:
    """Return the notifiers to try, and those that are off."""
    jobs, off = [], []
    for name, entry in settings.notifiers.items():
        if not entry.enabled or entry.settings is None or entry.type not in plugins.notifiers:
            off.append(Section("notifier", name, entry.type, f"set enabled = true in [notifiers.{name}]"))
            continue

        def attempt(name: str = name, entry: Any = entry) -> Any:  # noqa: ANN401  # Bound now.
            return doctor_notifiers.tried(name, plugins.notifiers[entry.type], entry, settings.instance)

        limit = doctor_sources.limit_of(entry.settings) + doctor_notifiers.OPEN_SECONDS
        jobs.append(Job(Section("notifier", name, "" if entry.type == name else entry.type), attempt, limit))
    return jobs, off


def _try(jobs: Sequence[Job], secrets: Sequence[str]) -> tuple[list[Section], bool]:
    """Try everything at once; return what was found, in order, and whether anything still hangs."""
    threads = Threads("doctor", len(jobs))
    start = time.monotonic()
    under_way = [(job, threads.submit(lambda job=job: _timed(job))) for job in jobs]  # type: ignore[misc]  # Bound now.
    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(20), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(jobs))
        while waited := [job for job, future in under_way if not future.done() and _left(job, start) > 0]:
            names = ", ".join(job.section.title for job in waited[:4])
            progress.update(bar, completed=len(jobs) - len(waited), description=names)
            _wait([future for _, future in under_way if not future.done()])
    threads.close()
    sections = [
        replace(each, checkups=tuple(without_secrets(each.checkups, secrets)))
        for each in (_section(job, future) for job, future in under_way)
    ]
    return sections, not all(future.done() for _, future in under_way)


def _left(job: Job, start: float) -> float:
    return start + job.limit + SLACK - time.monotonic()


def _wait(futures: Sequence["Future[Any]"]) -> None:
    """Wait a moment, or until the first of them is done."""
    with suppress(NotYet):
        futures[0].exception(_LOOK)


def _timed(job: Job) -> tuple[list[Checkup], float]:
    start = time.monotonic()
    return asyncio.run(job.work()), time.monotonic() - start


def _section(job: Job, future: "Future[tuple[list[Checkup], float]]") -> Section:
    """Return what came of one thing that was tried."""
    if not future.done():
        said = f"it has not ended within {job.limit + SLACK:g} s, and cannot be interrupted"
        mend = "see what it waits for; a source's type that blocks is a mistake of whoever made it"
        return replace(job.section, checkups=(Checkup(Grade.WRONG, job.section.kind, said, mend),), seconds=job.limit)
    error = future.exception()
    if error is not None:
        said = f"trying it failed with {type(error).__name__}"
        found = Checkup(Grade.WRONG, job.section.kind, said, "this is a mistake of evaluator: please report it")
        return replace(job.section, checkups=(found,))
    checkups, seconds = future.result()
    return replace(job.section, checkups=tuple(checkups), seconds=seconds)
