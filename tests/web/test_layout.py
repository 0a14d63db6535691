"""What a person sees, as a real browser draws it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Severity
from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.pages import error_page, first_page, incident_page
from evaluator.web.server import listen
from tests.web import chromium
from tests.web.snapshots import (
    CPU,
    HUSHED,
    NIGHT,
    OPEN,
    OTHER_SILENCE,
    PENDING,
    QUIET,
    STORMY,
    TIMELINE,
    TROUBLE,
    FrozenView,
    incident,
)
from tests.web.test_page import nasty

LONG = "a-very-long-name-without-any-space-in-it." * 6
ENDLESS = replace(
    NIGHT,
    instance=LONG,
    timezone=LONG,
    incidents=(
        incident(CPU, Severity.P1, 1, {LONG: LONG}, title=LONG, limit=LONG, service=LONG, value=1e300),
        incident(CPU, Severity.P0, 2, {}, title="長い名前 " * 40, value=-123456789012345.0),
    ),
    sources=(replace(NIGHT.sources[2], name=LONG, error=LONG),),
    silences=(replace(OTHER_SILENCE, by=LONG, reason=LONG, selector=Selector((LONG,), (LONG,), {LONG: LONG})),),
    windows=(replace(HUSHED.windows[0], window=Window(LONG, Selector((LONG,)), reason=LONG)),),
)
PAGES = {
    "night": first_page(NIGHT),
    "hushed": first_page(HUSHED),
    "storm": incident_page(HUSHED, STORMY, TIMELINE),
    "quiet": first_page(QUIET),
    "pending": first_page(PENDING),
    "trouble": first_page(TROUBLE),
    "endless": first_page(ENDLESS),
    "nasty": first_page(nasty()),
    "incident": incident_page(NIGHT, OPEN[0], TIMELINE),
    "endless incident": incident_page(ENDLESS, ENDLESS.incidents[0], TIMELINE),
    "not there": error_page(NIGHT, "There is no incident of this id"),
}
WIDTHS = (320, 390, 780, 1400)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_every_screen_and_can_be_read_by_day_and_by_night(tmp_path: Path, scheme: str) -> None:
    found = chromium.measured(tmp_path, PAGES, WIDTHS, *([chromium.DARK] if scheme == "dark" else []))
    assert len(found) == len(PAGES) * len(WIDTHS)
    for page in found:
        where = f"{page['name']} at {page['width']} px, {scheme}"
        assert page["scheme"] == scheme
        assert page["scrolled"] <= page["width"], where
        assert page["outside"] == [], where
        assert page["faint"] == [], where
        assert page["small"] == [], where
    grounds = {page["ground"] for page in found}
    assert len(grounds) == 1
    assert grounds.pop() != "rgba(0, 0, 0, 0)"


async def test_a_browser_takes_the_page_as_its_policy_allows_it(tmp_path: Path) -> None:
    server = await listen(make_app(FrozenView(NIGHT), Metrics(), token=None), "127.0.0.1:0")
    try:
        ran = await asyncio.to_thread(
            chromium.run, tmp_path, "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", server.url
        )
        picture = await asyncio.to_thread(chromium.screenshot, tmp_path, server.url, 500, 900)
    finally:
        await server.close()
    assert "4 open incidents" in ran.stdout
    assert "Content Security Policy" not in ran.stderr
    assert picture.startswith(b"\x89PNG")
    # A page without its style is black on white, and so much smaller.
    assert len(picture) > 40_000
