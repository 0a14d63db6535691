"""Commands wait in the store until they are carried out."""

from evaluator.incidents.changes import Changes
from evaluator.incidents.commands import Command, CommandKind
from evaluator.store.store import Store
from tests.store.rows import a_silence


def test_a_command_waits_until_it_is_carried_out(store: Store) -> None:
    first, second = (Command(f"c{n}", CommandKind.RESOLVE, "01J", "ada", 1.0, "note \x00") for n in (1, 2))
    store.commit(Changes(commands={"c2": second}))
    store.commit(Changes(commands={"c1": first}))
    assert store.commands() == [first, second]
    store.commit(Changes(commands={"c1": None}))
    assert store.commands() == [second]


def test_a_silence_is_asked_for_with_all_that_it_is(store: Store) -> None:
    silence = a_silence(ends_with_alert=True, reason="disk \x00")
    asked = Command("c1", CommandKind.SILENCE, silence.id, "ann", 1.0, silence=silence)
    store.commit(Changes(commands={"c1": asked}))
    assert store.commands() == [asked]
