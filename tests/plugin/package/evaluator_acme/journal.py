"""The notifier `journal`: a line of JSON for each delivery, in a file that something else ships."""

import json
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field

from evaluator.plugin import Accepted, Delivery, Outcome, RetryLater, Strict


class JournalSettings(Strict):
    """`[notifiers.NAME]` with `type = "journal"`."""

    path: Path = Field(description="The file; relative paths start at the settings file.")


class JournalNotifier:
    """Makes one attempt and says what became of it; evaluator keeps what must be sent again."""

    Settings: ClassVar[type[BaseModel]] = JournalSettings

    def __init__(self, name: str, settings: JournalSettings, instance: str) -> None:
        self._path = settings.path
        self._instance = instance

    async def open(self) -> None:
        """Nothing is needed."""

    async def send(self, delivery: Delivery, now: float) -> Outcome:
        """Append one line. The routing key is a secret, and is not in it."""
        said = {
            "at": now,
            "instance": self._instance,
            "action": delivery.action.value,
            "severity": delivery.severity.value,
            "service": delivery.service,
            "key": delivery.dedup_key,
            "title": delivery.message.title,
            "why": delivery.message.why,
        }
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(said) + "\n")
        except OSError as error:
            return RetryLater("unwritable", f"{self._path}: {error.strerror}", arrived=False)
        return Accepted()

    async def close(self) -> None:
        """Nothing was taken."""
