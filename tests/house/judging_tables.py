"""The tables of docs/judging.md, made from the tables by which the engine judges and the tests compare.

`python -m tests.house.judging_tables` (or `make docs`) writes them between their markers.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from evaluator.engine.alerts import OWN_VERDICT, PASSES, TABLE, State, Verdict
from evaluator.engine.evaluate import SENTENCES, Cause
from evaluator.incidents.decide import _CLOSE_REASONS
from evaluator.incidents.incident import CloseReason
from evaluator.incidents.messages import CLOSE_SENTENCES
from tests.engine.aws_alarms import DIFFERENCES, EXAMPLES, TREATMENTS
from tests.house.repository import ROOT
from tests.peers import prometheus_alerts

PAGE = ROOT / "docs" / "judging.md"
BEGIN, END = "<!-- made by `make docs`: {name} -->", "<!-- end: {name} -->"

_VERDICTS = (Verdict.BREACH, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN)
_LASTED = {State.PENDING: "`for`", State.RECOVERING: "`recover.for`"}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *(list(row) for row in rows)]
    return "\n".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in lines)


def states() -> str:
    """Return where each verdict leads from each state."""
    rows = [[state.value, *(TABLE[state, verdict].value for verdict in _VERDICTS)] for state in State]
    return _table(["from", *(verdict.value for verdict in _VERDICTS)], rows)


def diagram() -> str:
    """Return the states as a diagram; verdicts that change nothing are left out."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> quiet"]
    for state in State:
        for target in State:
            verdicts = [verdict.value for verdict in _VERDICTS if TABLE[state, verdict] is target]
            if verdicts and target is not state:
                lines.append(f"    {state.value} --> {target.value}: {', '.join(verdicts)}")
        if state in PASSES:
            lines.append(f"    {state.value} --> {PASSES[state].value}: {_passing(state).replace('`', '')}")
    return "\n".join([*lines, "```"])


def passes() -> str:
    """Return where a state leads that was held for long enough."""
    rows = ([state.value, PASSES[state].value, _passing(state)] for state in PASSES)
    return _table(["from", "to", "when"], rows)


def _passing(state: State) -> str:
    return f"{OWN_VERDICT[state].value} has lasted as long as {_LASTED[state]} says"


def endings() -> str:
    """Return what ends an alert, and what its incident then says."""
    rows = [["the table above: it is quiet again", *_closing(_CLOSE_REASONS[Cause.JUDGED])]]
    rows += [[text, *_closing(_CLOSE_REASONS.get(cause, CloseReason.RECOVERED))] for cause, text in SENTENCES.items()]
    others = [reason for reason in CloseReason if reason not in _CLOSE_REASONS.values()]
    rows += [["nothing: the incident is closed as a whole", *_closing(reason)] for reason in others]
    return _table(["what ends the alert", "its incident is", "which says"], rows)


def _closing(reason: CloseReason) -> tuple[str, str]:
    return f"`{reason.value}`", CLOSE_SENTENCES[reason]


def cloudwatch() -> str:
    """Return where evaluator judges AWS' examples otherwise than CloudWatch."""
    rows = []
    for example in EXAMPLES:
        for treatment, theirs in zip(TREATMENTS, example.states, strict=True):
            difference = DIFFERENCES.get((example.points, example.m, treatment))
            if difference is not None:
                of = f"{example.m} of 3"
                rows.append([f"`{example.points}`", of, treatment, theirs, difference.ours, difference.because])
    return _table(["data points", "M of N", "missing data", "CloudWatch", "evaluator", "because"], rows)


def prometheus() -> str:
    """Return how evaluator and Prometheus judge the same series."""
    rows = [
        [
            f"`{each.series}`",
            f"{each.for_:g}m" if each.for_ else "0",
            f"{each.keep:g}m" if each.keep else "0",
            f"`{each.theirs}`",
            f"`{each.ours}`",
            each.because,
        ]
        for each in prometheus_alerts.EXAMPLES
    ]
    head = ["minutes", "`for`", "`keep_firing_for`, `recover.for`", "Prometheus", "evaluator", "they differ, because"]
    return _table(head, rows)


PARTS: Mapping[str, Callable[[], str]] = {
    part.__name__: part for part in (states, diagram, passes, endings, cloudwatch, prometheus)
}
"""What is made, by the name in its markers."""


def made(page: str) -> str:
    """Return the page with each part as the tables have it now; `ValueError` where a marker is not there."""
    for name, part in PARTS.items():
        begin, end = BEGIN.format(name=name), END.format(name=name)
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"docs/judging.md has no part between {begin} and {end}")
        page = f"{before}{begin}\n{part()}\n{end}{after}"
    return page


def write(page: Path = PAGE) -> None:
    """Write the parts of the page anew."""
    page.write_text(made(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
