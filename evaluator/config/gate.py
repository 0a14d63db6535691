"""From `only_if` of a rule to its second question and the limit of its answer.

This module knows one table. It never knows how the two answers are joined.
"""

from evaluator.config.asking import Asker
from evaluator.config.declared import DeclaredSource
from evaluator.config.keys import RuleKeys
from evaluator.config.positions import Path
from evaluator.config.quantities import QuantityReader, limits_of
from evaluator.engine.rules import OnlyIf


def read_gate(
    keys: RuleKeys | None, source: DeclaredSource | None, asker: Asker, path: Path
) -> tuple[OnlyIf | None, DeclaredSource | None]:
    """Return `only_if` of the rule at `path`, and the source that it asks: its own, or the rule's.

    What is wrong with it is added to the asker's problems.
    """
    if keys is None or keys.only_if is None:
        return None, None
    written, place = keys.only_if, (*path, "only_if")
    asked = source if written.source is None else asker.source(written.source, (*place, "source"))
    query = asker.query(asked, written.query, (*place, "query")) if asked is not None else None
    say = QuantityReader(asker.document, written.unit, asker.problems)
    limit = say.one_limit(written, place)
    if not limits_of(written):
        say.at_key(place, "`only_if` has no limit", "write only_if = { query = ..., above = 50 }")
    return (None if query is None or limit is None else OnlyIf(query, limit, written.unit)), asked
