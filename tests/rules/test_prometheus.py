"""The shipped rules that ask Prometheus: a real server with a written history, judged at that history's times.

Each application's day is counters sampled every 15 seconds, as a scrape would leave them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from evaluator.incidents.incident import EventKind
from evaluator.testing import servers
from tests.rules.shipped import Watch, watch

BEGIN = 1_700_000_100
SCRAPE = 15
Phase = tuple[float, float]
"""Minutes, and what holds during them."""


def errors(metric: str, label: str, bad: str, good: str, phases: Sequence[Phase]) -> list[str]:
    """Return 20 requests a second of which a share is bad; a phase without any bad one has no series for them yet."""
    lines, totals = [], {bad: 0.0, good: 0.0}
    for at, share in _scrapes(phases):
        totals[bad] += 20 * SCRAPE * share
        totals[good] += 20 * SCRAPE * (1 - share)
        lines += [f'{metric}{{{label}="{name}"}} {total:.6f} {at}' for name, total in totals.items() if total]
    return lines


def durations(metric: str, labels: str, bounds: Sequence[float], phases: Sequence[Phase]) -> list[str]:
    """Return 2 events a second, all of which take as long as the phase says, in a histogram."""
    lines, counts = [], dict.fromkeys([*bounds, float("inf")], 0.0)
    for at, seconds in _scrapes(phases):
        for bound in counts:
            counts[bound] += 2 * SCRAPE * (seconds <= bound)
        for bound, count in counts.items():
            le = "+Inf" if bound == float("inf") else f"{bound}"
            lines.append(f'{metric}_bucket{{{labels}le="{le}"}} {count:.0f} {at}')
    return lines


def _scrapes(phases: Sequence[Phase]) -> Iterator[tuple[int, float]]:
    at = BEGIN
    for minutes, what in phases:
        end = at + int(60 * minutes)
        while at < end:
            yield at, what
            at += SCRAPE


@contextmanager
def lived(rule: str, metric: str, lines: Sequence[str], *, kind: str = "counter") -> Iterator[Watch]:
    """Watch a rule from the tenth minute of a history on."""
    # OpenMetrics wants the samples of one series together.
    ordered = sorted(lines, key=lambda line: (line.split(" ")[0], int(line.split(" ")[-1])))
    head = f"# TYPE {metric.removesuffix('_total')} {kind}\n"
    with (
        servers.prometheus(openmetrics=f"{head}{chr(10).join(ordered)}\n# EOF\n") as url,
        watch(rule, url=url, timeout="5s", start=BEGIN + 600.0) as watched,
    ):
        yield watched


def until(watched: Watch, minute: float) -> Watch:
    """Look at every slot before this minute of the history."""
    return watched.look_for(BEGIN + 60 * minute - watched.now)


def test_the_error_rate_is_raised_from_p2_to_p0_and_closes_as_one_incident() -> None:
    day = [(15, 0.0), (25, 0.01), (15, 0.03), (10, 0.2), (30, 0.0)]
    lines = errors("http_requests_total", "status", "503", "200", day)
    with lived("error-rate", "http_requests_total", lines) as watched:
        watched.is_quiet()
        assert watched.values == [0.0], "known also before the first error"
        # The window of 5 minutes fills slowly: 0.5 % are passed in its third minute.
        until(watched, 15 + 2.5)
        incident = watched.opens("P2", slack=60)
        assert watched.now > BEGIN + (15 + 15 + 2.5) * 60
        assert incident.title == "1 % of requests fail"
        watched.stays_open_while_blind()
        until(watched, 40)
        assert [each.severity for each in watched.open] == ["P2"]
        # 2 % are passed half way through the window, and 5 minutes later that is serious.
        until(watched, 40 + 2.5 + 5 - 0.5)
        assert [each.severity for each in watched.open] == ["P2"]
        until(watched, 40 + 2.5 + 5 + 1)
        (raised,) = watched.open
        watched.says(raised, "P1")
        until(watched, 55)
        assert [each.severity for each in watched.open] == ["P1"]
        until(watched, 55 + 1 + 2 + 1)
        (worst,) = watched.open
        watched.says(worst, "P0")
        assert worst.id == incident.id
        assert worst.limit == "above 5 %"
        until(watched, 65 + 4.5)
        watched.stays_open_while_blind(2)
        until(watched, 65 + 12)
        assert not watched.open
        assert len(watched.incidents) == 1
        (ended,) = [event.text for event in watched.events if event.kind is EventKind.RESOLVED]
        assert ended.startswith("closed: it has recovered, after ")


def test_a_day_of_half_a_percent_is_no_incident() -> None:
    lines = errors("http_requests_total", "status", "500", "200", [(60, 0.005)])
    with lived("error-rate", "http_requests_total", lines) as watched:
        until(watched, 60)
        assert watched.values == [pytest.approx(0.005)]
        assert not watched.incidents


@pytest.mark.parametrize(
    ("rule", "metric", "label", "bad", "good", "severity", "bad_share", "title"),
    [
        (
            "stripe-api-errors",
            "stripe_api_requests_total",
            "outcome",
            "error",
            "ok",
            "P0",
            0.5,
            "calls of the Stripe API",
        ),
        ("login-failures", "login_attempts_total", "outcome", "failure", "success", "P1", 0.4, "of logins fail"),
    ],
)
def test_a_share_that_fails_opens_and_closes(
    rule: str, metric: str, label: str, bad: str, good: str, severity: str, bad_share: float, title: str
) -> None:
    lines = errors(metric, label, bad, good, [(15, 0.0), (25, bad_share), (50, 0.01)])
    with lived(rule, metric, lines) as watched:
        watched.is_quiet()
        watched.look_until(watched.rule.tiers[0].limit, within=1800)
        assert not watched.incidents
        incident = watched.opens(severity)
        assert title in incident.title
        watched.stays_open_while_blind()
        until(watched, 40)
        watched.look_until(watched.rule.tiers[0].recover.limit, within=1800)
        watched.closes()


@pytest.mark.parametrize(
    ("rule", "metric", "labels", "bounds", "severity", "usual", "slow"),
    [
        (
            *("slow-queries", "django_db_query_duration_seconds", 'alias="default",vendor="postgresql",'),
            *((0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1), "P3", 0.02, 0.2),
        ),
        (
            *("payment-processing-time", "payment_processing_seconds", ""),
            *((0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120, 300), "P1", 1.5, 50),
        ),
    ],
)
def test_slowness_opens_and_closes(
    rule: str, metric: str, labels: str, bounds: Sequence[float], severity: str, usual: float, slow: float
) -> None:
    lines = durations(metric, labels, bounds, [(15, usual), (30, slow), (45, usual)])
    with lived(rule, metric, lines, kind="histogram") as watched:
        watched.is_quiet()
        watched.look_until(watched.rule.tiers[0].limit, within=1800)
        assert not watched.incidents
        incident = watched.opens(severity)
        assert "take" in incident.title
        watched.stays_open_while_blind()
        until(watched, 45)
        watched.look_until(watched.rule.tiers[0].recover.limit, within=1800)
        watched.closes()


def growing(metric: str, labels: str, phases: Sequence[tuple[float, float, float]]) -> list[str]:
    """Return a counter whose events a minute go from one number to another in each phase of so many minutes."""
    lines, at, total = [], BEGIN, 0.0
    for minutes, first, last in phases:
        scrapes = int(60 * minutes) // SCRAPE
        for number in range(scrapes):
            total += (first + (last - first) * number / scrapes) * SCRAPE / 60
            lines.append(f"{metric}{{{labels}}} {total:.6f} {at}")
            at += SCRAPE
    return lines


SESSIONS = [(60, 4.0, 4.0), (30, 4.0, 60.0), (40, 60.0, 60.0), (50, 3.0, 3.0)]
"""Errors a minute: an hour as always, more and more for half an hour, a long time at that level, and the end."""


def test_session_errors_that_increase_open_and_close_when_they_are_few_again() -> None:
    lines = growing("session_errors_total", 'reason="store"', SESSIONS)
    lines += growing("login_attempts_total", 'outcome="success"', [(180, 30, 30)])
    with lived("session-errors-increasing", "session_errors_total", lines) as watched:
        until(watched, 60)
        assert watched.values == [pytest.approx(4, rel=0.1)]
        assert not watched.incidents, "a constant trickle is no news"
        until(watched, 75)
        (incident,) = watched.open
        watched.says(incident, "P2")
        assert "rose by" in incident.why
        watched.stays_open_while_blind()
        until(watched, 130)
        assert watched.open, "they increase no longer, and are still many"
        until(watched, 160)
        assert not watched.open
        assert len(watched.incidents) == 1


def test_session_errors_are_nobodys_business_while_nobody_logs_in() -> None:
    lines = growing("session_errors_total", 'reason="store"', SESSIONS)
    lines += growing("login_attempts_total", 'outcome="success"', [(180, 0.5, 0.5)])
    with lived("session-errors-increasing", "session_errors_total", lines) as watched:
        until(watched, 130)
        assert not watched.incidents
