"""What is committed comes back: equal, once, and only while it is needed."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, text

from evaluator.engine.alerts import AlertKey
from evaluator.engine.evaluate import Transition
from evaluator.engine.rules import Severity
from evaluator.incidents.changes import Changes, Judged, Remembered, RuleFile, Saved, SeriesKey
from evaluator.incidents.deliveries import Action, Delivery, DeliveryState
from evaluator.incidents.incident import Event, IncidentState
from evaluator.store import tables
from evaluator.store.schema import escaped, unescaped
from evaluator.store.store import PRUNE_LIMIT, Store
from evaluator.store.transitions import Past
from tests.store.rows import (
    DAY,
    KEY,
    NOW,
    SERIES,
    a_delivery,
    an_alert,
    an_event,
    an_incident,
    any_changes,
    any_text,
    changes,
    done,
    ended,
)

ONE, TWO = "01J00000000000000000000001", "01J00000000000000000000002"


def flat(rows: Iterable[object]) -> set[str]:
    # The routing key is not part of a delivery's repr, and floats are compared by theirs: NaN is then equal to itself.
    return {f"{row!r} {getattr(row, 'routing_key', '')!r}".replace("-0.0", "0.0") for row in rows}


def emptied(store: Store) -> Store:
    def work(connection: Connection) -> None:
        for table in reversed(tables.METADATA.sorted_tables):
            connection.execute(table.delete())

    store._backend.write(work, 5)
    return store


def needed(model: Changes) -> list[Delivery]:
    """Return what `Saved.deliveries` promises, said once more."""
    unfinished = {
        (row.incident, row.notifier)
        for row in model.deliveries.values()
        if row.state in {DeliveryState.PENDING, DeliveryState.REFUSED}
    }
    unresolved = {incident.id for incident in model.incidents.values() if incident.open}
    return [
        row
        for row in model.deliveries.values()
        if row.incident in unresolved or (row.incident, row.notifier) in unfinished
    ]


def past_of(transition: Transition) -> Past:
    alert = transition.alert
    return Past(
        alert.rule,
        alert.severity,
        alert.series,
        alert.judged,
        transition.before,
        alert.state,
        alert.verdict,
        alert.value,
        transition.cause,
        alert.reason,
    )


def told(store: Store, model: Changes) -> set[str]:
    """Return every transition in the store, which has each of them once."""
    rules = {transition.alert.rule for transition in model.transitions}
    found = [row for name in rules for row in store.transitions(name)]
    assert len(found) == len(flat(found))
    return flat(found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=any_changes(), second=any_changes())
def test_whatever_is_committed_is_loaded_again(store: Store, first: Changes, second: Changes) -> None:
    emptied(store)
    # The second may delete what the first wrote.
    second.alerts.update(dict.fromkeys(list(first.alerts)[:1]))
    second.series.update(dict.fromkeys(list(first.series)[:1]))
    second.judged.update(dict.fromkeys(list(first.judged)[:1]))
    second.files.update(dict.fromkeys(list(first.files)[:1]))
    second.silences.update(dict.fromkeys(list(first.silences)[:1]))
    second.chunks.update(dict.fromkeys(list(first.chunks)[:1]))
    model = Changes()
    for some in (first, second):
        store.commit(some)
        store.commit(some)
        model.add(some)
    saved = store.load(NOW)
    for kind in ("alerts", "series", "judged", "files", "silences"):
        expected = [row for row in getattr(model, kind).values() if row is not None]
        assert flat(getattr(saved, kind)) == flat(expected), kind
        assert len(getattr(saved, kind)) == len(expected), kind
    removed = {rule for rule, kept in second.judged.items() if kept is None}
    left = {key: chunk for key, chunk in first.chunks.items() if key.rule not in removed} | second.chunks
    chunks = {key: chunk for key, chunk in left.items() if chunk is not None}
    assert flat(saved.chunks.items()) == flat(chunks.items())
    assert told(store, model) == flat(past_of(transition) for transition in model.transitions)
    assert flat(saved.incidents) == flat(model.incidents.values())
    assert flat(saved.deliveries) == flat(needed(model))
    assert len(saved.deliveries) == len(needed(model))
    for incident in model.incidents:
        found = store.incident(incident)
        assert found is not None
        assert found[1] == tuple(dict.fromkeys(event for event in model.events if event.incident == incident))


@given(any_text)
def test_the_escape_is_reversible(some: str) -> None:
    assert unescaped(escaped(some)) == some
    assert "\x00" not in escaped(some)
    # What cannot be written as UTF-8 would raise.
    escaped(some).encode()


def test_an_empty_store_loads_nothing(store: Store) -> None:
    assert store.load(NOW) == Saved()
    assert store.incidents(10) == ()
    assert store.incident(ONE) is None
    store.check()


def test_no_changes_are_no_transaction(store: Store) -> None:
    store.commit(Changes())
    assert store.load(NOW) == Saved()


def test_the_same_changes_twice_are_the_same_as_once(store: Store) -> None:
    some = changes(
        alerts=(an_alert(),),
        incidents=(an_incident(),),
        events=(an_event(text="opened"), an_event(text="joined")),
        deliveries=(a_delivery(),),
        series=(Remembered("up", SERIES, 30.0),),
        judged=(Judged("up", NOW, "{}", "page"),),
        files=(RuleFile("a.toml", "[rule.up]\n", NOW),),
    )
    store.commit(some)
    once = store.load(NOW), store.incident(ONE)
    store.commit(some)
    assert (store.load(NOW), store.incident(ONE)) == once


def test_none_deletes_and_deleting_what_is_not_there_is_fine(store: Store) -> None:
    store.commit(
        changes(
            alerts=(an_alert("a"), an_alert("b")),
            series=(Remembered("a", SERIES),),
            judged=(Judged("a", NOW, "{}", "page"),),
            files=(RuleFile("a.toml", "", NOW),),
        )
    )
    gone = Changes(
        alerts={an_alert("a").key: None, AlertKey("never", Severity.P0, ()): None},
        series={SeriesKey("a", SERIES): None, SeriesKey("never", ()): None},
        judged={"a": None, "never": None},
        files={"a.toml": None, "never.toml": None},
    )
    store.commit(gone)
    assert store.load(NOW) == Saved(alerts=[an_alert("b")])


def test_a_timeline_keeps_the_order_in_which_it_was_written(store: Store) -> None:
    lines = [an_event(text=f"line {number}", at=NOW - number) for number in range(20)]
    store.commit(changes(incidents=(an_incident(),), events=tuple(lines[:10])))
    store.commit(changes(events=tuple(lines)))
    found = store.incident(ONE)
    assert found is not None
    assert list(found[1]) == lines


def test_a_label_set_of_any_size_is_a_key(store: Store) -> None:
    # Random letters: repeated ones are compressed, and would fit an index entry after all.
    long = tuple((f"label_{number:04d}", f"{number * 7919:x}" * 20) for number in range(400))
    row = an_alert("r" * 5000, long)
    store.commit(changes(alerts=(row,), series=(Remembered("r", long),), files=(RuleFile("d/" * 4000, "", NOW),)))
    assert store.load(NOW).alerts == [row]
    store.commit(Changes(alerts={row.key: None}))
    assert store.load(NOW).alerts == []


def test_alerts_that_differ_only_in_unstorable_characters_are_two(store: Store) -> None:
    pair, character = an_alert(series=(("l", "\ud83d\ude00"),)), an_alert(series=(("l", "\U0001f600"),))
    nul, nothing = an_alert(series=(("l", "\x00"),)), an_alert(series=(("l", ""),))
    store.commit(changes(alerts=(pair, character, nul, nothing)))
    assert flat(store.load(NOW).alerts) == flat((pair, character, nul, nothing))


def test_a_start_gets_open_incidents_and_those_of_the_last_day(store: Store) -> None:
    kept = (
        an_incident("01J1"),
        an_incident("01J2", state=IncidentState.ACKNOWLEDGED),
        ended("01J3", NOW - DAY + 1),
    )
    store.commit(changes(incidents=(*kept, ended("01J4", NOW - DAY - 1))))
    assert store.load(NOW).incidents == list(kept)


def test_a_start_gets_the_rows_beside_an_unfinished_one(store: Store) -> None:
    trigger = done("A1", ONE, Action.TRIGGER, seq=1)
    resolve = a_delivery("A2", ONE, action=Action.RESOLVE, seq=2)
    elsewhere = done("A3", ONE, Action.TRIGGER, notifier="console")
    over = (done("B1", TWO, Action.TRIGGER), done("B2", TWO, Action.RESOLVE, seq=2))
    store.commit(changes(incidents=(ended(ONE), ended(TWO)), deliveries=(trigger, resolve, elsewhere, *over)))
    assert store.load(NOW).deliveries == [trigger, resolve]


def test_a_start_gets_every_row_of_an_open_incident(store: Store) -> None:
    rows = (done("A1", ONE, Action.TRIGGER), a_delivery("A2", ONE, seq=2, state=DeliveryState.DROPPED))
    store.commit(changes(incidents=(an_incident(),), deliveries=rows))
    assert store.load(NOW).deliveries == list(rows)


def test_pages_go_back_through_history(store: Store) -> None:
    ids = [f"01J{number}" for number in range(7)]
    store.commit(
        changes(incidents=tuple(ended(row) if number % 2 else an_incident(row) for number, row in enumerate(ids)))
    )
    assert [row.id for row in store.incidents(3)] == ["01J6", "01J5", "01J4"]
    assert [row.id for row in store.incidents(3, "01J4")] == ["01J3", "01J2", "01J1"]
    assert [row.id for row in store.incidents(9, "01J6", open_only=True)] == ["01J4", "01J2", "01J0"]


def test_pruning_forgets_what_is_over(store: Store) -> None:
    rows = (done("A1", ONE, Action.TRIGGER), done("A2", ONE, Action.RESOLVE, seq=2), done("A3", "", Action.NOTICE))
    store.commit(
        changes(
            incidents=(ended(ONE, NOW - 9 * DAY), ended(TWO, NOW - DAY / 2)),
            events=(an_event(ONE), an_event(TWO)),
            deliveries=(*rows, done("B1", "", Action.NOTICE, created_at=NOW - 9 * DAY)),
        )
    )
    assert store.prune(NOW - 7 * DAY) == 1
    assert store.incident(ONE) is None
    assert store.incident(TWO) == (ended(TWO, NOW - DAY / 2), (an_event(TWO),))
    assert stored(store, "deliveries") == {"A3"}
    assert store.prune(NOW - 7 * DAY) == 0


def stored(store: Store, table: str) -> set[str]:
    return store._backend.read(lambda connection: set(connection.execute(text(f"SELECT id FROM {table}")).scalars()), 5)


LEFT_OPEN: dict[str, tuple[Delivery, ...]] = {
    "a resolve that is pending": (
        done("A1", ONE, Action.TRIGGER),
        a_delivery("A2", ONE, action=Action.RESOLVE, accepted=1),
    ),
    "a resolve that was refused": (
        done("A1", ONE, Action.TRIGGER),
        a_delivery("A2", ONE, action=Action.RESOLVE, state=DeliveryState.REFUSED),
    ),
    "an accepted trigger without a resolve": (done("A1", ONE, Action.TRIGGER),),
    "a resolve that was dropped": (
        done("A1", ONE, Action.TRIGGER),
        done("A2", ONE, Action.RESOLVE, accepted=0, state=DeliveryState.DROPPED),
    ),
    "a resolve of another key": (
        done("A1", ONE, Action.TRIGGER),
        done("A2", ONE, Action.RESOLVE, dedup_key="evaluator/x/1/P0"),
    ),
    "a resolve under another routing key": (
        done("A1", ONE, Action.TRIGGER),
        done("A2", ONE, Action.RESOLVE, routing_key="Z" * 32),
    ),
    "a resolve at another notifier": (
        done("A1", ONE, Action.TRIGGER),
        done("A2", ONE, Action.RESOLVE, notifier="console"),
    ),
    "a dropped trigger that may have arrived": (
        a_delivery("A1", ONE, told=True, state=DeliveryState.DROPPED),
    ),
    "a trigger that was under way at a crash": (
        a_delivery("A1", ONE, claimed=True, state=DeliveryState.DROPPED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rows", LEFT_OPEN.values(), ids=LEFT_OPEN.keys())
def test_pruning_never_strands_a_key(store: Store, rows: tuple[Delivery, ...]) -> None:
    store.commit(changes(incidents=(ended(ONE, NOW - 9 * DAY),), events=(an_event(ONE),), deliveries=rows))
    assert store.prune(NOW) == 0
    assert store.incident(ONE) == (ended(ONE, NOW - 9 * DAY), (an_event(ONE),))
    assert stored(store, "deliveries") == {row.id for row in rows}


def test_pruning_leaves_triggers_of_no_incident(store: Store) -> None:
    old = {"created_at": NOW - 9 * DAY}
    rows = (done("A1", "", Action.TRIGGER, **old), a_delivery("A2", "", action=Action.NOTICE, **old))
    store.commit(changes(deliveries=(*rows, done("A3", "", Action.RESOLVE, **old))))
    store.prune(NOW)
    assert stored(store, "deliveries") >= {"A1", "A2"}


def test_a_trigger_that_nobody_heard_is_forgotten(store: Store) -> None:
    row = a_delivery("A1", ONE, state=DeliveryState.DROPPED)
    store.commit(changes(incidents=(ended(ONE, NOW - 9 * DAY),), deliveries=(row,)))
    assert store.prune(NOW) == 1


def test_pruning_takes_a_bounded_part_at_a_time(store: Store) -> None:
    many = tuple(ended(f"01J{number:05d}", NOW - 9 * DAY) for number in range(PRUNE_LIMIT + 5))
    store.commit(changes(incidents=many))
    assert [store.prune(NOW), store.prune(NOW), store.prune(NOW)] == [PRUNE_LIMIT, 5, 0]


def test_an_edit_replaces_every_column(store: Store) -> None:
    store.commit(changes(alerts=(an_alert(),), incidents=(an_incident(),), deliveries=(a_delivery(),)))
    alert = an_alert(value=None, reason="edited", edited=True, window=((NOW, True), (NOW + 1, False)), unmet_since=NOW)
    incident = an_incident(severity=Severity.P0, value=1e300, unit="percent", blind_told=True, muted="by ann")
    delivery = replace(a_delivery(), attempts=3, told=True, error="500", routing_key="Z" * 32)
    store.commit(changes(alerts=(alert,), incidents=(incident,), deliveries=(delivery,)))
    assert store.load(NOW) == Saved(alerts=[alert], incidents=[incident], deliveries=[delivery])


def test_a_line_without_its_incident_fails_the_whole_commit(store: Store) -> None:
    with pytest.raises(Exception, match="cannot be written") as caught:
        store.commit(changes(alerts=(an_alert(),), events=(Event("nowhere", NOW, an_event().kind, ""),)))
    assert KEY not in str(caught.value)
    assert store.load(NOW) == Saved()
