"""A PagerDuty look-alike: a real server around `Account`, with weather, for tests and for trying things by hand.

`python -m evaluator.testing.pagerduty --port 8080 --print` runs it; `events_url = "http://127.0.0.1:8080"` uses it. It
knows nothing of evaluator. Weather is that of its `server` (see `wire`): `pagerduty.server.forecast(hang(), None)`; an
event that is accepted and lost is `answer(202, {"status": "success"})`, one that is processed late is `account.delay`.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from evaluator.testing.pagerduty_account import Account, PagerDutyIncident
from evaluator.testing.wire import Heard, Reply, WireServer

__all__ = ["Account", "PagerDuty", "PagerDutyIncident", "main"]


class PagerDuty:
    """The look-alike as a server: `with PagerDuty() as pagerduty: ... pagerduty.url`."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        echo: Callable[[str], object] | None = None,
    ) -> None:
        self.account = account if account is not None else Account()
        self.server = WireServer(self._reply, port=port, clock=clock)
        """Its weather and its log of requests."""
        self._echo = echo

    @property
    def url(self) -> str:
        """What `events_url` is set to."""
        return self.server.url

    @property
    def log(self) -> list[Heard]:
        """All requests, oldest first."""
        return self.server.log

    def incidents(self, dedup_key: str | None = None) -> list[PagerDutyIncident]:
        """Return all incidents of now, in the order in which they opened."""
        with self.server.lock:
            self.account.advance(self.server.clock())
            return self.account.incidents(dedup_key)

    def open_incidents(self) -> list[PagerDutyIncident]:
        """Return those of now that are not resolved."""
        return [found for found in self.incidents() if found.open]

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()

    def _reply(self, heard: Heard) -> Reply:
        if heard.path == "/incidents" and heard.method == "GET":
            return Reply(200, json.dumps([_shown(found) for found in self.incidents()], indent=1).encode())
        if heard.path != "/v2/enqueue":
            return Reply(404, b'{"status":"not found","message":"Not Found"}')
        if heard.method != "POST":
            return Reply(405)
        status, said = self.account.receive(heard.body, heard.at)
        if self._echo is not None:
            self._echo(_line(heard, status, said))
        return Reply(status, json.dumps(said).encode())


def _shown(found: PagerDutyIncident) -> dict[str, Any]:
    names = (
        "dedup_key",
        "status",
        "severity",
        "summary",
        "opened_at",
        "acknowledged_at",
        "closed_at",
        "triggers",
        "log",
    )
    return {name: getattr(found, name) for name in names}


def _line(heard: Heard, status: int, said: Mapping[str, Any]) -> str:
    try:
        body = heard.json
        payload = body.get("payload") or {}
        about = (body.get("dedup_key", ""), payload.get("severity", ""), payload.get("summary", ""))
        what = " ".join((f"{body['event_action']:<11}", *about))
    except (ValueError, AttributeError, KeyError, TypeError):
        what = f"{len(heard.body)} bytes"
    return f"{time.strftime('%H:%M:%S')} {status} {what.rstrip()}" + (f" {said['errors']}" if status >= 400 else "")


def main(arguments: list[str] | None = None) -> None:
    """Run the look-alike until Ctrl-C; `GET /incidents` shows what it has."""
    parser = argparse.ArgumentParser(prog="python -m evaluator.testing.pagerduty", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; default: any free one")
    parser.add_argument("--print", action="store_true", dest="echo", help="print a line for each event")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds from 202 until an event is processed")
    options = parser.parse_args(arguments)

    def echo(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    with PagerDuty(Account(delay=options.delay), port=options.port, echo=echo if options.echo else None) as pagerduty:
        echo(f"events_url = {pagerduty.url}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            echo("stopped")


if __name__ == "__main__":
    main()
