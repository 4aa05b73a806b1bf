"""A new user, from the home page alone: connects Pangolin through the HTTP adapter, sees users arrive, and finds out why one was
refused. Everything is clicked and typed; no address is entered, and no command is run."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, expect

from relay.simulator.dmp import Change, Dmp, DmpAudience
from tests.browser.conftest import PASSWORD, EmptyStack, Windows
from tests.browser.looking import look_at
from tests.end_to_end.stack import ROOT, TOKEN, eventually

pytestmark = pytest.mark.once

CONNECTOR, TITLE = "spring-sale", "Spring sale"
AUDIENCE = DmpAudience("4711", "Buyers of shoes")
REFUSED = "user-13"
HINT = "Pangolin does not accept this user."


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmptyStack]:
    """Everything runs, and nothing is set up."""
    made = EmptyStack(tmp_path_factory.mktemp("empty"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def window(chromium: Browser, empty: EmptyStack) -> Iterator[Page]:
    """At the end nothing may have been complained of."""
    windows = Windows(chromium, empty.console)
    yield windows.open()
    windows.close()
    assert windows.complaints == []


def test_a_new_user_connects_pangolin_and_finds_out_why_one_user_was_refused(empty: EmptyStack, window: Page) -> None:
    page = window
    log_in_at_the_home_page(page)
    begin(page, CONNECTOR, example="Pangolin, described as an HTTP API")
    page.get_by_label("Address required").fill(base_url(empty))
    page.get_by_label("Title").fill(TITLE)
    give_the_token(page)
    secret = the_secret_shown_once(page)
    go_through_the_steps(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(TITLE)
    dmp = Dmp(the_address(page), secret)
    eventually(lambda: dmp.validate().accepted)
    assert dmp.create_audience(AUDIENCE).accepted
    empty.pangolin("PUT", "/api/faults", reject_users=[REFUSED])
    users = [f"user-{number}" for number in range(40)]
    assert dmp.change("joined", [Change(AUDIENCE.id, user) for user in users]).accepted
    eventually(lambda: at_pangolin(empty) == set(users) - {REFUSED})
    assert dmp.change("left", [Change(AUDIENCE.id, user) for user in users[:3]]).accepted
    dmp.close()
    eventually(lambda: at_pangolin(empty) == set(users[3:]) - {REFUSED})

    users_are_seen_to_have_arrived(empty, page)
    the_reason_is_found_from_the_home_page(page)
    the_person_is_found_by_an_identifier(page)


def test_what_a_partner_can_do_is_described_from_nothing(empty: EmptyStack, window: Page) -> None:
    page, name = window, "by-hand"
    described = yaml.safe_load((ROOT / "docs" / "examples" / "pangolin-over-http.yaml").read_text())["settings"]
    log_in_at_the_home_page(page)
    begin(page, name, example="an empty document")
    page.get_by_label("Address required").fill(base_url(empty))
    page.get_by_label("Partner", exact=True).fill("Pangolin")
    page.get_by_label("Private network").check()
    for label in ("Audiences", "Operations", "Check"):
        page.get_by_label(label, exact=True).fill(yaml.safe_dump(described[label.lower()], sort_keys=False))
    page.get_by_label("Authentication").fill("type: bearer")
    page.get_by_role("button", name="Save", exact=True).last.click()
    give_the_token(page)
    secret = the_secret_shown_once(page)
    go_through_the_steps(page)

    dmp = Dmp(the_address(page), secret)
    eventually(lambda: dmp.validate().accepted)
    assert dmp.create_audience(AUDIENCE).accepted
    assert dmp.change("joined", [Change(AUDIENCE.id, "ann"), Change(AUDIENCE.id, "bob")]).accepted
    eventually(lambda: at_pangolin(empty, name) == {"ann", "bob"})
    assert dmp.change("left", [Change(AUDIENCE.id, "bob")]).accepted
    dmp.close()
    eventually(lambda: at_pangolin(empty, name) == {"ann"})


def log_in_at_the_home_page(page: Page) -> None:
    page.goto("/")  # the one address that is entered
    page.get_by_label("Your name").fill("Nina")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Connectors")
    look_at(page, "story-begin", 1440, "light")


def begin(page: Page, name: str, *, example: str) -> None:
    """The first step."""
    page.get_by_role("link", name=re.compile("^Add (a|the first) connector$")).click()
    page.get_by_role("radio", name="HTTP").check()
    page.get_by_label("Begin with").select_option(label=example)
    page.get_by_label("Name required").fill(name)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Configure")


def give_the_token(page: Page) -> None:
    page.get_by_label("Value of Token").fill(TOKEN)
    page.get_by_role("button", name="Save, and ask the partner whether it accepts them").click()
    expect(page.get_by_text("The partner accepts the credentials.")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(TOKEN)


def the_secret_shown_once(page: Page) -> str:
    page.get_by_role("button", name=re.compile("Make one now")).click()
    shown = page.locator("#secret-value").inner_text()
    page.get_by_role("link", name="I have it, go on").click()
    expect(page.locator("body")).not_to_contain_text(shown)
    return shown


def go_through_the_steps(page: Page) -> None:
    """From the actions until it runs."""
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Actions")
    expect(page.get_by_text("INCOMPLETE")).to_have_count(0)
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mapping")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Test")
    page.get_by_role("button", name="Send this user as a test").click()
    came = page.get_by_role("region", name="What came of the test")
    expect(came).to_contain_text("Done")
    expect(came).not_to_contain_text("Failed")
    page.get_by_role("link", name="Go on").click()
    expect(page.get_by_text("Nothing is wrong with it.")).to_be_visible()
    page.get_by_label(re.compile("^Note")).fill("The first one")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("link", name="version 1")).to_be_visible()


def the_address(page: Page) -> str:
    """As the connector's page tells it for the DMP's form."""
    page.get_by_role("link", name="source for the DMP").click()
    address = page.locator("#source dd code").filter(has_text="http://127.0.0.1").first
    expect(address).to_be_in_viewport()
    return address.inner_text()


def users_are_seen_to_have_arrived(empty: EmptyStack, page: Page) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Connectors").click()
    expect(number(page, "rejected")).to_have_text("1")
    expect(number(page, "delivered")).to_have_text(str(users_pangolin_was_sent(empty) - 1))
    look_at(page, "story-arrived", 1440, "light")

    page.get_by_role("link", name="Activity").click()
    attempts = page.get_by_role("region", name="Attempts, newest first")
    expect(attempts).to_contain_text("rejected")
    page.get_by_role("link", name="Audiences").click()
    page.get_by_role("link", name=AUDIENCE.name).click()
    page.get_by_role("button", name="Ask the partner about it").click()
    size = page.get_by_role("status").locator("div", has=page.locator("dt", has_text=re.compile("^size$"))).locator("dd")
    expect(size.last).to_have_text(str(len(at_pangolin(empty))))


def the_reason_is_found_from_the_home_page(page: Page) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Connectors").click()
    page.get_by_role("article").get_by_role("link", name="see why").click()
    reason = page.get_by_role("article").filter(has_text="user_rejected")
    expect(reason).to_contain_text(HINT)
    reason.get_by_role("link", name="Show these").click()
    expect(page.get_by_role("region", name="Rejections, newest first").get_by_role("row")).to_have_count(2)
    expect(page.locator("body")).not_to_contain_text(REFUSED)
    look_at(page, "story-rejections", 1440, "light")


def the_person_is_found_by_an_identifier(page: Page) -> None:
    page.get_by_role("link", name="Find a user", exact=True).click()
    page.get_by_label("Identifier of the person").fill(REFUSED)
    page.get_by_role("button", name="Find").click()
    found = page.get_by_role("region", name="Changes of this person, oldest first")
    expect(found).to_contain_text("refused")
    expect(found).to_contain_text(HINT)
    expect(found).to_contain_text(AUDIENCE.name)
    assert REFUSED not in page.url
    look_at(page, "story-user", 1440, "light")


def base_url(empty: EmptyStack) -> str:
    return f"http://127.0.0.1:{empty.ports['pangolin']}"


def audience_at_pangolin(empty: EmptyStack, connector: str = CONNECTOR) -> str:
    """Its ID there; empty as long as it has none."""
    listed = empty.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
    return next((str(one["id"]) for one in listed if one["reference"] == f"{connector}/{AUDIENCE.id}"), "")


def at_pangolin(empty: EmptyStack, connector: str = CONNECTOR) -> set[str]:
    """The members of the audience, as Pangolin itself tells them."""
    audience = audience_at_pangolin(empty, connector)
    return {one["id"] for one in empty.pangolin("GET", f"/api/audiences/{audience}/users")["users"]} if audience else set()


def users_pangolin_was_sent(empty: EmptyStack) -> int:
    """To add or to remove, in calls that it answered well."""
    path = f"/api/audiences/{audience_at_pangolin(empty)}/users"
    calls = empty.pangolin("GET", "/api/calls?limit=1000")
    return sum(call["count"] for call in calls if call["path"] == path and call["method"] != "GET" and call["status"] == 200)


def number(page: Page, what: str) -> Locator:
    """Of the last hour, on the home page."""
    return page.get_by_role("table", name=f"Mutations of {CONNECTOR}").get_by_role("row", name=what).get_by_role("cell").first
