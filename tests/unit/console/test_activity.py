"""The activity page: attempts as they happen, drawings of what came of them, and one attempt in full."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.console.activity_reading import MOST_SUMMED, ROWS, STEPS, Asked, asked_of, attempts_of, timelines_of
from relay.domain.exchange import Content, Exchange, Exchanges
from relay.domain.outcome import CallReport, Rejection, Report, Result, hash_user
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, PASSWORD, Browser


def report(clock: TurnedClock, number: int = 1, **changes: Any) -> Report:
    plain = Report(
        1, f"attempt-{number}", "shop", 1, "a.1", "change", (f"request-{number}",), clock.now(), 85.0, {"delivered": 7}
    )
    return msgspec.structs.replace(plain, **{"lag_ms": 400, **changes})


def record(backend: EmbeddedBackend, *reports: Report) -> None:
    for one in reports:
        backend.reports.attempt(one, [])


def test_without_any_attempt_it_says_how_to_begin(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/activity")

    assert "There is none yet." in shown
    assert "as soon as the DMP sends users" in shown
    assert "Nothing was delivered." in shown


def test_an_attempt_says_what_came_of_it_in_words(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    calls = (CallReport("add", 7, 200, 12.0), CallReport("add", 3, 503, 80.0, "try_again"))
    counts = {"delivered": 1_200, "rejected": 3, "retry": 2, "superseded": 1, "skipped": 4}
    record(
        backend,
        report(clock, counts=counts, calls=calls, problem="try_again", hint="It <b>answered</b> 503.", held="partner_unavailable",
               due_at=clock.now() + 90),
    )  # fmt: skip
    clock.advance(5)

    shown = browser.text("/activity")

    assert "1,200 delivered, 3 rejected, 2 to be tried again, 1 superseded by a later change, 4 skipped" in shown
    assert "partly rejected" in shown
    assert "It &lt;b&gt;answered&lt;/b&gt; 503." in shown
    assert "partner unavailable" in shown
    assert "in 1 min</time>" in shown, "until when it is held"
    assert "85 ms" in shown
    assert 'data-live="10"' in shown


def test_an_audience_is_called_by_its_name_where_it_has_one(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.audiences.link("shop", "a.1", partner_id="p-1", name="Sneaker <fans>")
    record(backend, report(clock, 1, audience="a.1"), report(clock, 2, audience="a.nameless"))

    shown = browser.text("/activity")

    assert ">Sneaker &lt;fans&gt;</a>" in shown, "in place of its ID"
    assert ">a.1</span>" in shown, "which stands below"
    assert ">a.nameless</a>" in shown


def test_the_newest_come_first_and_older_ones_are_a_link_away(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    record(backend, *[report(clock, number) for number in range(STEPS[0] + 5)])

    first = browser.text("/activity")

    ids = re.findall(r"/activity/attempt-(\d+)", first)
    assert [int(one) for one in ids] == list(range(STEPS[0] + 4, 4, -1))
    assert "50 shown, of 50 attempts looked at." in first
    older = re.search(r'href="([^"]+)">Show older: look at 200', first)
    assert older
    everything = browser.text(older.group(1).replace("&amp;", "&"))
    assert len(re.findall(r"/activity/attempt-\d+", everything)) == STEPS[0] + 5
    assert "Show older" not in everything


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["bad", "held", "good", "mail"]),
        ("connector=mail", ["mail"]),
        ("audience=B.2", ["bad"]),
        ("audience=nobody", []),
        ("result=delivered", ["good", "mail"]),
        ("result=rejected", ["bad"]),
        ("result=needs+a+look", ["bad", "held"]),
        ("result=to+be+tried+again", ["held"]),
        ("result=on+hold", ["held"]),
        ("result=nonsense&span=nonsense&back=nonsense", ["bad", "held", "good", "mail"]),
    ],
)
def test_only_the_attempts_of_ones_choice_are_shown(
    query: str, found: list[str], browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    publishing.apply(DOCUMENT.replace("shop", "mail"))
    record(
        backend,
        report(clock, attempt_id="mail", connector="mail"),
        report(clock, attempt_id="good"),
        report(clock, attempt_id="held", counts={"retry": 2}, held="come_back_later"),
        report(clock, attempt_id="bad", counts={"rejected": 2}, audience="b.2"),
    )

    shown = browser.text(f"/activity?{query}")

    assert re.findall(r"/activity/(\w+)\?", shown) == found


def test_where_none_is_of_ones_choice_it_says_how_many_were_looked_at(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    record(backend, report(clock))

    assert "None of the last 1 attempt is of your choice." in browser.text("/activity?audience=other")


def test_a_page_holds_a_hundred_and_all_are_reached(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    record(backend, *[report(clock, number) for number in range(330)])

    seen: list[str] = []
    asked, pages = Asked(back=STEPS[1]), 0
    while asked.back:
        found = attempts_of(backend.reports, asked)
        assert len(found.rows) <= ROWS
        seen += [row.report.attempt_id for row in found.rows]
        asked = Asked(back=found.older, skip=found.older_skip)
        pages += 1

    assert seen == [f"attempt-{number}" for number in range(329, -1, -1)]
    assert pages == 4


def test_a_choice_is_looked_for_among_more_attempts_than_are_shown_without(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    record(backend, report(clock, 0, audience="rare"), *[report(clock, number) for number in range(1, STEPS[0] + 10)])

    found = attempts_of(backend.reports, Asked(audience="rare"))

    assert [row.report.audience for row in found.rows] == ["rare"]
    assert found.older == 0


@pytest.mark.parametrize("span", ["hour", "day", "week"])
def test_the_drawings_and_their_table_have_the_numbers_of_the_attempts(
    span: str, browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    record(backend, report(clock, counts={"delivered": 41, "rejected": 3, "retry": 2}, lag_ms=400))
    clock.advance(60)

    shown = browser.text(f"/activity?span={span}&connector=shop")

    assert "Delivered: 41" in shown
    assert "Rejected: 3" in shown
    assert "To be tried again: 2" in shown
    assert f"In the last {span}: 41 delivered, 3 rejected, 2 to be tried again." in shown
    assert '<td class="count">41</td><td class="count">3</td><td class="count">2</td>' in shown.replace("</td> <td", "</td><td")
    assert "up to 500 ms" in shown


def test_a_drawing_says_what_it_shows_to_those_who_do_not_see_it(browser: Browser, publishing: Publishing) -> None:
    shown = browser.text("/activity")

    for name in ("outcomes", "latencies"):
        assert f'role="img" aria-labelledby="{name}-title {name}-desc"' in shown
        assert f'<title id="{name}-title">' in shown
        assert f'<desc id="{name}-desc">' in shown
    assert "style=" not in shown


def test_the_hour_of_many_connectors_asks_to_choose_one(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    record(backend, report(clock))
    few, many = ["shop"], [f"c{number}" for number in range(MOST_SUMMED + 1)]

    assert timelines_of(backend.reports, many, Asked(span="hour"), clock.now()) is None
    drawn = timelines_of(backend.reports, few, Asked(span="hour"), clock.now())
    assert drawn
    assert drawn.buckets[-1].counts == {"delivered": 7}
    assert drawn.buckets[-1].median_ms == 500
    assert timelines_of(backend.reports, many, Asked(span="hour", connector="shop"), clock.now())


def test_in_the_hour_each_five_minutes_have_their_own_latency(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    record(backend, report(clock, 1, lag_ms=90))
    clock.advance(600)
    record(backend, report(clock, 2, lag_ms=4_000))

    drawn = timelines_of(backend.reports, ["shop"], Asked(span="hour"), clock.now())

    assert drawn
    assert [one.median_ms for one in drawn.buckets[-3:]] == [100, None, 5_000]


def test_the_page_looks_again_less_often_where_each_look_is_billed(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    browser = Browser(create_app(Configuration(backend="google", console_password=PASSWORD), backend, clock).test_client())
    browser.log_in()

    assert 'data-live="60"' in browser.text("/activity")


def test_an_address_that_says_nonsense_is_that_of_everything() -> None:
    assert asked_of({"back": "9999999", "span": "<b>", "result": "x"}) == Asked()


# one attempt
def test_an_attempt_shows_its_calls_and_what_was_not_delivered_by_reason(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    results = tuple(Result("request-1", index, "Add", "rejected", "no_such_user", "Not <known>.") for index in range(8))
    skipped = Result("request-1", 8, "", "skipped", "unreadable", "It has no identifier.")
    calls = (CallReport("add_members", 9, 200, 12.0), CallReport("add_members", 3, 0, 5_000.0, "no_answer"))
    counts = {"delivered": 1, "rejected": 8, "skipped": 1}
    requests = ("request-1", "request-2")
    record(backend, report(clock, counts=counts, calls=calls, exceptions=(*results, skipped), request_ids=requests))
    backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")
    backend.audiences.link("shop", "a.1", partner_id="p", name="Buyers")

    shown = browser.text("/activity/attempt-1")

    assert "<b>" not in shown
    assert "Not &lt;known&gt;." in shown
    assert "<code>no_such_user</code>" in shown
    assert '<td data-is="Number" class="count">8</td>' in shown
    assert '<td data-is="Number" class="count">1</td>' in shown
    assert "3 more" in shown, "five of eight are named"
    assert "add members" in shown
    assert "no answer" in shown
    assert "5.0 s" in shown
    assert "Buyers" in shown
    assert "<code>request-2</code>" in shown
    assert "&#34;attempt&#34;:&#34;attempt-1&#34;" in shown


def test_an_attempt_shows_what_was_sent_and_answered_masked(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    kept = (
        Exchange("GET", "https://p.example/api/audiences?limit=1", 404, 31.0),
        Exchange(
            "POST", "https://p.example/users", 200, 85.0, "add_members", 2_000, (("request-1", 0), ("request-1", 4)),
            sent_headers={"Content-Type": "application/json"},
            sent=Content("json", 0, '{"users":[{"id":"‹user 1: id›"},"‹1,998 more›"]}'),
            answered=Content("other", 12_345, note="It is in no form to be masked."),
        ),
        Exchange("POST", "https://p.example/users", 0, 5_000.0, "add_members", 1, problem="timeout",
                 sent=Content("csv", 9, '[["email","<b>"],["‹user 1: email›","x"],"‹3 more›"]')),
    )  # fmt: skip
    backend.reports.attempt(report(clock), [], Exchanges(1, kept, left_out=12))

    shown = browser.text("/activity/attempt-1")
    raw = browser.get("/activity/attempt-1").text

    assert "1. A call before any user was sent: the partner answered 404 after 31 ms." in shown
    assert "2. Add members for 2,000 users: the partner answered 200 after 85 ms." in shown
    assert "3. Add members for 1 user: no answer after 5.0 s (timeout)." in shown
    assert 'POST https://p.example/users\nContent-Type: application/json\n\n{\n  &#34;users&#34;: [\n' in raw
    assert "‹user 1: id›" in shown
    assert "Status 200" in shown
    assert "12,345 bytes. It is in no form to be masked." in shown
    assert "email, &lt;b&gt;\n‹user 1: email›, x\n‹3 more›" in raw
    assert "User 1: request <code>request-1</code>, place 0; User 2: request <code>request-1</code>, place 4." in shown
    assert "12 more calls are not kept" in shown
    assert "Masked:" in shown


def test_an_attempt_of_which_nothing_was_kept_says_so(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    record(backend, report(clock, 1, calls=(CallReport("add", 7, 200, 12.0),)), report(clock, 2))

    assert "What was sent and answered is not kept of this attempt" in browser.text("/activity/attempt-1")
    assert "sent and answered" not in browser.text("/activity/attempt-2"), "it made no call"


def test_an_attempt_that_is_held_says_until_when(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    record(backend, report(clock, 1, held="paused"), report(clock, 2, held="come_back_later", due_at=clock.now() + 120))

    assert "somebody resumes it" in browser.text("/activity/attempt-1")
    assert "It is tried again at 2027-01-15 08:02:00 UTC (in 2 min)." in browser.text("/activity/attempt-2?connector=shop")


def test_results_beyond_those_that_an_attempt_keeps_are_said_to_be_missing(
    browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    kept = tuple(Result("request-1", index, "Add", "rejected", "no") for index in range(10))
    record(backend, report(clock, counts={"rejected": 1_500}, exceptions=kept))

    assert "1,490 more are counted above and not listed" in browser.text("/activity/attempt-1")


def test_an_attempt_that_is_not_kept_says_what_is(browser: Browser, publishing: Publishing) -> None:
    answer = browser.get("/activity/unknown", status=404)

    assert "No attempt unknown is kept." in answer.text


def test_on_google_the_log_is_a_link_away(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    record(backend, report(clock))
    configuration = Configuration(backend="google", google_cloud_project="my-project", console_password=PASSWORD)
    browser = Browser(create_app(configuration, backend, clock).test_client())
    browser.log_in()

    shown = browser.text("/activity/attempt-1")

    assert "https://console.cloud.google.com/logs/query;query=jsonPayload.attempt%3D%22attempt-1%22?project=my-project" in shown


def test_no_page_shows_who_it_was(browser: Browser, publishing: Publishing, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    refused = Rejection(1, "shop", "a.1", "request-1", 0, "joined", hash_user(CANARY), "Add", "no", "No.", clock.now())
    results = (Result("request-1", 0, "Add", "rejected"),)
    backend.reports.attempt(report(clock, counts={"rejected": 1}, exceptions=results), [refused])

    for path in ("/activity", "/activity/attempt-1"):
        assert CANARY not in browser.text(path)
