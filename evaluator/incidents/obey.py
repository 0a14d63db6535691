"""What a command changes.

This module knows what people may do to an incident, and to silences. It never knows who may ask.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import assert_never

from evaluator.engine.alerts import Alert, Verdict
from evaluator.engine.rules import Rule, RuleSet
from evaluator.engine.samples import Series
from evaluator.incidents import silencing
from evaluator.incidents.announce import Circumstances
from evaluator.incidents.changes import Changes
from evaluator.incidents.closing import close
from evaluator.incidents.commands import Command, CommandKind
from evaluator.incidents.grouping import belonging
from evaluator.incidents.incident import CloseReason, Event, EventKind, Incident
from evaluator.incidents.occasion import NO_OTHERS
from evaluator.incidents.world import World


def obey(world: World, command: Command, given: Circumstances, rules: RuleSet = NO_OTHERS) -> Changes:
    """Return what carrying out a command changes; the command itself is done in any case.

    `rules` is the rule set in force: it says of which alerts nothing is told any more (`missed`).
    """
    changes = Changes(commands={command.id: None})
    match command.kind:
        case CommandKind.RESOLVE:
            changes.add(_resolved(world, command, given, rules))
        case CommandKind.SILENCE:
            if command.silence is not None and command.silence.id not in world.silences:
                changes.silences[command.silence.id] = silencing.begun(world, command.silence)
        case CommandKind.UNSILENCE:
            silence = world.silences.get(command.incident)
            if silence is not None and not silence.over(given.now):
                because = f"ended by {command.by}{_note(command)}"
                changes.silences[silence.id] = silencing.ended(silence, given.now, because)
        case _:
            assert_never(command.kind)
    return changes


def _resolved(world: World, command: Command, given: Circumstances, rules: RuleSet) -> Changes:
    """Return what a human's resolve changes: the incident ends for all who were told.

    What still breaches opens a new one after half an hour; what nobody can see any more is forgotten, since it would
    else be unknown for ever.
    """
    changes = Changes()
    incident = world.incidents.get(command.incident)
    if incident is None or not incident.open:
        return changes
    text = f"{command.by} resolved it{_note(command)}"
    changes.events.append(Event(incident.id, given.now, EventKind.COMMANDED, text))
    changes.add(close(incident, CloseReason.RESOLVED_BY_HUMAN, world, given, command.by))
    changes.alerts.update({alert.key: None for alert in _unseen(world, incident, rules)})
    return changes


def _note(command: Command) -> str:
    return f": {command.note}" if command.note else ""


def _unseen(world: World, incident: Incident, rules: RuleSet) -> Iterator[Alert]:
    """Return the alerts of an incident, or of what a storm caught, of which nothing is told any more."""
    groups: defaultdict[str, list[Series]] = defaultdict(list)
    for name, group in [(each.rule, each.group) for each in incident.caught] or [(incident.rule, incident.group)]:
        groups[name].append(group)
    for name, mine in groups.items():
        is_mine, rule = belonging(mine), rules.get(name)
        yield from (alert for alert in world.book(name).values() if _is_unseen(alert, rule) and is_mine(alert.series))


def _is_unseen(alert: Alert, rule: Rule | None) -> bool:
    """Return whether nothing is known of an alert, or only what was: `missed` goes on judging the last success."""
    tier = rule.tier(alert.severity) if rule is not None else None
    return alert.verdict is Verdict.UNKNOWN or (tier is not None and tier.missed is not None and alert.absent > 0)
