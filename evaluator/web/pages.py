"""The pages, drawn on the server from the same data as the API: no script runs in the reader's browser.

This module knows HTML, its style and its policy. It never knows what is shown, only how.
"""

import base64
import hashlib
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from evaluator.incidents.incident import Event, Incident
from evaluator.web.incidents import group_text, incident_json, timeline_json
from evaluator.web.picture import picture
from evaluator.web.view import Snapshot
from evaluator.web.wording import ago, count, ending, localised, moment, span, wall_clock, zone

Json = dict[str, Any]

REFRESH = 10
"""Seconds after which a page asks for itself again."""
TIMELINE_SHOWN = 500

STYLE = files("evaluator.web").joinpath("templates/style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the pages: their own style, their own icon, and nothing else."""

_ICON_COLOURS = {"incident": "%23c81e3a", "trouble": "%23d97706", "pending": "%23d97706", "quiet": "%2316803c"}

_ENVIRONMENT = Environment(
    loader=PackageLoader("evaluator.web"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def first_page(snapshot: Snapshot) -> str:
    """Return the page `/`."""
    data = picture(snapshot)
    counts = data["counts"]
    title = f"({counts['open']}) {snapshot.instance}" if counts["open"] else snapshot.instance
    return _draw("first.html", snapshot, title=title, **data)


def incident_page(snapshot: Snapshot, incident: Incident, events: tuple[Event, ...]) -> str:
    """Return the page of one incident with its timeline, the newest line first."""
    lines = timeline_json(events)[::-1]
    return _draw(
        "incident.html",
        snapshot,
        title=f"{incident.severity.value} {incident.rule}",
        level="incident" if incident.open else "quiet",
        incident=incident_json(incident, snapshot.now),
        group_text=group_text(incident),
        timeline=lines[:TIMELINE_SHOWN],
        more=len(lines) - TIMELINE_SHOWN,
    )


def error_page(snapshot: Snapshot, sentence: str) -> str:
    """Return a page with one sentence: what was asked for is not there, or could not be made."""
    return _draw("error.html", snapshot, title=sentence, level="quiet", sentence=sentence)


def _draw(template: str, snapshot: Snapshot, *, title: str, level: str, **data: Any) -> str:  # noqa: ANN401  # A template's values are of any type.
    where = zone(snapshot.timezone)
    values: Json = {
        **localised(data, where),
        "title": localised(title, where),
        "level": level,
        "instance": snapshot.instance,
        "version": snapshot.version,
        "zone": snapshot.timezone,
        "style": Markup(STYLE),  # noqa: S704  # It is our own file.
        "icon_colour": _ICON_COLOURS[level],
        "refresh": REFRESH,
        "ending": ending,
        "span": span,
        "count": count,
        "stamp": partial(_stamp, now=snapshot.now, where=where),
        "age": lambda text: ago(snapshot.now - moment(text)),
        "length": lambda text: span(snapshot.now - moment(text)),
        "web_link": _web_link,
    }
    return _ENVIRONMENT.get_template(template).render(values)


def _stamp(text: str, *, now: float, where: Any) -> Markup:  # noqa: ANN401  # A timezone of any library.
    """Return a time as an element: the wall clock for people, the whole of it for machines."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, text, wall_clock(moment(text), now, where))


def _web_link(text: str) -> bool:
    """Return whether a rule's link may be followed: a `javascript:` one is only shown."""
    return text.startswith(("https://", "http://"))
