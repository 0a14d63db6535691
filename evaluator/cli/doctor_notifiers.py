"""How `evaluator doctor` tries notifiers and keys: whether they can be reached, without telling anybody anything.

This module knows what an installation needs so as to page. It never sends a delivery.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from evaluator.cli.doctor_reach import Reached, reach
from evaluator.config.load import Loaded
from evaluator.config.settings import KEY_PLACE, NotifierEntry, ServiceKeys
from evaluator.engine.rules import Severity
from evaluator.notifiers.notifier import NotifierType
from evaluator.notifiers.pagerduty import PagerDutySettings
from evaluator.sources.checkup import Checkup, Grade
from evaluator.web.wording import count

OPEN_SECONDS = 10.0
"""Seconds that opening a notifier may take; it talks to nobody."""


async def tried(name: str, kind: NotifierType, entry: NotifierEntry, instance: str) -> list[Checkup]:
    """Open and close a notifier, and see whether what it speaks to can be reached."""
    settings: Any = entry.settings
    try:
        notifier = kind(name, settings, instance)
        async with asyncio.timeout(OPEN_SECONDS):
            await notifier.open()
            await notifier.close()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is one notifier of several.
        found = f"it cannot be opened: {type(error).__name__}"
        return [Checkup(Grade.WRONG, "notifier", found, "correct its settings, or tell whoever made its type")]
    if isinstance(settings, PagerDutySettings):
        return list(_heard(await reach(settings.events_url, within=settings.timeout, ca=settings.ca)))
    return [Checkup(Grade.FINE, "notifier", "it opens; nothing was sent")]


def _heard(there: Reached) -> Iterator[Checkup]:
    """Yield what the Events API's host answered; any answer shows that the way is open."""
    if not there.status:
        yield Checkup(Grade.WRONG, "events_url", f"{there.where}: {there.trouble}", there.mend)
        return
    found = f"{there.where} answers within {there.seconds * 1000:.0f} ms; no event was sent"
    if there.status >= 500:
        mend = "wait, and look at https://status.pagerduty.com; deliveries are kept and tried again"
        yield Checkup(Grade.WARNING, "events_url", f"{there.where} answers {there.status}", mend)
    elif there.status == 407:
        yield Checkup(Grade.WRONG, "events_url", "the proxy wants a login", "put user and password into HTTPS_PROXY")
    else:
        yield Checkup(Grade.FINE, "events_url", found)
    if there.skew:
        way = "behind" if there.skew > 0 else "ahead of"
        found = f"this machine's clock is {abs(there.skew):.0f} s {way} that of {there.where}"
        yield Checkup(Grade.WARNING, "clock", found, "let the machine keep time: timedatectl set-ntp true")


def services(loaded: Loaded) -> list[Checkup]:
    """Return who would hear of an incident of each service. The keys themselves were checked when they were read."""
    declared = {} if loaded.settings is None else loaded.settings.services
    rules = {name: sum(rule.service == name and rule.judged for rule in loaded.rules) for name in declared}
    found = [_service(name, service, rules[name], loaded.notes.get(name, "")) for name, service in declared.items()]
    stray = sorted({rule.service for rule in loaded.rules if rule.judged} - set(declared))
    if stray:
        mend = f"add [services.{stray[0]}] with its routing_key; {KEY_PLACE}"
        said = f"rules of {', '.join(stray)} tell the terminal and the web page only"
        found.append(Checkup(Grade.WARNING, "services", said, mend))
    return found


def _service(name: str, service: ServiceKeys, rules: int, note: str) -> Checkup:
    in_force = f"{count(rules, 'rule')} in force"
    if not note:
        own = [each.value for each in Severity if (tier := getattr(service, each.value)) and tier.routing_key]
        apart = f", {' and '.join(own)} with a key of its own" if own else ""
        return Checkup(Grade.FINE, name, f"pages; {in_force}{apart}")
    if not rules:
        return Checkup(Grade.FINE, name, f"cannot page, and no rule in force needs it yet: {note}")
    mend = f"set the variable where evaluator is started; {KEY_PLACE}" if "is not set" in note else KEY_PLACE
    return Checkup(
        Grade.WARNING, name, f"cannot page, {in_force} tell the terminal and the web page only: {note}", mend
    )
