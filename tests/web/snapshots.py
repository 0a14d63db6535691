"""Snapshots to look at: a bad night, a quiet day, a flood. No test, only values."""

from collections.abc import Sequence
from dataclasses import replace

from evaluator.engine.alerts import Alert, State, Verdict
from evaluator.engine.maintenance import Recurring, Selector, Window
from evaluator.engine.rules import Limit, Mode, Op, Query, Recover, Rule, Severity, Tier
from evaluator.engine.samples import Series, series_of
from evaluator.incidents.incident import STORM, Caught, CloseReason, Event, EventKind, Incident, IncidentState
from evaluator.incidents.silence import Silence
from evaluator.store.errors import StoreUnavailable
from evaluator.store.transitions import Past
from evaluator.web.quiet import windows_at
from evaluator.web.view import Backlog, ConfigProblem, RuleStatus, Snapshot, SourceStatus
from evaluator.web.why import Line, Looks, Question, chosen

NOW = 1792462500.0
"""2026-10-20 02:15:00 UTC: about two at night."""


def rule(name: str, *tiers: Tier, source: str = "prometheus", unit: str | None = "percent", **fields: object) -> Rule:
    values = {
        "query": Query(source, '{"query":"up"}'),
        "service": "infrastructure",
        "file": "rules/host.toml",
        **fields,
    }
    return Rule(name=name, tiers=tiers, unit=unit, **values)  # type: ignore[arg-type]


CPU = rule(
    "cpu-high",
    Tier(Severity.P0, Limit(Op.ABOVE, 98), 300.0),
    Tier(Severity.P1, Limit(Op.ABOVE, 90), 600.0, recover=Recover(Limit(Op.BELOW, 80), 300.0)),
    query=Query("prometheus", '{"query":"100 * avg by (instance) (rate(cpu_seconds_total[5m]))"}'),
    summary="CPU of {instance} is {value}",
    runbook="https://runbooks.example.com/cpu-high",
    line=12,
)
QUEUE = rule(
    "celery-backlog",
    Tier(Severity.P0, Limit(Op.ABOVE, 5000), 120.0),
    source="redis",
    unit="count",
    service="payments",
    file="rules/celery.toml",
    summary="{value} tasks wait in {queue}",
    runbook="https://runbooks.example.com/celery",
    dashboard="https://grafana.example.com/d/celery",
)
DISK = rule(
    "disk-full",
    Tier(Severity.P2, Limit(Op.ABOVE, 85), 900.0, recover=Recover(Limit(Op.BELOW, 80), 600.0)),
    source="host",
    summary="{mount} is {value} full",
)
MEMORY = rule(
    "memory-high",
    Tier(Severity.P2, Limit(Op.ABOVE, 90), 300.0),
    source="host",
    summary="Memory is {value}",
)
LATENCY = rule(
    "checkout-slow",
    Tier(Severity.P1, Limit(Op.ABOVE, 1.5), 300.0),
    unit="seconds",
    service="payments",
    file="rules/web.toml",
    summary="Checkout takes {value}",
    mode=Mode.SHADOW,
)
RULES = (CPU, QUEUE, DISK, MEMORY, LATENCY)


def alert(of: Rule, severity: Severity, state: State, labels: dict[str, str], **fields: object) -> Alert:
    breach = Verdict.CLEAR if state is State.RECOVERING else Verdict.BREACH
    values: dict[str, object] = {
        "since": NOW - 200,
        "active_at": NOW - 200,
        "clock": NOW - 205,
        "seen": NOW - 5,
        "judged": NOW - 5,
        "verdict": breach,
        "known": NOW - 5,
        "value": 93.1,
        **fields,
    }
    return Alert(rule=of.name, severity=severity, series=series_of(labels), state=state, **values)  # type: ignore[arg-type]


def incident(of: Rule, severity: Severity, number: int, labels: dict[str, str], **fields: object) -> Incident:
    series: Series = series_of(labels)
    values: dict[str, object] = {
        "service": of.service,
        "state": IncidentState.OPEN,
        "opened_at": NOW - 1500,
        "active_at": NOW - 2220,
        "updated_at": NOW - 30,
        "title": "CPU of web-3 is 96.2 %",
        "why": "cpu-high has been above 90 % for 10m: 96.2 %",
        "value": 96.2,
        "limit": "above 90 %",
        "unit": of.unit,
        "members": (series,),
        "known_at": NOW - 5,
        "runbook": of.runbook,
        "dashboard": of.dashboard,
        "rule_at": f"{of.file}:{of.line}",
        **fields,
    }
    return Incident(id=f"01K8{number:022d}", rule=of.name, group=series, severity=severity, **values)  # type: ignore[arg-type]


OPEN = (
    incident(
        QUEUE,
        Severity.P0,
        4,
        {"queue": "payments.capture"},
        title="48,120 tasks wait in payments.capture",
        why="celery-backlog has been above 5000 for 2m: 48120",
        value=48120.0,
        limit="above 5000",
        active_at=NOW - 780,
    ),
    incident(CPU, Severity.P1, 3, {"instance": "web-3"}, state=IncidentState.ACKNOWLEDGED),
    incident(
        DISK,
        Severity.P2,
        2,
        {"mount": "/var/lib/postgresql"},
        title="/var/lib/postgresql is 79.4 % full",
        value=79.4,
        limit="above 85 %",
        active_at=NOW - 93000,
    ),
    incident(
        CPU,
        Severity.P1,
        1,
        {"instance": "web-1"},
        title="CPU of web-1 is 91.7 %",
        value=91.7,
        active_at=NOW - 5400,
    ),
)
RESOLVED = incident(
    MEMORY,
    Severity.P2,
    0,
    {"host": "db-1"},
    title="Memory of db-1 is 88 %",
    state=IncidentState.RESOLVED,
    closed_at=NOW - 7200,
    active_at=NOW - 9000,
    close_reason=CloseReason.RECOVERED,
    members=(),
)
TIMELINE = (
    Event(OPEN[0].id, NOW - 660, EventKind.OPENED, "above 5000 for 2m: 5312"),
    Event(OPEN[0].id, NOW - 658, EventKind.SENT, "trigger accepted by pagerduty"),
    Event(OPEN[0].id, NOW - 300, EventKind.BLIND, "redis does not answer: timed out after 5s"),
    Event(OPEN[0].id, NOW - 180, EventKind.SIGHTED, "redis answers again: 48120"),
)
ALERTS = (
    alert(QUEUE, Severity.P0, State.FIRING, {"queue": "payments.capture"}, value=48120.0),
    alert(CPU, Severity.P1, State.FIRING, {"instance": "web-3"}, value=96.2),
    alert(CPU, Severity.P1, State.FIRING, {"instance": "web-1"}, verdict=Verdict.UNKNOWN, known=NOW - 240),
    alert(DISK, Severity.P2, State.RECOVERING, {"mount": "/var/lib/postgresql"}, value=79.4, clock=NOW - 335),
    alert(CPU, Severity.P0, State.PENDING, {"instance": "web-3"}, value=98.4, clock=NOW - 35),
    alert(MEMORY, Severity.P2, State.PENDING, {"host": "web-2"}, value=92.3, clock=NOW - 95),
    alert(LATENCY, Severity.P1, State.FIRING, {"path": "/checkout"}, value=2.31),
)
SOURCES = (
    SourceStatus("host", "host", up=True, last_good=NOW - 5, last_poll=NOW - 5, rules=2, duration=0.012),
    SourceStatus("prometheus", "prometheus", up=True, last_good=NOW - 12, last_poll=NOW - 12, rules=2, duration=0.08),
    SourceStatus(
        "redis",
        "redis",
        up=False,
        last_good=NOW - 240,
        last_poll=NOW - 5,
        rules=1,
        error="redis at cache-1:6379 did not answer within 5s",
    ),
    SourceStatus("cloudwatch", "cloudwatch", enabled=False, rules=4),
)
STATUSES = tuple(RuleStatus(each, NOW - 5, NOW - 5, 0.0004, series=12) for each in RULES)

QUIET = Snapshot(
    now=NOW,
    instance="production",
    version="0.1.0",
    started_at=NOW - 86400,
    timezone="America/New_York",
    rules=STATUSES,
    incidents=(RESOLVED,),
    sources=SOURCES[:2],
)
PENDING = replace(QUIET, alerts=(ALERTS[5],))
NIGHT = replace(
    QUIET,
    alerts=ALERTS,
    incidents=(*OPEN, RESOLVED),
    sources=SOURCES,
    backlog=Backlog(pending=2, refused=1, oldest=NOW - 40),
    problems=(
        ConfigProblem("rules/web.toml:14:9", 'unknown key "abov"; did you mean "above"?'),
        ConfigProblem("rules/host.toml:3:1", "no runbook", error=False),
    ),
    notes={"marketing": "PAGERDUTY_MARKETING_KEY is not set"},
)
FULL = "the store cannot be written: disk full"
TROUBLE = replace(NIGHT, incidents=(), alerts=(), ready=(FULL, "the last cycle is 4 m old"))
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"


SILENCE = Silence(
    id="01K8S000000000000000000001",
    selector=Selector(("disk-*", "checkout-*"), ("disk-slow",), {"mount": "/var/*"}),
    by="ann",
    reason="new disk for db-1",
    starts_at=NOW - 1800,
    ends_at=NOW + 2700,
)
OTHER_SILENCE = Silence(
    id="01K8S000000000000000000002",
    selector=Selector(("memory-high",)),
    by="ben",
    reason="known leak, INFRA-212",
    starts_at=NOW - 600,
    ends_at=NOW + 86_400,
    ends_with_alert=True,
)
OVER = replace(SILENCE, id="01K8S000000000000000000000", ended_at=NOW - 1900, ended_because="ended by ann")
SILENCES = (SILENCE, OTHER_SILENCE, OVER)
WINDOWS = windows_at(
    (
        Window("db-upgrade", Selector(("db-*",)), NOW - 900, NOW + 6300, reason="PostgreSQL 18", file="rules/db.toml"),
        Window("backups", Selector(("disk-*",)), when=Recurring("0 4 * * *", "UTC", 1800.0), reason="nightly dump"),
        Window("long-over", start=NOW - 900, end=NOW - 800),
    ),
    NOW,
)
MUTED = alert(MEMORY, Severity.P2, State.FIRING, {"host": "db-1"}, value=97.2, active_at=NOW - 400)
HELD = {MUTED.key: "silenced by ben until its alert is over, at most until 2026-10-21 02:15 UTC: known leak, INFRA-212"}
LEARNING = "learning until 2026-10-30 03:00 UTC: 2 of 5 samples"
STORMY = replace(
    incident(
        QUEUE,
        Severity.P0,
        7,
        {"service": "payments"},
        title="Storm: 42 alerts of payments",
        why="30 incidents of payments opened within 1m",
        value=None,
        limit="",
        unit=None,
        runbook="",
        dashboard="",
        members=(),
        rule_at="",
        active_at=NOW - 120,
        caught=tuple(
            Caught("celery-backlog", (("queue", f"shop-{number}"),), Severity.P1, NOW - number) for number in range(42)
        ),
    ),
    rule=STORM,
)
HUSHED = replace(
    NIGHT,
    alerts=(*ALERTS, MUTED),
    incidents=(
        STORMY,
        replace(OPEN[0], flapping=True),
        *OPEN[1:2],
        replace(OPEN[2], muted="silenced by ann until 2026-10-20 03:00 UTC: new disk for db-1"),
        OPEN[3],
        RESOLVED,
    ),
    rules=(*STATUSES[:-1], replace(STATUSES[-1], learned=LEARNING)),
    silences=SILENCES,
    windows=WINDOWS,
    held=HELD,
)
"""The same night, with everything that keeps quiet on purpose."""


def flood(number: int) -> Snapshot:
    """Return a snapshot with this many open incidents, and as many alerts pending."""
    opened = [incident(CPU, Severity.P1, index, {"instance": f"web-{index}"}) for index in range(number)]
    alerts = [alert(CPU, Severity.P1, State.FIRING, {"instance": f"web-{index}"}) for index in range(number)]
    alerts += [alert(CPU, Severity.P0, State.PENDING, {"instance": f"web-{index}"}) for index in range(number)]
    return replace(NIGHT, incidents=tuple(opened), alerts=tuple(alerts))


class FrozenView:
    """A daemon that stands still, but for silences."""

    def __init__(
        self, snapshot: Snapshot, events: Sequence[Event] = TIMELINE, seen: Sequence[Line] = (), broken: str = ""
    ) -> None:
        self.shown = snapshot
        self.events = tuple(events)
        self.seen = tuple(seen)
        self.pasts: tuple[Past, ...] = ()
        self.broken = broken

    def snapshot(self) -> Snapshot:
        return self.shown

    async def incident(self, incident: str) -> tuple[Incident, tuple[Event, ...]] | None:
        for found in self.shown.incidents:
            if found.id == incident:
                return found, tuple(event for event in self.events if event.incident == incident)
        return None

    async def history(self, limit: int, before: str | None = None) -> tuple[Incident, ...]:
        newest = sorted(self.shown.incidents, key=lambda found: found.id, reverse=True)
        return tuple(found for found in newest if before is None or found.id < before)[:limit]

    async def looks(self, asked: Question) -> Looks:
        return chosen(asked, self.seen, self.pasts, self.seen[0].at if self.seen else None)

    async def silences(self, limit: int) -> tuple[Silence, ...]:
        return tuple(sorted(self.shown.silences, key=lambda silence: silence.id, reverse=True))[:limit]

    async def silence(self, asked: Silence) -> Silence:
        return self._keep(replace(asked, id=f"01K8S{len(self.shown.silences):021d}"))

    async def unsilence(self, silence: Silence, by: str) -> Silence:
        return self._keep(replace(silence, ended_at=self.shown.now, ended_because=f"ended by {by}"))

    def _keep(self, silence: Silence) -> Silence:
        if self.broken:
            raise StoreUnavailable(self.broken)
        others = tuple(each for each in self.shown.silences if each.id != silence.id)
        self.shown = replace(self.shown, silences=(*others, silence))
        return silence
