"""How commands ask sources: open, one poll of all questions, close.

This module knows adapters. It never judges what they answer, and never asks the daemon.
"""

import asyncio
from collections.abc import Sequence

from evaluator.config.load import Loaded
from evaluator.engine.rules import Query
from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.source import Source

SECOND_LOOK = 1.0
"""Seconds until a source is asked again that had no value yet: growth and shares of time need two readings."""


def source_of(loaded: Loaded, name: str) -> Source | PollFailed:
    """Return the source of this name, or why there is none to ask."""
    entry = None if loaded.settings is None else loaded.settings.sources.get(name)
    kind = None if entry is None or loaded.plugins is None else loaded.plugins.sources.get(entry.type)
    if entry is None or kind is None:
        return PollFailed(FailureReason.BAD_QUERY, f'the source "{name}" is not in the settings')
    if not entry.enabled or entry.settings is None:
        return PollFailed(FailureReason.UNAVAILABLE, f'the source "{name}" is switched off (enabled = false)')
    return kind(name, entry.settings)


async def answers_of(loaded: Loaded, queries: Sequence[Query], now: float) -> dict[Query, PollResult]:
    """Return the answers to questions to any sources, each source in one poll, as of `now`."""
    names = list(dict.fromkeys(query.source for query in queries))
    asked = [list(dict.fromkeys(query for query in queries if query.source == name)) for name in names]
    answers = await asyncio.gather(*(_ask(loaded, name, mine, now) for name, mine in zip(names, asked, strict=True)))
    return {
        query: result
        for mine, results in zip(asked, answers, strict=True)
        for query, result in zip(mine, results, strict=True)
    }


async def _ask(loaded: Loaded, name: str, queries: list[Query], now: float) -> list[PollResult]:
    """Return the answers of one source; one that has nothing yet is asked a second time."""
    source = source_of(loaded, name)
    if isinstance(source, PollFailed):
        return [source] * len(queries)
    try:
        await source.open()
        results = await source.poll(queries, now)
        if any(isinstance(result, Samples) and not len(result) for result in results):
            await asyncio.sleep(SECOND_LOOK)
            results = await source.poll(queries, now + SECOND_LOOK)
    except Exception as error:  # noqa: BLE001 - a plugin's adapter may raise anything; this is one poll.
        said = f"the source failed with {type(error).__name__}; this is a mistake of it"
        return [PollFailed(FailureReason.INTERNAL, said)] * len(queries)
    else:
        return results
    finally:
        await source.close()
