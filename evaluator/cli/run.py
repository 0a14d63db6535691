"""`evaluator run`: the daemon.

This module knows the command line and exit codes: 0 after a SIGTERM, 1 where the daemon could not start or broke, 2
where settings or rules cannot be used.
"""

import asyncio
import os
import resource
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from evaluator.config.problems import counts, render
from evaluator.daemon.run import ConfigBrokenError, run_daemon
from evaluator.store.errors import StoreUnavailable
from evaluator.telemetry.logs import LEVELS, setup
from evaluator.web.server import WebUnavailable

log = structlog.get_logger(__name__)


def run(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The settings file; else $EVALUATOR_CONFIG, ./evaluator.toml, /etc/evaluator/evaluator.toml."
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help=f"One of {', '.join(LEVELS)}.", envvar="EVALUATOR_LOG_LEVEL")] = "info",
    *,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON, whatever stderr is.")] = False,
) -> None:
    """Watch, judge and tell, until SIGTERM. SIGHUP reloads settings and rules."""
    try:
        setup(log_level, json=True if log_json else None)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--log-level") from None
    _have_files_enough()
    try:
        asyncio.run(run_daemon(config, os.environ))
    except ConfigBrokenError as broken:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for problem in broken.problems:
            console.print(render(problem))
        errors, _ = counts(broken.problems)
        console.print(f"{errors} {'error' if errors == 1 else 'errors'}: not started")
        raise typer.Exit(2) from None
    except (StoreUnavailable, WebUnavailable) as unavailable:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"not started: {unavailable}", markup=False)
        raise typer.Exit(1) from None
    except Exception:
        log.exception("the daemon broke")
        raise typer.Exit(1) from None


def _have_files_enough() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1,024 is for programs that use `select`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)
