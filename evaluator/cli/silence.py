"""`evaluator silence`: hold back what some rules would open or raise, for a while and with a reason.

This module writes commands into the store, and waits until the daemon has carried them out. What a silence holds back
is decided elsewhere.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evaluator.cli.asking import Json, NotThere, Unanswered, find, settings_of
from evaluator.cli.output import json_text
from evaluator.cli.terminal import draw_silences, plain, terminal
from evaluator.cli.wishes import LATER, ask, who
from evaluator.config.load import Loaded
from evaluator.config.settings import Settings
from evaluator.daemon.identifiers import new_id
from evaluator.engine.units import parse_duration
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.silence import Silence
from evaluator.store.errors import CommitFailed, StoreUnavailable
from evaluator.store.store import Store, open_store
from evaluator.web.moments import moment_of
from evaluator.web.silences import BY_LENGTH, coverage_json, one_line, selector_text, silence_json, silence_of
from evaluator.web.wording import count, localised, span, wall_clock, zone

MOST = 1000
"""Silences in one list."""

Rules = Annotated[list[str], typer.Argument(metavar="RULE...", help="Names or patterns: cpu-high, 'disk-*', '*'.")]
Labels = Annotated[list[str], typer.Option("--series", metavar="LABEL=PATTERN", help="Only series with this label.")]
Except = Annotated[list[str], typer.Option("--except", metavar="RULE", help="Not these, of the rules that match.")]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 2h, 3d.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Until when: 03:00, 'tomorrow 03:00', RFC 3339.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for whoever looks at this at night.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks; default: your user name.")]
Recovered = Annotated[bool, typer.Option("--until-recovered", help="End before, as soon as what it silences is over.")]
All = Annotated[bool, typer.Option("--all", help="Those that have ended too.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The silence, as `evaluator silence list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a machine to read.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon listens; default: \\[web] listen of the settings.")
]
Config = Annotated[Path | None, typer.Option("--config", "-c", exists=True, dir_okay=False, help="The settings file.")]


class _AddByDefault(TyperGroup):
    """`evaluator silence cpu-high …` is `evaluator silence add cpu-high …`: what is no command is a rule."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # Whose click it is, is Typer's business.
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["add", *args]
        return super().parse_args(ctx, args)


silences = typer.Typer(cls=_AddByDefault, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(
        silences,
        name="silence",
        help="Hold back what rules would open or raise: `evaluator silence RULE... --for 2h --reason TEXT`. Nothing is"
        " closed by it, and what still fires when it ends opens then.",
        short_help="Hold back what rules would open or raise, for a while.",
    )


@silences.command()
def add(
    rules: Rules,
    series: Labels = [],  # noqa: B006  # Typer's way to say that there may be none.
    exceptions: Except = [],  # noqa: B006
    for_: For = "",
    until: Until = "",
    reason: Reason = "",
    by: By = None,
    until_recovered: Recovered = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Begin a silence. `add` may be left out, unless the rule is called like one of these commands.

    Exit code 0: it is in force. 1: the store cannot be used, or no daemon carried it out within ten seconds. 2: it is
    not clear what is asked for.
    """
    try:
        settings = settings_of(config)
        now = time.time()
        try:
            silence = silence_of(
                new_id(),
                rules=rules,
                exceptions=exceptions,
                series=_labels(series),
                reason=reason,
                by=who() if by is None else by,
                now=now,
                ends_at=_end(for_, until, now, settings.timezone),
                ends_with_alert=until_recovered,
            )
        except ValueError as problem:
            typer.echo(f"evaluator: {problem}", err=True)
            raise typer.Exit(2) from None
        with open_store(settings.store.url.get_secret_value(), read_only=True) as store:
            store.check()
        with open_store(settings.store.url.get_secret_value()) as store:
            command = Command(new_id(), CommandKind.SILENCE, silence.id, silence.by, now, silence.reason, silence)
            done = ask(store, command, lambda: _stored(store, silence.id) is not None)
            covers = _coverage(store, silence, config)
    except (Unanswered, StoreUnavailable, CommitFailed) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    _tell(silence, covers, settings, done=done, as_json=as_json)
    raise typer.Exit(0 if done else 1)


@silences.command("list")
def list_(show_all: All = False, as_json: AsJson = False, url: Url = None, config: Config = None) -> None:
    """List the silences in force, the newest first.

    Exit code 0: here they are. 1: neither the daemon nor the store could be asked.
    """
    try:
        found, where = _list(show_all, url, config)
    except (NotThere, Unanswered, StoreUnavailable) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json_text({"silences": found}))
    elif found:
        draw_silences(terminal(), localised(found, zone(where)), time.time(), zone(where))
    else:
        typer.echo("There was no silence." if show_all else "No silence is in force.")


@silences.command()
def end(silence: Id, by: By = None, config: Config = None) -> None:
    """End a silence early. What still fires then opens at its next breach.

    Exit code 0: it has ended. 1: there is no such silence, or no daemon carried it out within ten seconds. 2: --by
    is no name.
    """
    wanted = silence.upper()
    try:
        name = one_line("by", who() if by is None else by, BY_LENGTH)
    except ValueError as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(2) from None
    try:
        settings = settings_of(config)
        with open_store(settings.store.url.get_secret_value(), read_only=True) as store:
            _require_holding(store, wanted)
        with open_store(settings.store.url.get_secret_value()) as store:
            command = Command(new_id(), CommandKind.UNSILENCE, wanted, name, time.time())
            done = ask(store, command, lambda: _is_over(_stored(store, wanted)))
    except (Unanswered, StoreUnavailable, CommitFailed) as problem:
        typer.echo(f"evaluator: {problem}", err=True)
        raise typer.Exit(1) from None
    if not done:
        typer.echo(LATER, err=True)
        raise typer.Exit(1)
    typer.echo(f"{wanted} has ended")


def _end(for_: str, until: str, now: float, timezone: str) -> float:
    """Return when the silence ends; `ValueError` says what to write."""
    if bool(for_) is bool(until):
        raise ValueError("say how long, with --for 2h, or until when, with --until 03:00: one of the two")
    if until:
        return moment_of(until, now, zone(timezone), ahead=True)
    try:
        return now + parse_duration(for_)
    except ValueError as problem:
        raise ValueError(f"--for {problem}") from None


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (name, equals, pattern) in zip(given, pairs, strict=True):
        if not name or not equals or not pattern:
            raise ValueError(f'--series {plain(text)}: write LABEL=PATTERN, as in --series "host=web-*"')
    return {name: pattern for name, _, pattern in pairs}


def _stored(store: Store, silence: str) -> Silence | None:
    # Whatever follows the id makes the text that comes next after it in order.
    newest = store.silences(1, before=f"{silence}0")
    return newest[0] if newest and newest[0].id == silence else None


def _is_over(silence: Silence | None) -> bool:
    return silence is not None and silence.over(time.time())


def _require_holding(store: Store, silence: str) -> None:
    found = _stored(store, silence)
    if found is None:
        typer.echo(f"evaluator: there is no silence {plain(silence)}; `evaluator silence list` lists them", err=True)
        raise typer.Exit(1)
    if _is_over(found):
        typer.echo(f"{silence} has ended already")
        raise typer.Exit(0)


def _coverage(store: Store, silence: Silence, config: Path | None) -> Json:
    """Return what it holds back now: as the daemon says, else as the store and the rule files do."""
    daemon, loaded = find(None, config)
    try:
        listed = daemon.get("/api/v1/silences")["silences"]
        return next(each for each in listed if each["id"] == silence.id)
    except (NotThere, Unanswered, StopIteration):
        return coverage_json(silence, store.alerts(), _names(loaded))


def _names(loaded: Loaded | None) -> list[str]:
    return [rule.name for rule in loaded.rules] if loaded is not None else []


def _tell(silence: Silence, covers: Json, settings: Settings, *, done: bool, as_json: bool) -> None:
    now = time.time()
    if as_json:
        shown = {name: covers[name] for name in ("rule_count", "firing_count", "firing", "warnings")}
        typer.echo(json_text({**silence_json(silence, now), **shown}))
    else:
        until = f"{wall_clock(silence.ends_at, now, zone(settings.timezone))} ({span(silence.ends_at - now)})"
        early = ", or until that is over" if silence.ends_with_alert else ""
        verb = "silences" if done else "will silence"
        typer.echo(plain(f"{silence.id} {verb} {selector_text(silence.selector)} until {until}{early}"))
        typer.echo(plain(_covered_text(covers)))
    for warning in covers["warnings"]:
        typer.echo(plain(f"warning: {warning}"), err=True)
    if not done:
        typer.echo(LATER, err=True)


def _covered_text(covers: Json) -> str:
    rules = count(covers["rule_count"], "rule")
    if not covers["firing_count"]:
        return f"it is for {rules}, of which nothing that it silences fires now"
    more = covers["firing_count"] - len(covers["firing"])
    named = "; ".join([*covers["firing"], *([f"and {more} more"] if more else [])])
    verb = "fires" if covers["firing_count"] == 1 else "fire"
    return f"it is for {rules}, and silences {count(covers['firing_count'], 'alert')} that {verb} now: {named}"


def _list(show_all: bool, url: str | None, config: Path | None) -> tuple[list[Json], str]:
    """Return the silences, and the timezone to show them in."""
    daemon, loaded = find(url, config)
    try:
        where = str(daemon.get("/api/v1/status")["timezone"])
        return daemon.get("/api/v1/silences", all="true" if show_all else "false")["silences"], where
    except Unanswered as problem:
        if loaded is None or loaded.settings is None:
            raise
        typer.echo(f"evaluator: {problem}. This is what the store says:", err=True)
        settings = loaded.settings
    now = time.time()
    with open_store(settings.store.url.get_secret_value(), read_only=True) as store:
        found = store.silences(MOST, not_over_at=None if show_all else now)
        alerts = store.alerts()
    names = _names(loaded)
    return [{**silence_json(each, now), **coverage_json(each, alerts, names)} for each in found], settings.timezone
