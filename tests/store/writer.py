"""A program that commits until it is killed: `python writer.py URL`.

Every commit carries one number into several tables, and each number that is printed was committed.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evaluator.incidents.changes import Judged, Remembered
from evaluator.store.store import open_store
from tests.store.rows import NOW, a_delivery, an_alert, an_event, an_incident, changes


def main(url: str) -> None:
    store = open_store(url, instance="writer")
    start = int(store.load(NOW).incidents[0].value or 0) if store.load(NOW).incidents else 0
    for number in itertools.count(start + 1):
        store.commit(
            changes(
                alerts=tuple(an_alert(f"rule-{row}", value=float(number)) for row in range(20)),
                incidents=(an_incident(value=float(number)),),
                events=(an_event(text=f"{number}"),),
                deliveries=(a_delivery(attempts=number),),
                series=(Remembered("up", (), float(number)),),
                judged=(Judged("up", float(number), "{}", "page"),),
            )
        )
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main(sys.argv[1])
