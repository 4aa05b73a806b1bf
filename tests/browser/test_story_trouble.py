"""Trouble, and the way out of it, by what the pages show: a partner is down and comes back; a wrong version is published and
rolled back; what was refused is taken along as a file."""

from __future__ import annotations

import csv
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import NAME, ConsoleStack, Windows, log_in
from tests.browser.looking import look_at
from tests.end_to_end.stack import eventually

pytestmark = pytest.mark.once

AUDIENCES = [f"story.{number}" for number in range(6)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStack]:
    """A stack that the stories break."""
    made = ConsoleStack(tmp_path_factory.mktemp("own"))
    try:
        made.start()
        for audience in AUDIENCES:
            assert made.post("CREATE_AUDIENCE", {"Name": f"Audience {audience}", "Audience": audience}).status_code == 200
        yield made
    finally:
        made.stop()


@pytest.fixture
def window(chromium: Browser, own: ConsoleStack) -> Iterator[Page]:
    """Somebody has logged in and sees the home page. At the end nothing may have been complained of."""
    windows = Windows(chromium, own.console)
    page = windows.open()
    log_in(page)
    own.pangolin("DELETE", "/api/faults")
    yield page
    windows.close()
    assert windows.complaints == []


def test_a_partner_breaks_and_is_repaired_and_everything_arrives(own: ConsoleStack, window: Page) -> None:
    page = window
    expect(standing(page)).to_have_text("running")
    own.pangolin("PUT", "/api/faults", unauthorized=True)
    for audience in AUDIENCES:
        assert own.change(audience, [f"{audience}-{number}" for number in range(30)]).status_code == 200
        assert own.change(audience, [f"{audience}-30"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: waiting(own) == 2 * len(AUDIENCES))

    # Home says it by itself, and where one goes.
    expect(standing(page)).to_have_text("on hold")
    expect(page.get_by_text("1 of 1 connector needs somebody.")).to_be_visible()
    card = page.get_by_role("article")
    expect(card).to_contain_text("Someone must act")
    expect(card).to_contain_text(f"{2 * len(AUDIENCES)} batches wait, with {31 * len(AUDIENCES)} mutations")
    look_at(page, "story-broken", 1440, "light")
    page.get_by_role("link", name="Holds", exact=True).click()
    reason = page.get_by_role("article").filter(has_text="credentials refused")
    expect(fact(reason, "Audiences")).to_have_text(str(len(AUDIENCES)))
    expect(fact(reason, "Batches")).to_have_text(str(waiting(own)))
    expect(fact(reason, "Mutations")).to_have_text(str(31 * len(AUDIENCES)))
    look_at(page, "story-held", 1440, "light")

    # It is repaired, answers slowly, and somebody resumes.
    own.pangolin("PUT", "/api/faults", latency_ms=700)
    reason.get_by_role("button", name=f"Resume all {len(AUDIENCES)}").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Resuming")
    expect(page.get_by_role("progressbar")).to_be_visible()
    look_at(page, "story-resuming", 1440, "light")
    expect(page.get_by_text("Done.")).to_be_visible()
    expect(page.get_by_text(f"All {2 * len(AUDIENCES)} batches that waited have left the hold.")).to_be_visible()

    own.pangolin("DELETE", "/api/faults")
    for audience in AUDIENCES:
        assert own.members(audience) == {f"{audience}-{number}" for number in range(30)}
    page.get_by_role("link", name="All holds").click()
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    page.get_by_role("link", name="DIY Relay").click()
    expect(standing(page)).to_have_text("running")
    expect(page.get_by_text("Nothing needs anybody.")).to_be_visible()


def test_a_wrong_version_is_rolled_back_and_what_it_did_is_known(own: ConsoleStack, window: Page, tmp_path: Path) -> None:
    page, audience = window, AUDIENCES[0]
    before = own.members(audience)

    # Somebody fills the partner's ID with what these users do not have.
    page.get_by_role("link", name="pangolin", exact=True).click()
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("button", name="Edit pangolin").click()
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Mapping").click()
    page.get_by_label(re.compile("expression or value")).first.fill("user.email")
    expect(page.get_by_label("Row of Add")).to_contain_text("@")
    page.get_by_role("button", name="Save and go on").click()
    page.get_by_role("link", name="Go on").click()
    changes = page.get_by_role("region", name="What changes")
    expect(changes).to_contain_text("user.email")
    page.get_by_label(re.compile("^Note")).fill("By e-mail from now on")
    page.get_by_role("button", name="Publish as the next version").click()
    expect(page.get_by_role("link", name="version 2")).to_be_visible()

    refused = [f"late-{number}" for number in range(5)]
    for user in refused:
        assert own.change(audience, [user]).status_code == 200
    eventually(functools.partial(rejections_are, own, len(refused)))
    assert own.members(audience) == before
    page.get_by_role("link", name="DIY Relay").click()
    expect(rejected(page)).to_have_text(str(len(refused)))

    # Whoever sees it goes back to the version before, and the next users arrive.
    page.get_by_role("link", name="version 2").click()
    row = page.get_by_role("row").filter(has_text="By e-mail from now on")
    expect(row).to_contain_text(NAME)
    page.get_by_role("link", name="Roll back… version 1").click()
    expect(page.get_by_role("region", name="What would change", exact=True)).to_contain_text("user.id")
    look_at(page, "story-roll-back", 1440, "light")
    page.get_by_role("button", name="Roll back to version 1").click()
    expect(page.get_by_text("Version 1 runs.")).to_be_visible()
    assert own.change(audience, ["later"]).status_code == 200
    eventually(lambda: own.members(audience) == before | {"later"})

    # And takes along whom to send anew.
    own.pangolin("PUT", "/api/faults", reject_users=["never"])
    assert own.change(audience, ["never", "welcome"]).status_code == 200
    eventually(lambda: own.members(audience) == before | {"later", "welcome"})
    page.get_by_role("link", name="Rejections", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="All of them as CSV").click()
    file = tmp_path / "rejections.csv"
    download.value.save_as(file)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    sent = {*refused, "later", "never", "welcome"}
    assert {row["user_sha256"] for row in rows} == {hashed(user) for user in sent - own.members(audience)}
    assert len(rows) == len(refused) + 1
    assert "late-" not in file.read_text()
    shown = page.get_by_role("region", name="Rejections, newest first").get_by_role("row")
    expect(shown).to_have_count(len(rows) + 1)


def standing(page: Page) -> Locator:
    """How the connector stands, on the home page."""
    return page.get_by_role("article").locator(".standing")


def rejected(page: Page) -> Locator:
    """In the last hour, on the home page."""
    return page.get_by_role("table", name="Mutations of pangolin").get_by_role("row", name="rejected").get_by_role("cell").first


def fact(place: Locator, name: str) -> Locator:
    """The value beside this name."""
    return place.locator("dl div", has=place.page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")


def waiting(own: ConsoleStack) -> int:
    """Batches in holds, as the store knows them."""
    return sum(one.hold.batches for one in own.backend.audiences.held() if one.hold)


def rejections_are(own: ConsoleStack, number: int) -> bool:
    return len(own.backend.reports.rejections("pangolin", limit=1_000)) == number


def hashed(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()
