"""Runs that beat missed: in RedBeat's schedule, in django-celery-beat's, and in one of the settings."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis as redis_py

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples, series_of
from evaluator.sources.celery import CelerySource
from evaluator.sources.celery_age import Ages
from evaluator.sources.celery_answers import Memory, Round
from evaluator.sources.celery_asking import Facts
from evaluator.sources.celery_query import CeleryQuery, CelerySettings
from evaluator.sources.celery_schedule import Entry, dues
from evaluator.sources.celery_tally import Tally
from evaluator.sources.celery_workers import Crew, Roll
from evaluator.sources.checkup import Grade
from evaluator.testing.peers import nobody, peer
from evaluator.testing.sources import query
from tests.sources.celery_jobs import Asked, failed, story, values

PAGE = Path(__file__).parents[2] / "docs" / "sources" / "celery.md"
PASSWORD = "s3cret-schedule-password"
MISSED = {"measure": "missed_runs"}
LAST = {"measure": "last_run"}
NOW = 1_700_000_000.0


@pytest.fixture
def database(redis_url: str) -> Iterator[str]:
    url = redis_url.replace("/0", "/8")
    with redis_py.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


def redbeat(client: redis_py.Redis, name: str, due: float, schedule: Mapping[str, object], **more: object) -> None:
    """Write an entry as RedBeat 2.3 does."""
    definition = {"name": name, "task": f"jobs.{name}", "args": [], "schedule": schedule, "enabled": True, **more}
    last = {"__type__": "datetime", "year": 2023, "month": 11, "day": 14, "hour": 22, "minute": 0, "timezone": "UTC"}
    meta = {"last_run_at": {**last, "second": 0, "microsecond": 0}, "total_run_count": 7}
    client.hset(f"redbeat:{name}", mapping={"definition": json.dumps(definition), "meta": json.dumps(meta)})
    client.zadd("redbeat::schedule", {f"redbeat:{name}": due})


def by_name(result: PollResult) -> dict[str, float]:
    assert isinstance(result, Samples), result
    return {row["name"]: value for row, value in zip(result.labels, result.values, strict=True)}


def test_redbeat_is_read(database: str) -> None:
    minute = {"__type__": "interval", "every": 60.0, "relative": False}
    nightly = {"__type__": "crontab", "minute": "0", "hour": "2", "day_of_week": "*", "day_of_month": "*"}

    async def told(ask: Asked) -> None:
        with redis_py.Redis.from_url(database) as client:
            redbeat(client, "well", NOW + 5, minute)
            redbeat(client, "late", NOW - 30, minute)
            redbeat(client, "stuck", NOW - 400, minute)
            redbeat(client, "nightly", NOW - 3 * 86400, nightly)
            redbeat(client, "off", NOW - 9999, minute, enabled=False)
            client.hset("redbeat:broken", mapping={"definition": "{"})
            client.zadd("redbeat::schedule", {"redbeat:broken": NOW})
            missed, last, one = await ask(MISSED, LAST, {**MISSED, "task": "jobs.stuck"}, now=NOW)
            assert by_name(missed) == {"well": 0.0, "late": 0.0, "stuck": 6.0, "nightly": 4.0}
            assert isinstance(missed, Samples)
            assert missed.warnings == ("RedBeat: redbeat:broken is not understood",)
            off = series_of({"name": "off", "task": "jobs.off"})
            assert missed.gone == {off}
            assert by_name(last)["well"] == datetime(2023, 11, 14, 22, 0, tzinfo=UTC).timestamp()
            assert by_name(one) == {"stuck": 6.0}
            client.zrem("redbeat::schedule", "redbeat:stuck")
            (after,) = await ask(MISSED, now=NOW)
            assert isinstance(after, Samples)
            # Taken out of the schedule: an incident about it ends.
            assert after.gone == {off, series_of({"name": "stuck", "task": "jobs.stuck"})}
            assert isinstance(ask.source, CelerySource)
            assert ask.source.usage()["requests"] == 4.0

    story(told, database, redbeat_url=database, grace="1m")


def test_redbeat_entries_that_ended_never_ran_or_have_a_nameless_zone(database: str) -> None:
    rule = {"__type__": "rrule", "freq": 6, "interval": 1, "count": 1}
    parts = {"year": 2023, "month": 11, "day": 15, "hour": 1, "minute": 30, "second": 0, "microsecond": 0}

    async def told(ask: Asked) -> None:
        with redis_py.Redis.from_url(database) as client:
            for name, due in (("ended", -1.0), ("fresh", NOW + 5), ("india", NOW + 5)):
                redbeat(client, name, due, rule)
            last = {"__type__": "datetime", **parts, "timezone": 19800.0}
            client.hset("redbeat:fresh", "meta", json.dumps({"last_run_at": last}))
            client.hset("redbeat:india", "meta", json.dumps({"last_run_at": last, "total_run_count": 1}))
            missed, ran = await ask(MISSED, LAST, now=NOW)
        # A rule that has come to its end has a due time below 0, and is no run that is missed since 1970.
        assert by_name(missed) == {"fresh": 0.0, "india": 0.0}
        assert isinstance(missed, Samples)
        assert missed.gone == {series_of({"name": "ended", "task": "jobs.ended"})}
        # What RedBeat calls the last run of an entry that never ran is when it was made.
        assert by_name(ran) == {"india": datetime(2023, 11, 14, 20, 0, tzinfo=UTC).timestamp()}

    story(told, database, redbeat_url=database)


TABLES = """
CREATE TABLE django_celery_beat_intervalschedule (id serial PRIMARY KEY, every int NOT NULL, period varchar(24));
CREATE TABLE django_celery_beat_crontabschedule (id serial PRIMARY KEY, minute varchar(240), hour varchar(96),
  day_of_week varchar(64), day_of_month varchar(124), month_of_year varchar(64), timezone varchar(63));
CREATE TABLE django_celery_beat_periodictask (id serial PRIMARY KEY, name varchar(200) UNIQUE, task varchar(200),
  enabled bool NOT NULL DEFAULT true, last_run_at timestamptz, date_changed timestamptz NOT NULL,
  start_time timestamptz, expires timestamptz, one_off bool NOT NULL DEFAULT false,
  total_run_count int NOT NULL DEFAULT 0, interval_id int, crontab_id int, solar_id int, clocked_id int);
INSERT INTO django_celery_beat_intervalschedule VALUES (1, 10, 'minutes');
INSERT INTO django_celery_beat_crontabschedule VALUES (1, '0', '4', '*', '*', '*', 'Europe/Berlin');
INSERT INTO django_celery_beat_periodictask
  (name, task, enabled, last_run_at, date_changed, start_time, interval_id, crontab_id) VALUES
  ('well', 'jobs.well', true, to_timestamp(1700000000 - 500), to_timestamp(0), null, 1, null),
  ('stuck', 'jobs.stuck', true, to_timestamp(1700000000 - 1800), to_timestamp(0), null, 1, null),
  ('new', 'jobs.new', true, null, to_timestamp(1700000000 - 100), null, 1, null),
  ('never', 'jobs.never', true, null, to_timestamp(1700000000 - 2000), null, 1, null),
  ('later', 'jobs.later', true, null, to_timestamp(1700000000 - 2000), to_timestamp(1700000000 + 5), 1, null),
  ('nightly', 'jobs.nightly', true, to_timestamp(1700000000 - 2 * 86400), to_timestamp(0), null, null, 1),
  ('off', 'jobs.off', false, to_timestamp(0), to_timestamp(0), null, 1, null),
  ('solar', 'jobs.solar', true, null, to_timestamp(0), null, null, null);
"""


@pytest.fixture
def django(postgres_url: str) -> Iterator[str]:
    """A database with the tables of django-celery-beat, as the user that the page describes."""
    grant = re.search(r"^GRANT SELECT ON django_celery_beat.*;$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert grant is not None
    name = f"beat{nobody()}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'".encode())
        url = postgres_url.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(TABLES.encode())
            owner.execute(grant[0].replace("TO evaluator", f"TO {name}").encode())
        _, _, host = url.rpartition("@")
        yield f"postgresql://{name}:{PASSWORD}@{host}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        admin.execute(f"DROP ROLE {name}".encode())


def test_django_celery_beat_is_read(database: str, django: str) -> None:
    async def told(ask: Asked) -> None:
        missed, last = await ask(MISSED, LAST, now=NOW)
        expected = {"well": 0.0, "stuck": 2.0, "new": 0.0, "never": 2.0, "later": 0.0, "nightly": 2.0}
        assert by_name(missed) == expected
        assert isinstance(missed, Samples)
        assert missed.gone == {series_of({"name": "off", "task": "jobs.off"})}
        assert "1 entries of django-celery-beat" in missed.warnings[0]
        assert by_name(last) == {"well": NOW - 500, "stuck": NOW - 1800, "nightly": NOW - 2 * 86400}
        assert isinstance(ask.source, CelerySource)
        found = await ask.source.examine([query(CelerySource, MISSED)], NOW)
        assert not [checkup for checkup in found if checkup.grade is Grade.WRONG], found

    story(told, database, django_url=django, grace="5m")


def changed(django: str, postgres_url: str, statement: str) -> None:
    with psycopg.connect(f"{postgres_url.rpartition('/')[0]}/{django.rpartition('/')[2]}", autocommit=True) as owner:
        owner.execute(statement.encode())


def test_one_off_entries_and_clocks_that_are_ahead(database: str, django: str, postgres_url: str) -> None:
    insert = (
        "INSERT INTO django_celery_beat_periodictask (name, task, last_run_at, date_changed, one_off, "
        "total_run_count, interval_id) VALUES "
        "('done', 't', to_timestamp(1700000000 - 9000), to_timestamp(0), true, 1, 1), "
        "('waits', 't', null, to_timestamp(1700000000 - 9000), true, 0, 1), "
        "('ahead', 't', to_timestamp(1700000000 + 3600), to_timestamp(0), false, 5, 1)"
    )
    changed(django, postgres_url, insert)

    async def told(ask: Asked) -> None:
        (missed,) = await ask({**MISSED, "task": "t"}, now=NOW)
        # It runs a single time, so it misses no more; and who says a time that has not come says nothing.
        assert by_name(missed) == {"waits": 1.0}
        assert isinstance(missed, Samples)
        assert series_of({"name": "done", "task": "t"}) in missed.gone
        assert any("ahead: its last run is 3600 s ahead" in each for each in missed.warnings)

    story(told, database, django_url=django)


def test_an_entry_that_was_changed_or_switched_on_gets_its_time(database: str, django: str, postgres_url: str) -> None:
    async def told(ask: Asked) -> None:
        assert by_name((await ask(MISSED, now=NOW))[0])["stuck"] == 2.0
        # As Django's admin switches on what is chosen: the entry keeps its old times, and beat sends it at once.
        changed(django, postgres_url, "UPDATE django_celery_beat_periodictask SET enabled = true WHERE name = 'off'")
        edit = "UPDATE django_celery_beat_periodictask SET date_changed = to_timestamp(1700000000) WHERE name = 'stuck'"
        changed(django, postgres_url, edit)
        (just,) = await ask(MISSED, now=NOW + 60)
        assert not by_name(just).keys() & {"off", "stuck"}
        assert isinstance(just, Samples)
        assert not just.gone
        assert any(each.startswith("off: changed 0 s ago") for each in just.warnings)
        # Beat did not, although it had the time: 6 minutes, since it writes down what it sends that late.
        assert not by_name((await ask(MISSED, now=NOW + 359))[0]).keys() & {"off", "stuck"}
        later = by_name((await ask(MISSED, now=NOW + 60 + 361))[0])
        assert later["off"] > 1
        assert later["stuck"] == 3.0

    story(told, database, django_url=django, grace="1m")


def test_a_schedule_that_cannot_be_read_spoils_nothing_else(database: str, django: str) -> None:
    async def told(ask: Asked) -> tuple[PollFailed, str]:
        missed, up = await ask(MISSED, {"measure": "up"})
        assert values(up) == [1.0]
        assert isinstance(ask.source, CelerySource)
        found = await ask.source.examine([query(CelerySource, MISSED)], NOW)
        (wrong,) = [checkup for checkup in found if checkup.grade is Grade.WRONG]
        assert PASSWORD not in f"{missed} {found}"
        return failed(missed), wrong.mend

    settings = {"timeout": "3s"}
    answer, _ = story(told, database, django_url=f"postgresql://u:{PASSWORD}@127.0.0.1:{nobody()}/x", **settings)
    assert answer.reason is FailureReason.REFUSED
    bare = django.rpartition("/")[0] + "/postgres"
    answer, mend = story(told, database, django_url=bare, **settings)
    assert answer.reason is FailureReason.BAD_QUERY
    assert "migrated" in mend
    answer, _ = story(told, database, redbeat_url=f"redis://:{PASSWORD}@127.0.0.1:{nobody()}/0", **settings)
    assert answer.reason is FailureReason.REFUSED
    with peer() as hole:
        silent = f"postgresql://u:{PASSWORD}@127.0.0.1:{hole.port}/x"
        answer, _ = story(told, database, django_url=silent, timeout="500ms")
    assert answer.reason is FailureReason.TIMEOUT


def test_a_broker_that_is_down_does_not_hide_what_beat_wrote_down(django: str) -> None:
    async def told(ask: Asked) -> None:
        up, missed = await ask({"measure": "up"}, MISSED, now=NOW)
        assert values(up) == [0.0]
        assert by_name(missed)["stuck"] == 2.0

    story(told, f"redis://127.0.0.1:{nobody()}/0", django_url=django)


def test_without_a_schedule_nobody_can_say(database: str) -> None:
    async def told(ask: Asked) -> None:
        (missed,) = await ask(MISSED)
        assert failed(missed).reason is FailureReason.BAD_QUERY
        assert "`schedule`" in failed(missed).message

    story(told, database)


def test_a_crontab_follows_the_clock_of_its_zone() -> None:
    nightly = Entry("n", "t", 0.0, cron="0 2 * * *", zone="Europe/Berlin")
    after = datetime(2026, 3, 27, tzinfo=UTC).timestamp()
    found = [datetime.fromtimestamp(due, UTC).strftime("%d %H") for due in dues(nightly, after, after + 3.5 * 86400)]
    # In the night of the 29th there is no 2 o'clock: it runs once all the same.
    assert found == ["27 01", "28 01", "29 01", "30 00"]
    sunday = Entry("n", "t", 0.0, cron="0 0 * * 0")
    (only,) = dues(sunday, after, after + 6 * 86400)
    assert datetime.fromtimestamp(only, UTC).weekday() == 6


class Told:
    """The schedule of the settings, with events that a test makes up. Its clock is 1,000,000 s behind the epoch's."""

    def __init__(self, **entry: object) -> None:
        settings = {"broker": "redis://x", "schedule": {"tick": {"task": "t", **entry}}}
        self.settings = CelerySettings.model_validate(settings)
        self.memory = Memory(Crew(900.0), Tally(), Ages(None))
        self.tally = self.memory.tally

    def listen(self, at: float) -> None:
        self.tally.listening(at)
        self.memory.began = at if self.memory.began is None else self.memory.began

    def run(self, at: float) -> None:
        event = {"hostname": "a", "uuid": "u", "timestamp": at + 1e6}
        self.tally.event({**event, "type": "task-received", "name": "t"}, at)
        self.tally.event({**event, "type": "task-succeeded"}, at)

    def at(self, at: float, measure: str = "missed_runs") -> PollResult:
        facts = Facts(roll=Roll({}, 0))
        this = Round("x", self.settings, self.memory, facts, None, None, at + 1e6, at)
        return this.answer(CeleryQuery.model_validate({"measure": measure}))


def test_due_times_count_from_when_events_were_heard_first() -> None:
    told = Told(every="10m", grace="1m")
    assert "not heard yet" in failed(told.at(0.0)).message
    told.listen(100.0)
    # Nothing is known until a run is seen, or one should have been.
    assert [values(told.at(at)) for at in (101.0, 750.0)] == [[], []]
    assert values(told.at(770.0)) == [1.0]
    told.run(800.0)
    assert [values(told.at(at)) for at in (801.0, 1455.0, 1465.0, 2070.0)] == [[0.0], [0.0], [1.0], [2.0]]
    assert values(told.at(2070.0, "last_run")) == [1_000_800.0]


def test_a_run_that_nobody_could_hear_is_not_missed() -> None:
    told = Told(every="10m", grace="1m")
    told.listen(0.0)
    told.run(10.0)
    told.tally.deaf(500.0)
    assert isinstance(told.at(550.0), PollFailed)
    told.listen(700.0)
    unknown = told.at(720.0)
    assert values(unknown) == []
    assert isinstance(unknown, Samples)
    assert "not heard" in unknown.warnings[0]
    # The next one is heard to be missing.
    assert values(told.at(1400.0)) == [1.0]


def test_a_run_a_little_before_its_due_time_is_that_one() -> None:
    told = Told(cron="*/10 * * * *", grace="1m")
    midnight = 86400.0 * 11 - 1e6 + 1e6
    told.listen(midnight - 900.0)
    told.run(midnight - 0.4)
    assert values(told.at(midnight + 100.0)) == [0.0]
    assert values(told.at(midnight + 600.0 + 61.0)) == [1.0]


def test_workers_whose_events_are_lost_are_no_missed_run() -> None:
    told = Told(every="10m", grace="1m")
    told.listen(0.0)
    told.memory.crew.online = frozenset({"a"})
    assert "no event came" in failed(told.at(700.0)).message
    for beat in range(4):
        told.tally.event({"type": "worker-heartbeat", "hostname": "a", "processed": min(beat, 1)}, 700.0 + 2 * beat)
    told.tally.event({"type": "worker-heartbeat", "hostname": "a", "processed": 1}, 708.0)
    assert "send no task events" in failed(told.at(709.0)).message
    told.run(710.0)
    assert values(told.at(711.0)) == [0.0]


def test_a_store_is_asked_once_for_any_number_of_rules(database: str) -> None:
    async def told(ask: Asked) -> float:
        assert isinstance(ask.source, CelerySource)
        queries = [query(CelerySource, {**MISSED, "name": f"n{number}"}) for number in range(1000)]
        await asyncio.gather(ask.source.poll(queries, NOW))
        return ask.source.usage()["requests"]

    assert story(told, database, redbeat_url=database) == 2.0
