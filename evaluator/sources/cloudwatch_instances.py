"""Knowing which EC2 instances have ended, so that their alerts can end too.

This module knows instance ids and their states. It asks only for those whose points have stopped, and only where
`ec2:DescribeInstances` is allowed. It never knows a rule.
"""

import asyncio
import re
from collections.abc import Collection
from functools import partial
from typing import Any

from evaluator.engine.samples import Series
from evaluator.sources.cloudwatch_client import Aws, LateError
from evaluator.sources.cloudwatch_errors import DENIALS, code_of
from evaluator.sources.weather import said

NAMESPACES = frozenset({"AWS/EC2", "CWAgent"})
"""Where `InstanceId` is that of an EC2 instance."""
_ID = re.compile(r"\bi-(?:[0-9a-f]{17}|[0-9a-f]{8})\b")
_AGAIN = 60.0
"""Seconds after which an instance that had not ended is looked at again."""
_DENIED = 3600.0
"""Seconds after which it is tried again whether we are allowed now."""
_BATCH = 200
_REMEMBERED = 20_000
ENDED = "terminated"
RUNNING = frozenset({"pending", "running"})
"""States in which AWS itself measures an instance, whatever goes on inside it."""


def instance_of(labels: Series) -> str | None:
    """Return the instance that a series is of."""
    name = dict(labels).get("InstanceId", "")
    return name if _ID.fullmatch(name) else None


def states(client: Any, ids: Collection[str]) -> dict[str, str]:  # noqa: ANN401  # A client of boto3.
    """Return the state of each instance; one that EC2 says does not exist has ended long ago.

    It is visible for about an hour after its end
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html).
    """
    from botocore.exceptions import ClientError

    found: dict[str, str] = {}
    asked = sorted(ids)
    while asked:
        try:
            answer = client.describe_instances(InstanceIds=asked)
        except ClientError as error:
            unknown = set(_ID.findall(str(error))) & set(asked)
            if code_of(error) != "InvalidInstanceID.NotFound" or not unknown:
                raise
            found |= dict.fromkeys(unknown, ENDED)
            asked = [each for each in asked if each not in unknown]
            continue
        for reservation in answer.get("Reservations", ()):
            for instance in reservation.get("Instances", ()):
                found[instance["InstanceId"]] = instance["State"]["Name"]
        break
    return found


class Instances:
    """What is known of instances. A terminated one never comes back."""

    def __init__(self, aws: Aws) -> None:
        """Know none yet."""
        self._aws = aws
        self._ended: dict[str, None] = {}
        self._looked: dict[str, tuple[float, str]] = {}
        """When each was looked at, on the loop's clock, and its state."""
        self._not_before = 0.0

    async def ended(self, ids: Collection[str], until: float) -> set[str]:
        """Return which of these have ended, as far as EC2 says so. It never raises for the weather."""
        now = asyncio.get_running_loop().time()
        self._looked = {each: looked for each, looked in self._looked.items() if now - looked[0] < _AGAIN}
        due = sorted(each for each in ids if each not in self._ended and each not in self._looked)
        if due and now >= self._not_before:
            await self._look(due, now, until)
        return {each for each in ids if each in self._ended}

    def goes_on(self, instance: str) -> bool:
        """Return whether EC2 said within the last minute that an instance runs, so that its metrics must be late."""
        looked = self._looked.get(instance)
        return looked is not None and looked[1] in RUNNING

    def note(self, instance: str) -> str | None:
        """Return what EC2 says of an instance that was asked for within the last minute, for a person."""
        looked = self._looked.get(instance)
        return None if looked is None or not looked[1] else f"EC2 says that it is {said(looked[1])}"

    async def _look(self, due: Collection[str], now: float, until: float) -> None:
        """Ask EC2."""
        ordered = list(due)
        for first in range(0, len(ordered), _BATCH):
            some = ordered[first : first + _BATCH]
            try:
                answer = await self._aws.do("ec2", partial(states, ids=some), until)
            except Exception as error:  # noqa: BLE001 - without an answer nothing has ended; the next poll asks again.
                if isinstance(error, LateError):
                    return
                # Without the permission it would be asked in vain; everything else is worth another minute.
                self._not_before = now + (_DENIED if code_of(error) in DENIALS else _AGAIN)
                return
            self._looked.update({each: (now, answer.get(each, "")) for each in some})
            if len(self._ended) > _REMEMBERED:
                self._ended.clear()
            self._ended.update({each: None for each, state in answer.items() if state == ENDED})
