"""`/holds`: what waits, why, and the ways to let it go on, make it wait, or drop it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.connectors.publishing import Publishing
from relay.console.hold_words import words_of
from relay.console.holds_reading import BATCHES, ROWS
from relay.console.roles import Role
from relay.domain.audience import HOLD_REASONS, Audience
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser
from tests.unit.console.waiting import hold

ONE = "/holds/one?connector=shop&audience="
DISCARD = "/holds/discard?connector=shop&audience="


def held(backend: EmbeddedBackend, audience: str) -> Audience:
    found = backend.audiences.get("shop", audience)
    assert found is not None
    return found


def due(backend: EmbeddedBackend, clock: TurnedClock) -> set[str]:
    return {audience.id for audience in backend.audiences.due(clock.now())}


def audited(backend: EmbeddedBackend) -> list[tuple[str, str, str, str]]:
    return [(entry.by, entry.what, entry.subject, entry.detail) for entry in backend.audit.newest() if entry.by == NAME]


@pytest.fixture(autouse=True)
def connector(publishing: Publishing) -> None:
    """`shop` runs."""


# the list
def test_where_nothing_waits_it_says_so_and_when_something_would(browser: Browser) -> None:
    assert "Nothing waits. Batches come to wait here when" in browser.text("/holds")


@pytest.mark.parametrize("reason", HOLD_REASONS)
def test_each_reason_is_told_in_words_with_its_way_out(reason: str) -> None:
    words = words_of(reason)  # type: ignore[arg-type]
    assert words.meaning
    assert words.way
    assert "diy " not in words.way


def test_what_waits_is_shown_by_reason_with_its_sums(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "credentials_refused", batches=2)
    hold(backend, clock, "a.2", "credentials_refused")
    hold(backend, clock, "a.3", "gathering")

    shown = browser.text("/holds")

    assert "<strong>4 batches</strong> of 3 audiences wait" in shown
    card = shown[shown.index("The partner refuses the credentials.") : shown.index("It gathers, to be sent in larger calls.")]
    for name, number in (("Audiences", "2"), ("Batches", "3"), ("Mutations", "9")):
        assert f"<dt>{name}</dt><dd>{number}</dd>" in card
    assert "1 h ago" in card
    assert "in 1 min" in card
    assert "Resume all 2" in card


def test_reasons_that_need_a_person_come_first(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "gathering")
    hold(backend, clock, "a.2", "crashed")

    shown = browser.text("/holds")

    assert shown.index("Someone must act") < shown.index("It gathers, to be sent in larger calls.")


def test_the_list_is_filtered_by_connector_and_reason(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT.replace("shop", "other"))
    hold(backend, clock, "a.1", "crashed")
    hold(backend, clock, "a.2", "gathering")
    hold(backend, clock, "b.1", "crashed", connector="other")

    assert rows(browser.text("/holds")) == ["b.1", "a.1", "a.2"]
    assert rows(browser.text("/holds?connector=shop")) == ["a.1", "a.2"]
    assert rows(browser.text("/holds?reason=crashed")) == ["b.1", "a.1"]
    assert rows(browser.text("/holds?connector=shop&reason=gathering")) == ["a.2"]
    assert rows(browser.text("/holds?reason=nonsense")) == ["b.1", "a.1", "a.2"]


def test_a_long_list_is_cut_says_so_and_goes_on_behind_the_cut(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    names = [f"a.{number:03}" for number in range(ROWS + 3)]
    for name in names:
        hold(backend, clock, name)

    first = browser.text("/holds")

    assert rows(first) == names[:ROWS]
    assert f"There are more than these {ROWS}." in first
    behind = re.search(r'href="(/holds\?after=[^"#]+)', first)
    assert behind is not None
    second = browser.text(behind.group(1))
    assert rows(second) == names[ROWS:]
    assert "There are more" not in second


def test_a_mangled_cursor_begins_at_the_beginning(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1")

    assert rows(browser.text("/holds?after=nonsense")) == ["a.1"]


def test_sums_over_too_many_say_that_it_is_at_least_so_much(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(backend, clock, "a.1", "crashed")
    assert "at least" not in browser.text("/holds").lower()
    summary = {"shop": AudienceSummary(1, {"ready": 1}, {"crashed": HoldSummary(1, 1, 3, 300, clock.now(), partly=True)})}
    monkeypatch.setattr(type(backend.audiences), "summary", lambda _, connector=None: summary)

    shown = browser.text("/holds")

    assert "At least <strong>1 batch</strong>" in shown
    assert "<dt>Mutations</dt><dd>at least 3</dd>" in shown
    assert "the bar is a rough one" in browser.text("/holds/progress?at=1&batches=9&connector=shop")


# one hold
def test_one_hold_shows_what_waits_in_order_and_nobody(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=BATCHES + 2, detail="<All> refused alike.")

    shown = browser.text(f"{ONE}a.1")

    assert "&lt;All&gt; refused alike." in shown
    assert shown.index("request-0") < shown.index("request-1")
    assert f"The first {BATCHES} of {BATCHES + 2} batches." in shown
    assert '<td data-is="Joined" class="count">2</td> <td data-is="Left" class="count">1</td>' in shown
    assert CANARY not in shown


def test_an_audience_in_which_nothing_waits_says_so(browser: Browser, backend: EmbeddedBackend) -> None:
    backend.audiences.begin_turn("shop", "a.1", position=1, message_id="m")

    assert "Nothing of this audience waits in a hold" in browser.text(f"{ONE}a.1")


@pytest.mark.parametrize("address", [f"{ONE}nobody", "/holds/one", "/holds/one?connector=nobody&audience=a"])
def test_an_unknown_audience_is_not_found(browser: Browser, address: str) -> None:
    browser.get(address, 404)


def test_of_a_paused_connector_one_hold_is_not_offered_to_be_resumed_alone(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "paused", due_in=None)
    backend.connectors.set_paused("shop", True)

    shown = browser.text(f"{ONE}a.1")

    assert "All of shop is paused" in shown
    assert ">Resume</button>" not in shown


# resume
def test_one_hold_is_resumed_at_once_and_by_whom_is_on_record(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1")
    hold(backend, clock, "a.2")

    answer = browser.post("/holds/resume", {"place": "shop/a.1"})

    assert answer.status_code == 302
    assert due(backend, clock) == {"a.1"}
    assert audited(backend) == [(NAME, "resume", "shop/a.1", "1 hold")]


def test_chosen_ones_are_resumed_and_their_pauses_end(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    for name in ("a.1", "a/2 with a slash", "a.3"):
        hold(backend, clock, name)
    backend.audiences.set_paused("shop", "a.1", True)

    browser.post("/holds/resume", {"place": ["shop/a.1", "shop/a/2 with a slash"]})

    assert due(backend, clock) == {"a.1", "a/2 with a slash"}
    assert not held(backend, "a.1").paused


def test_all_of_a_reason_are_resumed_and_no_others(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT.replace("shop", "other"))
    hold(backend, clock, "a.1", "crashed")
    hold(backend, clock, "a.2", "misconfigured")
    hold(backend, clock, "b.1", "crashed", connector="other")
    hold(backend, clock, "a.3", "paused", due_in=None)
    backend.audiences.set_paused("shop", "a.3", True)

    browser.post("/holds/resume", {"reason": "crashed", "all": "yes"})

    assert due(backend, clock) >= {"a.1", "b.1"}
    assert "a.2" not in due(backend, clock)
    assert held(backend, "a.3").paused
    assert sorted(audited(backend)) == [(NAME, "resume", "other", "1 hold: crashed"), (NAME, "resume", "shop", "1 hold: crashed")]


def test_all_of_a_connector_are_resumed_and_every_pause_ends(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "crashed")
    hold(backend, clock, "a.2", "paused", due_in=None)
    backend.audiences.set_paused("shop", "a.2", True)
    backend.connectors.set_paused("shop", True)

    browser.post("/holds/resume", {"connector": "shop", "all": "yes"})

    assert due(backend, clock) == {"a.1", "a.2"}
    assert not held(backend, "a.2").paused
    assert not backend.connectors.state("shop").paused


def test_nothing_chosen_resumes_nothing(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1")

    for form in ({}, {"connector": "shop"}, {"reason": "partner_unavailable"}, {"all": "yes"}, {"place": "nonsense"}):
        browser.post("/holds/resume", form)

    assert due(backend, clock) == set()
    assert audited(backend) == []
    assert "Choose at least one audience" in browser.text("/holds")


# progress
def followed(browser: Browser, form: dict[str, str | list[str]]) -> str:
    """The page to which a resume leads."""
    location = browser.post("/holds/resume", form).headers["Location"]
    assert location.startswith("/holds/progress?")
    return location


def test_progress_counts_what_has_left_and_ends_when_nothing_waits(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    for name in ("a.1", "a.2", "a.3"):
        hold(backend, clock, name)
    page = followed(browser, {"connector": "shop", "all": "yes"})
    before = browser.text(page)
    assert "0 of 3 batches have left, 3 wait still." in before
    assert 'data-live="2"' in before
    assert "Look again" in before

    deliver(backend, "a.1")
    assert "1 of 3 batches has left, 2 wait still." in browser.text(page)
    assert '<progress class="resuming" max="3" value="1"' in browser.text(page)

    deliver(backend, "a.2")
    deliver(backend, "a.3")
    after = browser.text(page)
    assert "All 3 batches that waited have left the hold." in after
    assert "data-live" not in after


def test_progress_of_chosen_ones_heeds_no_others(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", batches=2)
    hold(backend, clock, "a.2", batches=5)
    page = followed(browser, {"place": ["shop/a.1"]})
    assert "0 of 2 batches have left" in browser.text(page)

    deliver(backend, "a.1")

    assert "All 2 batches that waited have left the hold." in browser.text(page)


def test_progress_of_a_reason_is_not_done_because_the_reason_has_changed(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "credentials_refused")
    hold(backend, clock, "a.2", "paused", due_in=None)
    page = followed(browser, {"reason": "credentials_refused", "all": "yes"})

    deliver(backend, "a.1")
    clock.advance(5)
    hold(backend, clock, "a.1", "partner_unavailable")

    shown = browser.text(page)
    assert "0 of 1 batch have left, 1 waits still." in shown
    assert "The partner cannot take anything just now" in shown


def test_a_stall_is_said_with_its_reason(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "come_back_later", detail="In an hour, please.")
    page = followed(browser, {"place": ["shop/a.1"]})

    shown = browser.text(page)

    assert "Why they wait still" in shown
    assert "the partner asked to be called later" in shown
    assert "In an hour, please." in shown


def test_a_hold_that_began_later_is_not_counted_as_one_that_was_resumed(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1")
    page = followed(browser, {"place": ["shop/a.1"]})
    deliver(backend, "a.1")
    clock.advance(10)
    hold(backend, clock, "a.1", "gathering")

    assert "The one batch that waited has left the hold." in browser.text(page)


def test_progress_is_looked_at_often_for_a_minute_then_as_any_page_and_no_more_when_it_is_done(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1")
    page = followed(browser, {"place": ["shop/a.1"]})
    assert re.findall(r'data-live="(\d+)"', browser.text(page)) == ["2"]

    clock.advance(61)
    assert re.findall(r'data-live="(\d+)"', browser.text(page)) == ["10"]

    deliver(backend, "a.1")
    assert "data-live" not in browser.text(page)


@pytest.mark.parametrize("query", ["", "?at=x&batches=-3", "?place=nonsense&batches=1", "?connector=nobody&batches=9&at=1"])
def test_a_mangled_address_of_progress_shows_a_page(browser: Browser, query: str) -> None:
    browser.get(f"/holds/progress{query}")


def deliver(backend: EmbeddedBackend, audience: str) -> None:
    """A turn that settles all that waits."""
    turn = backend.audiences.begin_turn("shop", audience, position=100, message_id=f"resume-{audience}")
    waiting = backend.audiences.waiting(turn, max_items=1_000, max_bytes=1_000_000)
    backend.audiences.settle(turn, taken=waiting, rest=[], request=None, progress=True)


@pytest.mark.parametrize("name", ["at", "batches", "others"])
def test_a_number_in_the_address_that_is_too_large_breaks_no_page(browser: Browser, name: str) -> None:
    assert browser.text(f"/holds/progress?connector=shop&{name}=99999999999999999999")


# pause
def test_an_audience_is_paused_and_goes_on(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1")
    form = {"connector": "shop", "audience": "a.1"}

    browser.post("/holds/pause", form)
    assert held(backend, "a.1").paused

    browser.post("/holds/unpause", form)
    assert not held(backend, "a.1").paused
    assert due(backend, clock) == {"a.1"}
    assert [what for _, what, _, _ in audited(backend)] == ["resume", "pause"]


# discard
def test_discarding_says_what_is_lost_and_asks_for_the_id(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=2)

    shown = browser.text(f"{DISCARD}a.1")

    assert "<strong>2 batches with 6 mutations</strong>" in shown
    assert "cannot be taken back" in shown
    assert "becomes a rejection" in shown
    assert held(backend, "a.1").hold is not None


@pytest.mark.parametrize("typed", ["", "a.2", "A.1", "yes"])
def test_nothing_is_discarded_without_the_id(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock, typed: str
) -> None:
    hold(backend, clock, "a.1", "misconfigured")

    answer = browser.post("/holds/discard", {"connector": "shop", "audience": "a.1", "typed": typed})

    assert answer.status_code == 400
    assert "Nothing was discarded." in answer.text
    assert held(backend, "a.1").hold is not None
    assert audited(backend) == []


def test_what_is_discarded_becomes_rejections(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=2)

    answer = browser.post("/holds/discard", discarding(browser, " a.1 "))

    assert answer.headers["Location"].startswith("/rejections?")
    assert held(backend, "a.1").hold is None
    assert [rejection.code for _, rejection in backend.reports.rejections("shop")] == ["discarded"] * 6
    assert audited(backend) == [(NAME, "discard", "shop/a.1", "2 batches")]


def discarding(browser: Browser, typed: str = "a.1") -> dict[str, str]:
    """The form as the page shows it now, with what is typed into it."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', browser.get(f"{DISCARD}a.1").text))
    return {**{name: fields[name] for name in ("connector", "audience", "shown_at", "batches")}, "typed": typed}


def test_what_joined_after_the_page_was_shown_is_not_discarded(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=2)
    form = discarding(browser)
    clock.advance(5)
    hold(backend, clock, "a.1", "misconfigured", first=2)

    answer = browser.post("/holds/discard", form)

    assert answer.status_code == 302
    left = held(backend, "a.1").hold
    assert left is not None
    assert left.batches == 1
    assert audited(backend) == [(NAME, "discard", "shop/a.1", "2 batches")]
    assert "1 batch that was not on the page when it was shown: kept" in browser.text(answer.location)


def test_what_joined_at_the_very_moment_of_the_page_is_no_more_than_was_told(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=2)
    form = discarding(browser)
    hold(backend, clock, "a.1", "misconfigured", first=2)

    browser.post("/holds/discard", form)

    left = held(backend, "a.1").hold
    assert left is not None
    assert left.batches == 1


def test_an_old_form_does_not_discard_what_waits_now(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a.1", "misconfigured", batches=2)
    form = discarding(browser)
    deliver(backend, "a.1")
    clock.advance(5)
    hold(backend, clock, "a.1", "misconfigured", batches=3, first=2)

    answer = browser.post("/holds/discard", form)

    assert answer.status_code == 409
    assert "What the page told is not there any more, so nothing was discarded." in answer.text
    assert "3 batches with 9 mutations" in answer.text
    left = held(backend, "a.1").hold
    assert left is not None
    assert left.batches == 3
    assert audited(backend) == []


@pytest.mark.parametrize(
    "changed",
    [{"shown_at": ""}, {"shown_at": "nan"}, {"shown_at": "inf"}, {"shown_at": "1e300"}, {"batches": ""}, {"batches": "0"}],
)
def test_a_form_that_does_not_say_what_was_shown_discards_nothing(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock, changed: dict[str, str]
) -> None:
    hold(backend, clock, "a.1", "misconfigured")

    answer = browser.post("/holds/discard", {**discarding(browser), **changed})

    assert answer.status_code == 409
    assert held(backend, "a.1").hold is not None


# roles
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/holds/resume", {"connector": "shop", "all": "yes"}),
        ("/holds/pause", {"connector": "shop", "audience": "a.1"}),
        ("/holds/unpause", {"connector": "shop", "audience": "a.1"}),
        ("/holds/discard", {"connector": "shop", "audience": "a.1", "typed": "a.1"}),
    ],
)
def test_a_viewer_changes_nothing(
    somebody: Callable[[Role], Browser], backend: EmbeddedBackend, clock: TurnedClock, path: str, form: dict[str, str]
) -> None:
    before = hold(backend, clock, "a.1")

    assert somebody("viewer").post(path, form, form="/holds").status_code == 403
    assert held(backend, "a.1") == before


def test_a_viewer_sees_no_button_and_an_operator_does(
    somebody: Callable[[Role], Browser], backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a.1", "audience_gone")

    for page in ("/holds", f"{ONE}a.1"):
        assert "Resume" not in somebody("viewer").text(page).partition("<main")[2]
        assert "Resume" in somebody("operator").text(page).partition("<main")[2]
    assert "Link to another" not in somebody("operator").text(f"{ONE}a.1")
    assert "Link to another" in somebody("admin").text(f"{ONE}a.1")


def rows(shown: str) -> list[str]:
    """IDs of the audiences in the list."""
    return re.findall(r'<th scope="row" data-is="Audience"[^>]*><span> ?<a href="/holds/one\?[^"]*">([^<]+)</a>', shown)
