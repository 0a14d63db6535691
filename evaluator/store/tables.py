"""All tables of the store, in one place.

A module for each kind of row declares its own table; importing this one makes sure that `METADATA` knows them all.
"""

from evaluator.store.alerts import ALERTS
from evaluator.store.commands import COMMANDS
from evaluator.store.deliveries import DELIVERIES
from evaluator.store.files import FILES
from evaluator.store.incidents import EVENTS, INCIDENTS
from evaluator.store.judged import JUDGED
from evaluator.store.observations import OBSERVATIONS
from evaluator.store.schema import METADATA
from evaluator.store.series import SERIES
from evaluator.store.silences import SILENCES
from evaluator.store.transitions import TRANSITIONS

__all__ = [
    "ALERTS",
    "COMMANDS",
    "DELIVERIES",
    "EVENTS",
    "FILES",
    "INCIDENTS",
    "JUDGED",
    "METADATA",
    "OBSERVATIONS",
    "SERIES",
    "SILENCES",
    "TRANSITIONS",
]
