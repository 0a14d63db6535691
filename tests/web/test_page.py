from dataclasses import replace
from html.parser import HTMLParser

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.maintenance import Selector, Window
from evaluator.engine.rules import Query, Severity
from evaluator.incidents.incident import Caught, Event, EventKind, IncidentState
from evaluator.web.pages import POLICY, first_page, incident_page
from evaluator.web.picture import picture
from evaluator.web.view import Backlog, ConfigProblem, RuleStatus, Snapshot, SourceStatus, WindowStatus
from tests.web.asking import ask
from tests.web.snapshots import (
    ALERTS,
    CPU,
    HUSHED,
    MEMORY,
    MUTED,
    NASTY,
    NIGHT,
    NOW,
    OPEN,
    PENDING,
    QUIET,
    RESOLVED,
    SILENCE,
    STORMY,
    TIMELINE,
    TROUBLE,
    alert,
    flood,
    incident,
)


class Reader(HTMLParser):
    """Reads a page as a browser does: the words, the tags with their attributes, and that all of them are closed."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(shown: Snapshot) -> Reader:
    return Reader(first_page(shown))


def nasty() -> Snapshot:
    """Every text that comes from outside is an attack."""
    mean = replace(
        MEMORY,
        name="mean",
        summary=NASTY,
        service=NASTY,
        file=NASTY,
        query=Query(NASTY, '"x"'),
        labels={NASTY: NASTY},
    )
    opened = incident(
        mean,
        Severity.P1,
        1,
        {"label": NASTY},
        title=NASTY,
        why=NASTY,
        limit=NASTY,
        description=NASTY,
        runbook=f"javascript:alert(1)//{NASTY}",
        dashboard=f'https://x/"onmouseover="alert(1)"{NASTY}',
        muted=NASTY,
        caught=(Caught(NASTY, ((NASTY, NASTY),), Severity.P1, NOW),),
    )
    muted = alert(mean, Severity.P2, State.FIRING, {"other": NASTY}, reason=NASTY)
    return replace(
        NIGHT,
        instance=NASTY,
        version=NASTY,
        timezone=NASTY,
        rules=(RuleStatus(mean, NOW, error=NASTY, learned=NASTY),),
        alerts=(alert(mean, Severity.P2, State.PENDING, {"label": NASTY}, reason=NASTY), muted),
        incidents=(opened, replace(opened, id="0RESOLVED", state=IncidentState.RESOLVED, closed_at=NOW)),
        sources=(SourceStatus(NASTY, NASTY, up=False, error=NASTY),),
        problems=(ConfigProblem(NASTY, NASTY),),
        silences=(replace(SILENCE, by=NASTY, reason=NASTY, selector=Selector((NASTY,), (NASTY,), {NASTY: NASTY})),),
        windows=(WindowStatus(Window(NASTY, Selector((NASTY,)), reason=NASTY), until=NOW + 60),),
        held={muted.key: NASTY},
        ready=(NASTY,),
        notes={NASTY: NASTY},
    )


def test_a_page_at_two_at_night_says_what_is_wrong_how_bad_since_when_and_what_to_do() -> None:
    text = read(NIGHT).text
    assert "4 open incidents last checked 5 s ago" in text
    assert (
        "severity P0 payments since 22:02 · 13 m 48,120 tasks wait in payments.capture 48120 limit: above 5000"
        " queue=payments.capture celery-backlog runbook dashboard" in text
    )
    assert "no data since 22:11" in text
    assert "acknowledged" in text
    assert "Recovering : closes in 4 m 25 s if it stays below 80 %" in text.replace("Recovering:", "Recovering :")
    assert "Opens in 3 m 25 s if it stays above 90 % (now 92.3 %)" in text
    assert "Becomes P0 in 4 m 25 s if it stays above 98 %" in text


def test_sources_have_their_last_good_poll_and_their_error() -> None:
    text = read(NIGHT).text
    assert "prometheus 2 rules answered 12 s ago" in text
    assert "no answer · last good 22:11 , 4 m ago redis at cache-1:6379 did not answer within 5s" in text
    assert "Off: cloudwatch 4 rules wait" in text


def test_whatever_is_in_the_way_is_told() -> None:
    text = read(TROUBLE).text
    for sentence in (
        "Not ready: the store cannot be written: disk full",
        "Service marketing cannot page: PAGERDUTY_MARKETING_KEY is not set",
        'error rules/web.toml:14:9 unknown key "abov"; did you mean "above"?',
        "2 deliveries to send, the oldest due 40 s ago",
    ):
        assert sentence in text


def test_quiet_is_calm() -> None:
    text = read(QUIET).text
    assert "All quiet: 5 rules on 2 sources last checked 5 s ago" in text
    for word in ("Open", "Pending", "error", "no answer"):
        assert word not in text
    assert "Memory of db-1 is 88 %" in text


def test_a_daemon_that_has_just_started_has_a_page_too() -> None:
    fresh = replace(QUIET, rules=tuple(RuleStatus(status.rule) for status in QUIET.rules), incidents=(), sources=())
    text = read(fresh).text
    assert "nothing checked yet" in text
    assert "No source is declared." in text


def test_one_incident_has_its_story_newest_first() -> None:
    text = Reader(incident_page(NIGHT, OPEN[0], TIMELINE)).text
    assert "celery-backlog has been above 5000 for 2m: 48120" in text
    assert text.index("sighted") < text.index("blind") < text.index("opened above")
    assert "open, since 22:02 · 13 m" in text
    closed = Reader(incident_page(NIGHT, RESOLVED, ())).text
    assert "resolved 20:15 (recovered), lasted 30 m" in closed
    assert "Nothing is written yet." in closed


def test_an_incident_of_many_series_and_a_long_story_stays_small() -> None:
    many = replace(OPEN[0], members=(*((("host", f"h{number}"),) for number in range(5000)), ()))
    events = tuple(Event(many.id, NOW - number, EventKind.JOINED, "x" * 5000) for number in range(3000))
    html = incident_page(NIGHT, many, events)
    assert "and 4,901 more" in html
    assert "and 2,500 older lines" in html
    assert len(html) < 2_000_000


def test_a_thousand_open_incidents_are_a_small_page_that_says_how_many_more() -> None:
    html = first_page(flood(1000))
    assert len(html) < 120_000
    text = Reader(html).text
    assert "1,000 open incidents" in text
    assert "and 950 more: all as JSON" in text
    assert "and 980 more: all as JSON" in text


def test_endless_texts_are_cut() -> None:
    endless = "x" * 1_000_000
    shown = replace(
        NIGHT,
        incidents=(incident(CPU, Severity.P1, 1, {"a": endless}, title=endless, why=endless, description=endless),),
        alerts=(alert(CPU, Severity.P1, State.PENDING, {"a": endless}, reason=endless),),
    )
    assert len(first_page(shown)) < 60_000
    assert len(incident_page(shown, shown.incidents[0], ())) < 60_000


@pytest.mark.parametrize("page", ["first", "incident"])
def test_nothing_from_outside_becomes_html(page: str) -> None:
    shown = nasty()
    events = (Event(shown.incidents[0].id, NOW, EventKind.OPENED, NASTY),)
    html = first_page(shown) if page == "first" else incident_page(shown, shown.incidents[0], events)
    reader = Reader(html)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "img", "iframe", "svg", "object", "form", "input"}
    for tag, attributes in reader.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        assert "style" not in attributes
        assert not str(attributes.get("href", "")).lower().startswith("javascript:")
    assert "{{7*7}}" in reader.text
    assert NASTY in reader.text.replace("  ", " ")


def test_links_of_rules_are_followed_only_to_the_web_and_tell_nobody_where_from() -> None:
    links = [attributes for tag, attributes in read(nasty()).tags if tag == "a"]
    outside = [link for link in links if not str(link["href"]).startswith("/")]
    assert len(outside) == 1
    assert str(outside[0]["href"]).startswith("https://x/")
    assert outside[0]["rel"] == "noopener noreferrer"


def test_the_page_needs_nothing_from_elsewhere_and_refreshes_itself() -> None:
    reader = read(NIGHT)
    sources = [
        value for _, attributes in reader.tags for name, value in attributes.items() if name in {"src", "srcset"}
    ]
    assert not sources
    assert ("meta", {"http-equiv": "refresh", "content": "10"}) in reader.tags
    (icon,) = [attributes for tag, attributes in reader.tags if tag == "link"]
    assert str(icon["href"]).startswith("data:image/svg+xml,")


def test_what_is_over_is_not_asked_for_again() -> None:
    assert 'http-equiv="refresh"' in incident_page(NIGHT, OPEN[0], ())
    assert 'http-equiv="refresh"' not in incident_page(NIGHT, RESOLVED, ())


def test_severity_is_a_word_and_the_regions_have_names() -> None:
    reader = read(NIGHT)
    names = {attributes["aria-label"] for tag, attributes in reader.tags if tag == "section"}
    assert {"Open incidents", "Pending alerts", "Sources", "Configuration problems"} <= names
    assert ("html", {"lang": "en"}) in reader.tags
    assert sum(tag == "h1" for tag, _ in reader.tags) == 1
    assert sum(tag == "main" for tag, _ in reader.tags) == 1


def test_times_are_those_of_the_settings_and_the_machine_readable_ones_are_exact() -> None:
    html = first_page(NIGHT)
    assert '<time datetime="2026-10-20T02:02:00Z" title="2026-10-20T02:02:00Z">22:02</time>' in html
    assert ">02:02</time>" in first_page(replace(NIGHT, timezone="UTC"))


def test_the_tab_says_how_many() -> None:
    assert "<title>(4) production · evaluator</title>" in first_page(NIGHT)
    assert "<title>production · evaluator</title>" in first_page(QUIET)


@pytest.mark.parametrize("shown", [NIGHT, QUIET, PENDING, TROUBLE, flood(3), nasty()])
async def test_every_page_is_sent_with_its_policy(shown: Snapshot) -> None:
    response = await ask("/", shown)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == POLICY


def test_a_clean_backlog_is_not_worth_a_word() -> None:
    assert "to send" not in read(replace(QUIET, backlog=Backlog())).text
    assert "1 delivery to send" in read(replace(QUIET, backlog=Backlog(pending=1))).text


def test_a_warning_of_a_source_stands_below_it() -> None:
    rules = tuple(replace(status, warnings=("monitor shop is paused", NASTY)) for status in NIGHT.rules)
    text = read(replace(NIGHT, rules=rules)).text
    assert "answered 12 s ago monitor shop is paused" in text


def test_what_keeps_quiet_on_purpose_is_shown_with_its_end_its_author_and_its_reason() -> None:
    text = read(HUSHED).text
    assert (
        "Firing, but muted 1 severity P2 infrastructure since 22:08 · 6 m 40 s Memory is 97.2 % Muted: silenced by ben"
        " until its alert is over, at most until 2026-10-20 22:15 EDT: known leak, INFRA-212 host=db-1 memory-high"
        in text
    )
    assert (
        "Silences 2 disk-*, checkout-* except disk-slow where mount=/var/* until 23:00 · 45 m left by ann: new disk for"
        " db-1 fires now: P2 disk-full (mount=/var/lib/postgresql) end it: evaluator silence end"
        " 01K8S000000000000000000001" in text
    )
    assert "ends before, with what it silences" in text
    assert (
        "Maintenance windows 1 in force db-upgrade db-* in force until 20 Oct, 00:00 PostgreSQL 18 backups disk-*"
        " begins 20 Oct, 00:00 nightly dump" in text
    )
    assert "long-over" not in text
    assert (
        "Learning what is usual 1 rule checkout-slow pages nobody yet"
        " learning until 2026-10-29 23:00 EDT: 2 of 5 samples" in text
    )


def test_a_pending_alert_says_what_would_hold_it_back() -> None:
    held = {each.key: "window swap until 2026-10-20 03:00 UTC" for each in ALERTS if each.state is State.PENDING}
    text = read(replace(NIGHT, held=held)).text
    assert text.count("Nothing would be sent: window swap until 2026-10-19 23:00 EDT") == 2
    assert "Firing, but muted" not in text


def test_an_incident_says_that_it_is_muted_flapping_or_a_storm() -> None:
    text = read(HUSHED).text
    assert "Not raised while muted: silenced by ann until 2026-10-19 23:00 EDT: new disk for db-1" in text
    assert "limit: above 5000 flapping" in text
    assert "Storm: 42 alerts of payments 42 groups of 1 rule service=payments storm" in text
    storm = Reader(incident_page(HUSHED, STORMY, ())).text
    assert "Still wrong 42 severity P1 celery-backlog queue=shop-0" in storm
    assert "and 22 more: as JSON" in storm
    assert "no value" not in storm


def test_what_fires_muted_is_in_the_headline_where_nothing_is_open() -> None:
    text = read(replace(HUSHED, incidents=(), problems=(), notes={}, backlog=Backlog(), sources=QUIET.sources)).text
    assert "No open incident, 2 alerts pending, 1 alert muted" in text


def test_an_alert_of_an_open_incident_a_storm_or_a_shadow_rule_is_not_muted_besides() -> None:
    held = {each.key: "silenced" for each in HUSHED.alerts}
    data = picture(replace(HUSHED, held=held))
    assert [each["title"] for each in data["muted"]] == ["Memory is 97.2 %"]
    assert data["counts"]["muted"] == 1
    storm = replace(STORMY, caught=(Caught(MUTED.rule, MUTED.series, MUTED.severity, NOW),))
    assert picture(replace(HUSHED, held=held, incidents=(storm, *OPEN)))["muted"] == []


def test_no_words_are_lost_on_what_is_not_there() -> None:
    text = read(NIGHT).text
    for word in ("Silences", "Maintenance", "Learning", "muted", "flapping"):
        assert word not in text
