"""How commands draw incidents and the daemon's state in a terminal.

This module knows Rich and the data of the API. Labels come from exporters that nobody checked, so nothing of theirs is
ever taken for markup or for a terminal's control codes.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluator.web.wording import ago, count, ending, moment, span, wall_clock

Json = dict[str, Any]

SEVERITIES = {
    "P0": "bold white on red",
    "P1": "bold white on dark_orange3",
    "P2": "bold black on yellow3",
    "P3": "bold white on blue",
}
LEVELS = {
    "incident": ("●", "bold red"),
    "trouble": ("▲", "bold yellow"),
    "pending": ("○", "bold yellow"),
    "quiet": ("✓", "bold green"),
}


def terminal() -> Console:
    """Return where a command draws; wide where nobody looks, so that a line stays a line for `grep`."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 200
    return console


def plain(value: object) -> str:
    """Return a text without control codes."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))


def line(*parts: tuple[object, str] | str) -> Text:
    """Return a line of texts with their styles; a text by itself has none."""
    text = Text()
    for part in parts:
        if isinstance(part, str):
            text.append(plain(part))
        else:
            text.append(plain(part[0]), part[1])
    return text


def badge(severity: str) -> Text:
    """Return a severity as it is shown everywhere."""
    return Text(f" {plain(severity)} ", SEVERITIES.get(severity, "bold"))


def draw_status(console: Console, data: Json, where: tzinfo) -> None:
    """Draw what `/` shows."""
    now = moment(data["now"])
    mark, style = LEVELS.get(data["level"], ("?", "bold"))
    checked = (
        f"last checked {ago(now - moment(data['last_checked']))}" if data["last_checked"] else "nothing checked yet"
    )
    about = f"  {data['instance']}, {checked}, times in {data['timezone']}"
    console.print(line((f"{mark} {data['headline']}", style), about))
    for sentence in data["troubles"]:
        console.print(line(("  ! ", "yellow"), sentence))
    if data["incidents"]:
        console.print()
        _more(console, draw_incidents(console, data["incidents"], now, where), data["counts"]["open"])
    if data["pending"]:
        console.print()
        _draw_pending(console, data, now, where)
    _draw_quiet(console, data, now, where)
    console.print()
    _draw_sources(console, data["sources"], now)
    for rule in data["blind_rules"]:
        console.print(line("  ", (rule["rule"], "bold"), " gets no answer: ", (rule["error"], "red")))
    for problem in data["problems"]:
        kind = ("error ", "red") if problem["error"] else ("warning ", "yellow")
        console.print(line("  ", kind, (problem["where"], "bold"), f" {problem['message']}"))


def draw_incidents(console: Console, incidents: Iterable[Json], now: float, where: tzinfo) -> int:
    """Draw incidents as a table; return how many there were."""
    table = _table("", "incident", "id", "value", "limit", "since", "service", "")
    shown = 0
    for incident in incidents:
        shown += 1
        since = moment(incident["since"])
        table.add_row(
            badge(incident["severity"]),
            line((incident["title"], "bold"), *_members(incident)),
            line((incident["id"], "dim")),
            line((incident["value_text"], "bold")),
            line(incident["limit"]),
            line(f"{wall_clock(since, now, where)} ({span(incident['seconds'])})"),
            line(incident["service"]),
            _standing(incident),
        )
    console.print(table)
    return shown


def draw_incident(console: Console, incident: Json, now: float, where: tzinfo) -> None:
    """Draw one incident with its timeline."""
    since = moment(incident["since"])
    console.print(Text.assemble(badge(incident["severity"]), " ", line((incident["title"], "bold"))))
    rows = [
        ("state", _standing(incident) or line("open")),
        ("value", line((incident["value_text"], "bold"), f", limit: {incident['limit']}")),
        ("why", line(incident["why"])),
        ("since", line(f"{wall_clock(since, now, where)} ({span(incident['seconds'])})")),
        ("service", line(incident["service"])),
        ("rule", line(incident["rule"], *((f" ({incident['rule_at']})",) if incident["rule_at"] else ()))),
        ("series", line(count(incident["member_count"], "series", "series"))),
        *((name, line((incident[name], "yellow"))) for name in ("muted",) if incident[name]),
        *((name, line(incident[name])) for name in ("description", "runbook", "dashboard") if incident[name]),
        ("id", line(incident["id"])),
    ]
    facts = Table.grid(padding=(0, 2))
    for name, value in rows:
        facts.add_row(Text(name, "dim"), value)
    console.print(facts)
    console.print()
    if incident["caught"]:
        caught = _table("", "caught by the storm", "", "when")
        for each in incident["caught"]:
            at = wall_clock(moment(each["at"]), now, where)
            caught.add_row(badge(each["severity"]), line((each["rule"], "bold")), line(each["group_text"]), line(at))
        console.print(caught)
        _more(console, len(incident["caught"]), incident["caught_count"])
        console.print()
    timeline = _table("when", "", "what")
    for event in incident["timeline"]:
        timeline.add_row(
            line(wall_clock(moment(event["at"]), now, where)), line((event["kind"], "bold")), line(event["text"])
        )
    console.print(timeline)


def _members(incident: Json) -> tuple[tuple[str, str], ...]:
    number = incident["member_count"]
    return ((f"  {count(number, 'series', 'series')}", "dim"),) if number > 1 else ()


def _standing(incident: Json) -> Text:
    if incident["closed_at"]:
        return line((_ended(incident["close_reason"]), "green"))
    if incident["muted"]:
        return line((f"muted: {incident['muted']}", "yellow"))
    if incident.get("blind_since"):
        return line(("no data", "yellow"))
    if incident.get("closes_if"):
        wait = incident["closes_in"]
        return line((f"closes in {span(wait)}" if wait is not None else "recovering, no data", "green"))
    if incident["flapping"]:
        return line(("flapping", "yellow"))
    return line((incident["state"], "green")) if incident["state"] == "acknowledged" else Text()


def _ended(reason: str | None) -> str:
    why = ending(reason)
    return f"resolved {why}" if why.startswith("by ") else f"resolved: {why}"


def _draw_pending(console: Console, data: Json, now: float, where: tzinfo) -> None:
    table = _table("", "pending", "value", "limit", "since", "service", "")
    for alert in data["pending"]:
        verb = "becomes worse" if alert["raises"] else "would open" if alert["shadow"] else "opens"
        wait = "waits for an answer" if alert["opens_in"] is None else f"{verb} in {span(alert['opens_in'])}"
        wait += f"; nothing would be sent: {alert['muted']}" if alert["muted"] else ""
        table.add_row(
            badge(alert["severity"]),
            line(alert["title"]),
            line((alert["value_text"], "bold")),
            line(alert["limit"]),
            line(wall_clock(moment(alert["since"]), now, where)),
            line(alert["service"]),
            line((wait, "yellow")),
        )
    console.print(table)
    _more(console, len(data["pending"]), data["counts"]["pending"])


def _draw_quiet(console: Console, data: Json, now: float, where: tzinfo) -> None:
    """Draw what keeps the daemon quiet on purpose, and what that holds back."""
    if data["muted"]:
        console.print()
        table = _table("", "fires, but muted", "value", "since", "service", "")
        for alert in data["muted"]:
            table.add_row(
                badge(alert["severity"]),
                line(alert["title"]),
                line((alert["value_text"], "bold")),
                line(wall_clock(moment(alert["since"]), now, where)),
                line(alert["service"]),
                line((alert["muted"], "yellow")),
            )
        console.print(table)
        _more(console, len(data["muted"]), data["counts"]["muted"])
    if data["silences"]:
        console.print()
        draw_silences(console, data["silences"], now, where)
        _more(console, len(data["silences"]), data["counts"]["silences"])
    for window in data["windows"]:
        state = f"in force until {_at(window['until'], now, where)}" if window["until"] else None
        said = state or f"begins {_at(window['begins'], now, where)}"
        reason = f": {window['reason']}" if window["reason"] else ""
        console.print(line("  window ", (window["name"], "bold"), f" {said}, for {window['selects']}{reason}"))
    for rule in data["learning"]:
        console.print(line("  ", (rule["rule"], "bold"), f" pages nobody yet: {rule['text']}"))


def draw_silences(console: Console, silences: Iterable[Json], now: float, where: tzinfo) -> None:
    """Draw silences as a table."""
    table = _table("id", "silences", "until", "by", "why", "fires now")
    for silence in silences:
        ends = f"{_at(silence['ends_at'], now, where)} ({span(moment(silence['ends_at']) - now)})"
        over = silence["ended_at"] and f"{_at(silence['ended_at'], now, where)}: {silence['ended_because']}"
        early = ", or until that is over" if silence["ends_with_alert"] and not over else ""
        table.add_row(
            line((silence["id"], "dim")),
            line((silence["selects"], "bold")),
            line(f"ended {over}" if over else f"{ends}{early}"),
            line(silence["by"]),
            line(silence["reason"]),
            line((str(silence["firing_count"] or ""), "bold")),
        )
    console.print(table)


def _at(text: str, now: float, where: tzinfo) -> str:
    return wall_clock(moment(text), now, where)


def _draw_sources(console: Console, sources: Sequence[Json], now: float) -> None:
    table = _table("source", "", "rules")
    for source in sources:
        good = ago(now - moment(source["last_good"])) if source["last_good"] else "never"
        if not source["enabled"]:
            state = line(("off", "dim"))
        elif source["up"]:
            state = line(("answered", "green"), f" {good}")
        elif source["up"] is None:
            state = line(("not asked yet", "dim"))
        else:
            state = line(("no answer", "bold red"), f", last good: {good}", (f"  {source['error']}", "red"))
        table.add_row(line((source["name"], "bold")), state, line(str(source["rules"])))
    console.print(table)
    for source in sources:
        for warning in source["warnings"]:
            if warning != source["error"]:
                console.print(line("  ", (source["name"], "bold"), ": ", (warning, "yellow")))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    last = len(columns) - 1
    for number, column in enumerate(columns):
        # What stands last without a name is the longest text of all: it must not take the room of those before it.
        kept = column in {"", "id", "value", "rules"} and (column or number != last)
        table.add_column(column, overflow="fold", no_wrap=bool(kept))
    return table


def _more(console: Console, shown: int, total: int) -> None:
    if total > shown:
        console.print(f"and {total - shown:,} more", style="dim", highlight=False)
