"""The source `sentry` against a look-alike of its API, and against bad weather."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from evaluator.engine.samples import FailureReason, PollFailed, PollResult, Samples
from evaluator.sources.checkup import Checkup, Grade
from evaluator.sources.sentry import SentrySource
from evaluator.sources.sentry_query import SentrySettings
from evaluator.testing.http_sources import HttpSourceConformance
from evaluator.testing.sentry import Sentry
from evaluator.testing.sources import NOW, polled, query, run
from evaluator.testing.wire import Weather, answer, hang, reset

TOKEN = "sntryi_s3cret-sentry-token"
ERRORS = {"measure": "errors"}


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry(TOKEN, clock=lambda: NOW, most=10_000) as organization:
        organization.add("api", "web")
        yield organization


def made(sentry: Sentry, **settings: object) -> SentrySource:
    fields = {"url": sentry.url, "token": TOKEN, "org": "acme", "timeout": "2s", **settings}
    return SentrySource("sentry", SentrySettings.model_validate(fields))


def asked(*fields: Mapping[str, Any]) -> list[Any]:
    return [query(SentrySource, each) for each in fields]


def ask(sentry: Sentry, *fields: Mapping[str, Any], now: float = NOW, **settings: object) -> list[PollResult]:
    answers: list[list[PollResult]] = run(polled(made(sentry, **settings), asked(*fields), now))
    return answers[0]


def rows(result: PollResult) -> dict[str, float]:
    assert isinstance(result, Samples), result
    return {row["project"]: value for row, value in zip(result.labels, result.values, strict=True)}


def failed(result: PollResult, reason: FailureReason) -> str:
    assert isinstance(result, PollFailed), result
    assert result.reason is reason, result
    assert TOKEN not in result.message
    return result.message


class TestConformance(HttpSourceConformance):
    kind = SentrySource
    queries = (
        {"measure": "errors"},
        {"measure": "errors", "project": ["api", "web"], "window": "15m"},
        {"measure": "users", "project": "api", "environment": "production"},
        {"measure": "failure_ratio", "project": "api"},
        {"measure": "p95", "project": "api"},
        {"measure": "crash_free_ratio", "project": "api"},
        {"measure": "dropped", "outcome": ["rate_limited", "filtered"]},
    )
    up = MappingProxyType({"measure": "up"})
    secrets = (TOKEN,)

    def settings(self, host: str, port: int) -> dict[str, Any]:
        return {"url": f"http://{host}:{port}", "token": TOKEN, "org": "acme"}

    @contextmanager
    def fine(self) -> Iterator[dict[str, Any]]:
        with Sentry(TOKEN, clock=lambda: NOW, most=10_000) as organization:
            organization.add("api", "web")
            organization.errors("api", 3)
            organization.transactions("api", 30)
            organization.healthy["api"] = (0.99, 1000)
            yield {"url": organization.url, "token": TOKEN, "org": "acme"}


def test_errors_are_counted_by_project_and_nothing_is_0(sentry: Sentry) -> None:
    sentry.errors("api", 3)
    sentry.errors("api", 2, environment="staging")
    sentry.errors("api", 1, level="fatal")
    sentry.errors("api", 7, age=20)
    sentry.errors("api", 7, age=331)
    sentry.errors("web", 1, age=600)
    results = ask(
        sentry,
        ERRORS,
        {**ERRORS, "environment": "production"},
        {**ERRORS, "environment": ["staging", "production"], "project": "api"},
        {**ERRORS, "query": "level:fatal", "project": ["web", "api"]},
        {**ERRORS, "window": "15m"},
        {**ERRORS, "project": "api", "query": ""},
    )
    assert [rows(each) for each in results] == [
        {"api": 6.0, "web": 0.0},
        {"api": 4.0, "web": 0.0},
        {"api": 6.0},
        {"web": 0.0, "api": 1.0},
        {"api": 13.0, "web": 1.0},
        {"api": 6.0},
    ]


def test_users_who_saw_an_error(sentry: Sentry) -> None:
    sentry.errors("api", 5, user="one")
    sentry.errors("api", 5)
    assert rows(ask(sentry, {"measure": "users", "project": "api"})[0]) == {"api": 6.0}


def test_failure_rate_and_latency(sentry: Sentry) -> None:
    sentry.transactions("api", 80, seconds=0.1)
    sentry.transactions("api", 20, seconds=3.0, failed=True)
    sentry.transactions("web", 5, failed=True)
    rate, p95, few = ask(
        sentry, {"measure": "failure_ratio"}, {"measure": "p95"}, {"measure": "failure_ratio", "min_count": 5}
    )
    assert rows(rate) == {"api": 0.2}
    assert rows(p95) == {"api": 3.0}
    assert rows(few) == {"api": 0.2, "web": 1.0}


def test_sessions_without_crash(sentry: Sentry) -> None:
    sentry.healthy = {"api": (0.975, 1000), "web": (0.5, 3)}
    crash_free_ratio = {"measure": "crash_free_ratio", "window": "1h"}
    assert rows(ask(sentry, crash_free_ratio)[0]) == {"api": 0.975}
    sentry.healthy = {"api": (0.0, 0)}
    assert rows(ask(sentry, crash_free_ratio)[0]) == {}


def test_events_that_were_dropped(sentry: Sentry) -> None:
    sentry.outcomes = {("api", "rate_limited"): 50.0, ("api", "accepted"): 1000.0, ("web", "filtered"): 3.0}
    quota, all_ = ask(
        sentry, {"measure": "dropped"}, {"measure": "dropped", "project": "web", "outcome": ["filtered", "abuse"]}
    )
    assert rows(quota) == {"api": 50.0, "web": 0.0}
    assert isinstance(all_, Samples)
    found = [(row["outcome"], value) for row, value in zip(all_.labels, all_.values, strict=True)]
    assert found == [("filtered", 3.0), ("abuse", 0.0)]


def test_a_count_from_which_events_were_dropped_says_so(sentry: Sentry) -> None:
    sentry.outcomes = {("api", "rate_limited"): 50.0, ("web", "filtered"): 3.0}
    errors, users, web, p95 = ask(
        sentry, ERRORS, {"measure": "users", "project": "api"}, {**ERRORS, "project": "web"}, {"measure": "p95"}
    )
    for each in (errors, users):
        assert isinstance(each, Samples)
        (warning,) = each.warnings
        assert warning.startswith("api: 50 errors were dropped")
    assert isinstance(web, Samples)
    assert isinstance(p95, Samples)
    assert (web.warnings, p95.warnings) == ((), ())


def test_losses_that_cannot_be_looked_up_spoil_no_count(sentry: Sentry) -> None:
    sentry.errors("api", 2)
    sentry.wire.forecast(None, None, answer(500))
    source = made(sentry)
    answers = run(polled(source, asked(ERRORS), NOW, times=2))
    assert [rows(each[0]) for each in answers] == [{"api": 2.0, "web": 0.0}] * 2
    assert len(sentry.asked) == 4, "it is not asked again at once"


def test_rules_that_differ_in_project_and_measure_share_a_request(sentry: Sentry) -> None:
    names = [f"p{number}" for number in range(200)]
    sentry.add(*names)
    fields = [{"measure": measure, "project": name} for name in names for measure in ("errors", "users")]
    answers = ask(sentry, *fields, {"measure": "p95"}, {"measure": "failure_ratio", "project": "p7"}, {"measure": "up"})
    assert all(isinstance(each, Samples) for each in answers)
    assert len(sentry.asked) == 3 + 2 + 1  # The list of projects has three pages; the last looks for what was dropped.
    assert all(len(path) < 4000 for path in sentry.asked)


def test_a_table_of_many_pages_is_read_to_its_end(sentry: Sentry) -> None:
    names = [f"p{number:03}" for number in range(250)]
    sentry.add(*names)
    for name in names:
        sentry.errors(name)
    sentry.page = 60
    found = rows(ask(sentry, ERRORS)[0])
    assert sum(found.values()) == 250.0
    assert len(found) == 252
    assert len(sentry.asked) == 5 + 3 + 1


@pytest.mark.parametrize("weather", [reset(), answer(500), answer(200, b'{"data": 5}'), hang(), answer(429)])
@pytest.mark.parametrize("page", [1, 3])
def test_a_page_that_fails_fails_its_queries_and_no_others(sentry: Sentry, weather: Weather, page: int) -> None:
    names = [f"p{number:03}" for number in range(150)]
    sentry.add(*names)
    for name in names:
        sentry.errors(name)
    sentry.page = 100
    sentry.wire.forecast(*[None] * page, weather)
    (result,) = ask(sentry, ERRORS, timeout="400ms")
    assert isinstance(result, PollFailed), result


def test_one_request_that_fails_spoils_only_its_own_queries(sentry: Sentry) -> None:
    sentry.errors("api", 2)
    right, wrong, up = ask(sentry, ERRORS, {**ERRORS, "query": "level:fatal:twice"}, {"measure": "up"})
    assert rows(right) == {"api": 2.0, "web": 0.0}
    assert "Parse error" in failed(wrong, FailureReason.BAD_QUERY)
    assert isinstance(up, Samples)
    assert list(up.values) == [1.0]


def test_a_project_that_is_not_there_is_a_bad_query(sentry: Sentry) -> None:
    wrong, half = ask(sentry, {**ERRORS, "project": "apj"}, {**ERRORS, "project": ["web", "mobile"]})
    assert "did you mean api?" in failed(wrong, FailureReason.BAD_QUERY)
    assert rows(half) == {"web": 0.0}
    assert isinstance(half, Samples)
    assert "there is no project mobile that our token can see; there are 2: api, web" in half.warnings


def test_projects_are_listed_once_and_up_is_asked_indeed(sentry: Sentry) -> None:
    source = made(sentry)
    run(polled(source, asked(ERRORS, {"measure": "up"}), NOW, times=5))
    assert [path.split("/")[5] for path in sentry.asked] == ["projects", "events", "stats_v2"] + ["events"] * 4
    assert source.usage() == {"requests": 7.0, "throttled": 0.0}
    run(polled(made(sentry), asked({"measure": "up"}), NOW, times=3))
    assert [path.split("/")[5] for path in sentry.asked[7:]] == ["projects"] * 3


def test_a_wrong_token_a_missing_scope_and_a_wrong_organization_are_auth(sentry: Sentry) -> None:
    assert "check `org`" in failed(ask(sentry, ERRORS, org="other")[0], FailureReason.AUTH)
    sentry.may = {"project:read"}
    assert "needs Project: Read" in failed(ask(sentry, ERRORS)[0], FailureReason.AUTH)
    sentry.token = "another"
    for each in ask(sentry, ERRORS, {"measure": "up"}):
        assert "(401): Invalid token" in failed(each, FailureReason.AUTH)


def test_the_limit_of_an_endpoint_is_met_before_it_refuses(sentry: Sentry) -> None:
    sentry.most = 1
    source = made(sentry)
    run(polled(source, asked(ERRORS), NOW, times=1))
    assert source.usage()["throttled"] <= 2.0, "once for each of the two endpoints that are asked"


def test_a_429_without_retry_after_is_not_asked_again_before_its_reset(sentry: Sentry) -> None:
    sentry.most = 0
    reset_at = {"X-Sentry-Rate-Limit-Reset": str(int(NOW) + 45)}
    sentry.refuse = lambda wait: answer_with(429, reset_at)  # type: ignore[method-assign]  # A longer window.
    source = made(sentry)
    first, second = run(polled(source, asked(ERRORS), NOW, times=2))
    assert "not asked again for 45 s" in failed(first[0], FailureReason.RATE_LIMITED)
    assert "told us to wait" in failed(second[0], FailureReason.RATE_LIMITED)
    assert source.usage() == {"requests": 1.0, "throttled": 1.0}


def answer_with(status: int, headers: Mapping[str, str]) -> Any:  # noqa: ANN401  # A reply of the wire.
    from evaluator.testing.vendor import said

    return said(status, {"detail": "too frequently"}, headers)


def test_a_part_of_the_data_is_told_of(sentry: Sentry) -> None:
    sentry.scanned = "partial"
    (result,) = ask(sentry, ERRORS)
    assert isinstance(result, Samples)
    assert "a part of its data" in result.warnings[0]


@pytest.mark.parametrize("ahead", [-900.0, 900.0])
def test_sentrys_clock_counts(sentry: Sentry, ahead: float) -> None:
    sentry.errors("api", 2, age=60)
    (result,) = ask(sentry, ERRORS, now=NOW + ahead)
    assert rows(result) == {"api": 2.0, "web": 0.0}
    assert isinstance(result, Samples)
    assert "whose clock counts here" in result.warnings[0]


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_jumps_between_two_polls_is_no_answer(sentry: Sentry, jump: float) -> None:
    sentry.errors("api", 2, age=60)

    async def days() -> list[list[PollResult]]:
        source = made(sentry)
        await source.open()
        try:
            return [await source.poll(asked(ERRORS), at) for at in (NOW, NOW + jump, NOW + jump)]
        finally:
            await source.close()

    before, meanwhile, after = run(days())
    assert rows(before[0]) == rows(after[0]) == {"api": 2.0, "web": 0.0}
    assert "our clock has jumped by 7200 s" in failed(meanwhile[0], FailureReason.UNAVAILABLE)


def test_names_are_any_text(sentry: Sentry) -> None:
    sentry.add("zürich-🚀")
    sentry.errors("zürich-🚀", 2, environment="ünïcode & more")
    (result,) = ask(sentry, {**ERRORS, "project": "zürich-🚀", "environment": "ünïcode & more"})
    assert rows(result) == {"zürich-🚀": 2.0}


def past(source: SentrySource, fields: Mapping[str, Any], start: float, end: float, step: float) -> Any:  # noqa: ANN401
    async def ask_past() -> Any:  # noqa: ANN401  # What `history` returns.
        await source.open()
        try:
            return await source.history(asked(fields)[0], start, end, step)
        finally:
            await source.close()

    return run(ask_past())


def test_history_is_what_polls_would_have_answered(sentry: Sentry) -> None:
    now = NOW - NOW % 60
    for minute in range(30):
        sentry.errors("api", minute, age=NOW - now + 60 * minute + 90)
    answers = past(made(sentry), {**ERRORS, "window": "5m"}, now - 600, now, 60.0)
    assert [at for at, _ in answers] == [now - 600 + 60 * number for number in range(11)]
    for at, result in answers:
        (live,) = ask(sentry, {**ERRORS, "window": "5m"}, now=at, delay="60s")
        del live  # The look-alike's clock counts; the sum is worked out here.
        last = round((now - at) / 60)
        assert rows(result) == {"api": float(sum(range(last, last + 5))), "web": 0.0}


def test_history_never_takes_a_bucket_that_still_grows(sentry: Sentry) -> None:
    sentry.errors("api", 2)
    answers = past(made(sentry, delay="1ms"), ERRORS, NOW, NOW + 60, 60.0)
    failed(answers[-1][1], FailureReason.UNAVAILABLE)


def test_history_is_none_where_a_chart_cannot_say_it(sentry: Sentry) -> None:
    assert past(made(sentry), {"measure": "users"}, NOW - 60, NOW, 60.0) is None
    assert past(made(sentry), {**ERRORS, "window": "90s"}, NOW - 60, NOW, 60.0) is None
    assert past(made(sentry), ERRORS, NOW - 90 * 86400, NOW, 3600.0) is None
    sentry.add(*(f"p{number}" for number in range(20)))
    assert past(made(sentry), ERRORS, NOW - 60, NOW, 60.0) is None
    sentry.token = "another"
    answers = past(made(sentry), ERRORS, NOW - 60, NOW, 60.0)
    assert [failed(result, FailureReason.AUTH) for _, result in answers]


@pytest.mark.parametrize(
    "fields",
    [
        {"measure": "crash_free_ratio", "window": "30m"},
        {"measure": "dropped", "window": "90m"},
        {"measure": "dropped", "environment": "production"},
        {"measure": "errors", "outcome": "abuse"},
        {"measure": "errors", "window": "30s"},
        {"measure": "errors", "project": "a b"},
        {"measure": "errors", "project": []},
        {"measure": "up", "project": "api"},
    ],
)
def test_queries_that_cannot_be_asked_are_refused(fields: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        query(SentrySource, fields)


def examined(source: SentrySource, *fields: Mapping[str, Any]) -> dict[str, Checkup]:
    async def examine() -> list[Checkup]:
        await source.open()
        try:
            return await source.examine(asked(*fields), NOW)
        finally:
            await source.close()

    return {each.subject: each for each in run(examine())}


def test_doctor_tries_each_kind_of_data_and_names_missing_projects(sentry: Sentry) -> None:
    fields = ({**ERRORS, "project": "api"}, {"measure": "p95", "project": "wep"}, {"measure": "crash_free_ratio"})
    found = examined(made(sentry), *fields)
    assert {name: each.grade for name, each in found.items()} == {
        "token and projects": Grade.FINE,
        "data of errors": Grade.FINE,
        "data of spans (is_transaction:true)": Grade.FINE,
        "data of sessions": Grade.FINE,
        "project api": Grade.FINE,
        "project wep": Grade.WRONG,
        "clock": Grade.FINE,
        "limits": Grade.FINE,
    }
    assert "did you mean web?" in found["project wep"].found
    assert "x-sentry-rate-limit-limit" in found["limits"].found
    sentry.token = "another"
    wrong = examined(made(sentry), *fields)["token and projects"]
    assert wrong.grade is Grade.WRONG
    assert "Settings > Developer Settings" in wrong.mend
    assert TOKEN not in f"{wrong}"


def test_doctor_works_without_rules_and_says_when_our_clock_is_wrong(sentry: Sentry) -> None:
    sentry.clock = lambda: NOW + 600
    found = examined(made(sentry))
    assert found["clock"].grade is Grade.WARNING
    assert "600 s behind" in found["clock"].found
