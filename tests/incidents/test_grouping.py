"""Which alerts make one incident, in which order, and what their labels are for a text."""

import pytest

from evaluator.engine.alerts import Alert, AlertKey, quiet_alert
from evaluator.engine.rules import Severity
from evaluator.incidents.grouping import belonging, belongs, by_group, common_labels, group_of
from tests.stories import labels, rule


def alert(severity: Severity = Severity.P1, **given: str) -> Alert:
    return quiet_alert(AlertKey("cpu", severity, labels(**given)), 0.0)


@pytest.mark.parametrize(
    ("group_by", "group"),
    [
        (None, labels(host="a", zone="x")),
        ((), ()),
        (("zone",), labels(zone="x")),
        (("zone", "host", "rack"), labels(host="a", zone="x")),
        (("rack",), ()),
    ],
)
def test_a_group_has_the_labels_that_its_rule_groups_by(group_by, group) -> None:
    assert group_of(rule(group_by=group_by), labels(host="a", zone="x")) == group


def test_in_a_group_the_worst_comes_first_and_then_the_lowest_series() -> None:
    alerts = [
        alert(Severity.P2, host="a", zone="x"),
        alert(Severity.P0, host="c", zone="x"),
        alert(Severity.P0, host="b", zone="x"),
        alert(Severity.P1, host="a", zone="y"),
    ]
    assert by_group(rule(group_by=("zone",)), alerts) == {
        labels(zone="x"): [alerts[2], alerts[1], alerts[0]],
        labels(zone="y"): [alerts[3]],
    }


def test_a_series_belongs_where_it_has_all_labels() -> None:
    series = labels(host="a", zone="x")
    assert belongs(series, ())
    assert belongs(series, labels(zone="x"))
    assert belongs(series, series)
    assert not belongs(series, labels(zone="y"))
    assert not belongs(series, labels(host="a", zone="x", rack="1"))


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ("a", "a"),
        ("ba", "a, b"),
        ("abcde", "a, b, c, d, e"),
        ("abcdef", "a, b, c, d, e and 1 more"),
        ("aabbccddee", "a, b, c, d, e"),
    ],
)
def test_labels_are_listed_up_to_five_different_values(hosts: str, text: str) -> None:
    assert common_labels(alert(host=host, zone="x") for host in hosts) == {"host": text, "zone": "x"}
    assert common_labels([alert(host="a"), alert(host="b")], limit=1) == {"host": "a and 1 more"}


@pytest.mark.parametrize(
    ("series", "is_one"),
    [
        (labels(host="a", zone="x"), True),
        (labels(host="b", zone="y"), True),
        (labels(host="b", zone="x"), False),
        (labels(host="b"), False),
        (labels(host="a"), True),
        ((), False),
    ],
)
def test_a_series_belongs_to_any_of_many_groups_whatever_their_labels_are(series, is_one) -> None:
    assert belonging([labels(host="a"), labels(zone="y"), labels(host="c", zone="x")])(series) is is_one
    assert belonging([labels(host="z"), ()])(series)
    assert not belonging([])(series)
