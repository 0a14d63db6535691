"""What a command changes.

This module knows what people may do to an incident. It never knows who may ask.
"""

from evaluator.engine.alerts import Alert, Verdict
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.closing import close
from evaluator.incidents.commands import Command
from evaluator.incidents.grouping import belongs
from evaluator.incidents.incident import CloseReason, Event, EventKind, Incident
from evaluator.incidents.world import World


def obey(world: World, command: Command, given: Circumstances) -> Changes:
    """Return what carrying out a command changes; the command itself is done in any case.

    A human's resolve ends the incident for all who were told. What still breaches opens a new one after half an hour;
    what nobody can see any more is forgotten, since it would else be unknown for ever.
    """
    changes = Changes(commands={command.id: None})
    incident = world.incidents.get(command.incident)
    if incident is None or not incident.open:
        return changes
    note = f": {command.note}" if command.note else ""
    changes.events.append(Event(incident.id, given.now, EventKind.COMMANDED, f"{command.by} resolved it{note}"))
    changes.add(close(incident, CloseReason.RESOLVED_BY_HUMAN, world, given))
    changes.alerts.update({alert.key: None for alert in _unseen(world, incident)})
    return changes


def _unseen(world: World, incident: Incident) -> list[Alert]:
    """Return the alerts of an incident of which nothing is known now."""
    alerts = world.book(incident.rule).values()
    return [alert for alert in alerts if alert.verdict is Verdict.UNKNOWN and belongs(alert.series, incident.group)]
