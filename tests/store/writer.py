"""A program that commits until it is killed: `python writer.py URL`.

Every commit carries one number into several tables, and each number that is printed was committed.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evaluator.engine.alerts import State
from evaluator.engine.evaluate import Cause, Transition
from evaluator.incidents.changes import ChunkKey, Judged, Remembered
from evaluator.store.store import open_store
from tests.store.rows import NOW, a_chunk, a_delivery, a_silence, an_alert, an_event, an_incident, changes


def main(url: str) -> None:
    store = open_store(url, instance="writer")
    start = int(store.load(NOW).incidents[0].value or 0) if store.load(NOW).incidents else 0
    for number in itertools.count(start + 1):
        turned = Transition(State.PENDING, an_alert("up", judged=float(number)), Cause.JUDGED)
        some = changes(
            alerts=tuple(an_alert(f"rule-{row}", value=float(number)) for row in range(20)),
            incidents=(an_incident(value=float(number)),),
            events=(an_event(text=f"{number}"),),
            deliveries=(a_delivery(attempts=number),),
            series=(Remembered("up", (), float(number)),),
            judged=(Judged("up", float(number), "{}", "page"),),
            silences=(a_silence(ends_at=NOW + number),),
            transitions=(turned,),
        )
        some.chunks = {ChunkKey("up", 60.0, (), row): a_chunk(float(number)) for row in range(3)}
        store.commit(some)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main(sys.argv[1])
