"""`for` and `recover.for` beside `for` and `keep_firing_for` of a real Prometheus, on the same series."""

import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluator.engine.alerts import State
from evaluator.engine.rules import Recover
from evaluator.engine.samples import Samples
from evaluator.testing.servers import binary
from tests.peers.prometheus_alerts import EXAMPLES, Example
from tests.stories import HI, LO, NAN, Story, answer, rule, tier

LETTERS = {State.QUIET: ".", State.PENDING: "P", State.FIRING: "F", State.RECOVERING: "R"}
VALUES = {"0": "10", "X": "95", "-": "stale", "N": "NaN"}


def ours(series: str, for_: float, keep: float) -> str:
    """Return the states that the engine passes through, a look each minute."""
    story = Story.of(rule(tier(for_=for_ * 60.0, recover=Recover(for_=keep * 60.0))))
    states = ""
    for minute, point in enumerate(series):
        value = {"0": LO, "X": HI, "N": NAN}.get(point)
        story.look(minute * 60.0, Samples([], []) if value is None else answer(value))
        states += LETTERS[story.state()]
    return states


def assert_prometheus_says(expected: Sequence[Example], folder: Path) -> None:
    """Let `promtool test rules` judge the series, and compare each minute with what is expected."""
    rules = [
        {
            "alert": f"a{number}",
            "expr": f'v{{row="{number}"}} > 90',
            "for": f"{round(each.for_ * 60)}s",
            "keep_firing_for": f"{round(each.keep * 60)}s",
        }
        for number, each in enumerate(expected)
    ]
    series = [
        {"series": f'v{{row="{number}"}}', "values": " ".join(VALUES[point] for point in each.series)}
        for number, each in enumerate(expected)
    ]
    looks = []
    for minute in range(max(len(each.series) for each in expected)):
        alerts = []
        for number, each in enumerate(expected):
            state = {"P": "pending", "F": "firing"}.get(each.theirs[minute]) if minute < len(each.theirs) else None
            if state is not None:
                labels = f'ALERTS{{alertname="a{number}",alertstate="{state}",row="{number}"}}'
                alerts.append({"labels": labels, "value": 1})
        shown = "|".join(str(number) for number, each in enumerate(expected) if minute < len(each.series))
        looks.append({"expr": f'ALERTS{{row=~"{shown}"}}', "eval_time": f"{minute}m", "exp_samples": alerts})
    # JSON is YAML.
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "interval": "1m", "rules": rules}]}))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": looks}],
    }
    (folder / "test.yml").write_text(json.dumps(test))
    tool = binary("promtool", "prometheus")
    done = subprocess.run(
        [tool, "test", "rules", "test.yml"], cwd=folder, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def as_open(states: str) -> str:
    """Return the states as Prometheus has them: what recovers is firing there."""
    return states.replace("R", "F")


@pytest.mark.parametrize("example", EXAMPLES)
def test_our_states_are_as_written(example: Example) -> None:
    assert ours(example.series, example.for_, example.keep) == example.ours
    assert (as_open(example.ours) != example.theirs) is bool(example.because)


def test_prometheus_states_are_as_written(tmp_path: Path) -> None:
    assert_prometheus_says(EXAMPLES, tmp_path)


def test_the_comparison_notices_a_state_that_prometheus_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="got"):
        assert_prometheus_says([EXAMPLES[0]._replace(theirs=".PFF..")], tmp_path)


def test_without_gaps_both_say_the_same_of_any_series(tmp_path: Path) -> None:
    chance = random.Random(42)
    many = []
    for _ in range(300):
        length, breaches = chance.randint(5, 40), chance.random()
        series = "".join("X" if chance.random() < breaches else "0" for _ in range(length))
        for_, keep = chance.choice([0, 1, 1.5, 2, 5, 10]), chance.choice([0, 1, 2, 3.5, 7])
        many.append(Example(series, for_, keep, as_open(ours(series, for_, keep)), ""))
    assert_prometheus_says(many, tmp_path)
