"""One sentence for each evaluation of each alert, with the numbers in it."""

from collections.abc import Sequence

import pytest

from evaluator.engine.alerts import Looked, State, Verdict
from evaluator.engine.rules import Limit, NoDataPolicy, Op, Query, Recover, Tier
from evaluator.engine.samples import PollResult, Samples
from tests.engine.plays import Play, rows
from tests.stories import FAILED, HI, LO, MID, NAN, m_of_n, rule, tier

T0 = 1_763_866_800.0
"""2025-11-23 03:00:00 UTC."""


def said(asked: Tier, looks: Sequence[tuple[float, PollResult]], **fields: object) -> list[str]:
    """Return the sentence of the last look at each alert; `looks` are (seconds, result)."""
    story = Play(rule(asked, **fields))  # type: ignore[arg-type]
    found: list[str] = []
    for after, result in looks:
        found = story.said(story.look(T0 + after, result))
    return found


SLOW = tier(for_=600.0)
BACK = tier(recover=Recover(Limit(Op.BELOW, 80), for_=300.0))


ANEW = "95 % is above 90 % since 03:00:00 UTC, counted from 03:10:00 UTC"
STILL_PENDING = "pending since 03:00:00 UTC, and neither fires nor ends on that"


@pytest.mark.parametrize(
    ("asked", "looks", "sentence_"),
    [
        (
            SLOW,
            [(0, rows(HI)), (60, rows(HI))],
            "95 % is above 90 % since 03:00:00 UTC, fires at 03:10:00 UTC if that lasts (9m to go)",
        ),
        (
            tier(for_=120.0),
            [(0, rows(HI)), (60, rows(HI)), (600, rows(HI))],
            f"{ANEW}, fires at 03:12:00 UTC if that lasts (2m to go)",
        ),
        (
            SLOW,
            [(0, rows(HI)), (60, rows(HI)), (120, FAILED)],
            f"unknown since 03:01:00 UTC: no answer in time; {STILL_PENDING}",
        ),
        (
            SLOW,
            [(0, rows(HI)), (60, rows(NAN))],
            f"unknown since 03:00:00 UTC: there is no value; {STILL_PENDING}",
        ),
        (tier(), [(0, rows(HI))], "95 % is above 90 %; firing since 03:00:00 UTC"),
        (tier(), [(0, rows(HI)), (86_400, rows(HI))], "95 % is above 90 %; firing since 2025-11-23 03:00:00 UTC"),
        (
            tier(),
            [(0, rows(HI)), (60, rows(LO, host="b")), (120, rows(LO, host="b"))],
            "unknown since 03:00:00 UTC: no sample for 2m; firing since 03:00:00 UTC, and does not end on that",
        ),
        (BACK, [(0, rows(HI)), (60, rows(MID))], "85 % is not below 80 %; still firing since 03:00:00 UTC"),
        (
            BACK,
            [(0, rows(HI)), (60, rows(LO)), (120, rows(LO))],
            "10 % is below 80 % since 03:01:00 UTC, ends at 03:06:00 UTC if that lasts (4m to go)",
        ),
        (
            BACK,
            [(0, rows(HI)), (60, rows(LO)), (120, FAILED)],
            "unknown since 03:01:00 UTC: no answer in time; recovering since 03:01:00 UTC, and does not end on that",
        ),
        (tier(), [(0, rows(HI)), (60, rows(LO))], "10 % is not above 90 %"),
        (
            tier(datapoints="2 of 3"),
            [(0, rows(HI)), (60, rows(LO))],
            "fewer than 2 of 3 samples above 90 %, now 10 %",
        ),
        (tier(datapoints="2 of 3"), [(0, rows(HI))], "1 of the last 3 samples above 90 %, now 95 %"),
        (
            tier(datapoints="2 of 3"),
            [(0, rows(HI)), (60, rows(HI))],
            "2 of the last 3 samples above 90 %, now 95 %; firing since 03:01:00 UTC",
        ),
        (tier(datapoints="2 of 3"), [(0, rows(HI)), (60, rows(NAN))], "there is no value"),
        (
            tier(recover=Recover(datapoints=m_of_n("0 of 2"))),
            [(0, rows(HI)), (60, rows(LO))],
            "not yet at most 0 of 2 samples above 90 %, now 10 %; still firing since 03:00:00 UTC",
        ),
        (
            tier(recover=Recover(datapoints=m_of_n("0 of 2"))),
            [(0, rows(HI)), (60, rows(LO)), (120, rows(LO))],
            "at most 0 of 2 samples above 90 %, now 10 %",
        ),
    ],
)
def test_each_evaluation_is_one_sentence(asked, looks, sentence_) -> None:
    assert said(asked, looks=looks) == [sentence_]


def dated(*at: float) -> Samples:
    return rows(*[HI] * len(at), at=[T0 + each for each in at])


def test_what_was_told_before_is_said_to_be_that() -> None:
    found = said(SLOW, looks=[(120, dated(0)), (180, dated(0))], query=Query("cloudwatch", "{}", step=60.0))
    assert found == [
        "95 % is above 90 % since 03:00:00 UTC, fires at 03:10:00 UTC if that lasts (7m to go); nothing newer was told"
    ]


def test_what_is_only_late_is_not_said_to_go_on_for_less_than_nothing() -> None:
    found = said(SLOW, looks=[(700, dated(0))], query=Query("cloudwatch", "{}", step=60.0))
    assert found == ["95 % is above 90 % since 03:00:00 UTC, fires at 03:10:00 UTC if that lasts"]


@pytest.mark.parametrize(
    ("policy", "after", "sentence_"),
    [
        (NoDataPolicy.BREACH, 180, "no sample for 3m, and no_data is breach; firing since 03:00:00 UTC"),
        (NoDataPolicy.RESOLVE, 600, "no sample for 10m, and no_data resolves after 10m"),
        (
            NoDataPolicy.RESOLVE,
            540,
            "unknown since 03:00:00 UTC: no sample for 9m; firing since 03:00:00 UTC, and does not end on that",
        ),
    ],
)
def test_what_is_missing_is_said_to_be(policy, after, sentence_) -> None:
    looks = [(0, rows(HI)), *((now, Samples()) for now in range(60, after + 1, 60))]
    assert said(tier(), looks=looks, no_data=policy, resolve_after=600.0) == [sentence_]


def test_what_was_looked_at_stands_for_itself() -> None:
    story = Play(rule(SLOW))
    first = story.look(T0, rows(HI)).looked
    story.look(T0 + 60, rows(LO))
    assert first == [
        Looked(
            series=(("host", "web-1"),),
            severity=SLOW.severity,
            verdict=Verdict.BREACH,
            state=State.PENDING,
            value=HI,
            at=T0,
            active_at=T0,
            clock=T0,
            known=T0,
        )
    ]


def test_a_scan_of_what_is_quiet_looks_at_nothing() -> None:
    story = Play(rule())
    many = Samples([{"n": str(number)} for number in range(1000)], [LO] * 1000)
    assert story.look(T0, many).looked == []
