"""What users of a connector product expect, row by row, where the console has a page for it. What the stories tell at length
is not told again here: adding a connector, sending a test, holds, rolling back, the CSV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from relay.simulator.dmp import Answer, Change, Dmp
from tests.browser.conftest import ConsoleStack, Windows, cookies_of
from tests.end_to_end.stack import HMAC_SECRET, TOKEN, eventually

pytestmark = pytest.mark.once

AUDIENCE = "features.1"

SHOP = """
name: shop
title: {title}
adapter: pangolin
inbound: {{hmac_secret: shop-hmac}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: partner-token}}
limits: {{batch: {{max_items: 50, max_age: 1h}}, rate: {{calls: 10, concurrency: 4}}}}
timeouts: {{answer: 4s}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add buyers, trigger: joined, operation: add, mapping: {{id: user.id}}, consent: [display_ads, analytics]}}
  - {{name: Take out, trigger: left, operation: remove, mapping: {{id: user.id}}}}
environments:
  sandbox: {{limits: {{batch: {{max_items: 10}}}}}}
"""

NEWCOMER = """
name: newcomer
adapter: pangolin
inbound: {{hmac_secret: shop-hmac}}
settings: {{base_url: "http://127.0.0.1:{port}"}}
secrets: {{token: newcomer-token}}
actions:
  - {{name: Create audience, trigger: created, operation: create_audience}}
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
  - {{name: Remove, trigger: left, operation: remove, mapping: {{id: user.id}}}}
"""
"""Its token is not there yet."""


class Features(ConsoleStack):
    """Beside the connector `pangolin` a second one, with an environment, two versions, and batches that gather; and a third one
    that lacks a secret."""

    def set_up(self, mode: str) -> None:
        super().set_up(mode)
        for name in ("shop-hmac", "app-acme-client-id", "app-acme-client-secret"):
            self.publishing.set_secret(name, HMAC_SECRET)
        for title in ("Shop", "The shop"):
            self.publishing.apply(SHOP.format(title=title, port=self.ports["pangolin"]))
        self.publishing.apply(NEWCOMER.format(port=self.ports["pangolin"]))

    def to_shop(self, direction: str, *users: str) -> Answer:
        dmp = Dmp(f"http://127.0.0.1:{self.ports['receiver']}/shop", HMAC_SECRET)
        try:
            changes = [Change(AUDIENCE, user) for user in users]
            return dmp.change("joined" if direction == "joined" else "left", changes)
        finally:
            dmp.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Features]:
    made = Features(tmp_path_factory.mktemp("features"))
    try:
        made.start()
        assert made.post("CREATE_AUDIENCE", {"Name": "Features", "Audience": AUDIENCE}).status_code == 200
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def cookies(own: Features, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    return cookies_of(own, chromium, tmp_path_factory.mktemp("browser"))


@pytest.fixture
def page(own: Features, chromium: Browser, cookies: str) -> Iterator[Page]:
    """The home page. At the end nothing may have been complained of."""
    windows = Windows(chromium, own.console)
    made = windows.open(state=cookies)
    made.goto("/")
    yield made
    windows.close()
    assert windows.complaints == []


# mapping, test


def test_a_mapping_shows_what_it_makes_of_a_user_as_one_types(page: Page) -> None:
    begin_editing(page, "pangolin", "Mapping")
    page.get_by_label("User ID: expression or value").first.fill("sha256(lower(trim(user.email)))")

    made = hashlib.sha256(b"sample@example.com").hexdigest()
    expect(page.get_by_label("Row of Add")).to_contain_text(made)
    page.get_by_label("User ID: expression or value").first.fill("lower(user.emai")
    expect(page.locator(".edit-bad").first).to_be_visible()


def test_what_is_shown_of_a_mapping_is_what_was_typed_last_whichever_answer_comes_first(page: Page) -> None:
    begin_editing(page, "pangolin", "Mapping")
    kept: list[Route] = []

    def keep_the_first(route: Route) -> None:
        if kept:
            route.continue_()
        else:
            kept.append(route)

    page.route("**/mapping/try", keep_the_first)
    field = page.get_by_label(re.compile("expression or value")).first
    with page.expect_request("**/mapping/try"):
        field.fill("user.phone")
    field.fill("user.email")
    row = page.get_by_label("Row of Add")
    expect(row).to_contain_text("@")

    with page.expect_response("**/mapping/try"):
        kept[0].continue_()
    page.wait_for_timeout(300)
    expect(row).to_contain_text("@")


def test_what_was_typed_before_the_page_had_its_script_is_shown_all_the_same(page: Page) -> None:
    begin_editing(page, "pangolin", "Mapping")
    scripts: list[Route] = []

    def keep(route: Route) -> None:
        scripts.append(route)

    page.route("**/edit*.js*", keep)
    page.reload(wait_until="commit")
    page.get_by_label(re.compile("expression or value")).first.fill("user.email")
    while not scripts:
        page.wait_for_timeout(50)
    for script in scripts:
        script.continue_()

    expect(page.get_by_label("Row of Add")).to_contain_text("@")


def test_a_preview_is_the_exact_request_and_sends_nothing(own: Features, page: Page) -> None:
    begin_editing(page, "pangolin", "Test")
    before = own.pangolin("GET", "/api/calls?limit=1000")
    page.get_by_label(re.compile("A user as the DMP sends it")).fill('{"User": "previewed-7"}')
    page.get_by_role("button", name="Show what would be sent").click()

    request = page.get_by_label("Request of Add")
    expect(request).to_contain_text(f"http://127.0.0.1:{own.ports['pangolin']}/api/audiences/")
    expect(request).to_contain_text('"previewed-7"')
    expect(request).to_contain_text("***")
    assert own.pangolin("GET", "/api/calls?limit=1000") == before


# asset creation, upsert by default, dynamic options


def test_an_audience_is_created_at_the_partner_from_the_screen_and_twice_is_the_same(own: Features, page: Page) -> None:
    for _ in range(2):
        to_page(page, "Audiences")
        page.get_by_role("link", name="Create one", exact=True).click()
        page.get_by_label("Connector", exact=True).select_option("pangolin")
        page.get_by_label("ID in the DMP").fill("by.hand")
        page.get_by_label("Name", exact=True).fill("Made by hand")
        page.get_by_role("button", name="Create it").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Made by hand")

    there = [one for one in own.pangolin("GET", "/api/audiences?limit=10000")["audiences"] if one["name"] == "Made by hand"]
    assert len(there) == 1
    expect(page.locator("main")).to_contain_text(there[0]["id"])


def test_what_the_partner_has_is_offered_and_what_another_audience_uses_is_refused(own: Features, page: Page) -> None:
    free = own.pangolin("POST", "/api/audiences", name="Begun at Pangolin")["id"]
    taken = own.backend.audiences.get("pangolin", AUDIENCE).partner_id
    for partner_id, answer in ((taken, "main"), (free, "main")):
        to_page(page, "Audiences")
        page.get_by_role("link", name="Link to an existing one").click()
        page.get_by_label("Connector", exact=True).select_option("pangolin")
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Ask the partner what it has").click()
        page.get_by_label("ID in the DMP").fill("linked.1")
        page.get_by_label("At the partner", exact=True).select_option(partner_id)
        page.get_by_role("button", name="Link it").click()
        expect(page.locator(answer)).to_contain_text(AUDIENCE if partner_id == taken else free)

    assert own.backend.audiences.get("pangolin", "linked.1").partner_id == free


# batching, rate limits, time-outs


def test_batches_gather_until_they_are_sent_and_keep_their_order(own: Features, page: Page) -> None:
    for direction, users in (("joined", ("gathered-1", "gathered-2")), ("left", ("gathered-1",))):
        assert own.to_shop(direction, *users).accepted
    eventually(lambda: held(own, "shop") == 2)
    to_page(page, "Holds")
    gathering = page.get_by_role("article").filter(has_text="gathering")

    expect(gathering).to_contain_text("it is sent when enough has come together")
    expect(gathering).not_to_contain_text("Someone must act")
    gathering.get_by_role("button", name="Resume it").click()
    expect(page.get_by_text("Done.")).to_be_visible()
    partner_id = own.backend.audiences.get("shop", AUDIENCE).partner_id
    assert own.pangolin("GET", f"/api/audiences/{partner_id}/users")["users"] == [{"id": "gathered-2"}]


def test_limits_and_time_outs_stand_on_the_connectors_page(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    limits = page.get_by_role("region", name="Limits")

    for said in ("50", "10 calls", "4 audiences", "4 s"):
        expect(limits).to_contain_text(said)


# configurations


def test_environments_share_one_card_and_are_promoted_with_a_diff(page: Page) -> None:
    card = page.get_by_role("article").filter(has=page.get_by_role("heading", name="The shop"))
    expect(card.get_by_role("listitem")).to_have_count(2)
    card.get_by_role("link", name="sandbox").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("sandbox")

    page.get_by_role("link", name="Promote sandbox").click()
    changes = page.get_by_role("region", name="Differences")
    expect(changes.get_by_role("row", name=re.compile("^gone limits.*max_items: 50"))).to_be_visible()
    expect(changes.get_by_role("row", name=re.compile("^new .*max_items: 10"))).to_be_visible()
    page.get_by_role("button", name="Make a draft of it").click()
    expect(page.get_by_text("Nothing is wrong with it.")).to_be_visible()


def test_the_list_narrows_to_an_environment_or_a_state(page: Page) -> None:
    page.get_by_label("Environment").select_option("sandbox")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.locator("article").get_by_role("listitem")).to_have_count(1)
    page.get_by_role("link", name="show all").click()
    page.get_by_label("State").select_option("off")
    page.get_by_role("button", name="Show", exact=True).click()

    expect(page.get_by_text("No connector is like that.")).to_be_visible()


def test_a_connector_is_duplicated_under_a_name_of_its_own_with_secrets_of_its_own(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    page.get_by_role("link", name="Duplicate").click()
    page.get_by_label("Name of the new one").fill("shop-two")
    page.get_by_role("button", name="Duplicate").click()

    expect(page.get_by_label("Token required: name")).to_have_value("shop-two-token")
    expect(page.get_by_text("Not set yet.").first).to_be_visible()


# completeness, consent, summary, credentials


def test_each_required_action_is_shown_completed_or_incomplete(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    actions = page.get_by_role("region", name="Actions")
    expect(actions.get_by_text("COMPLETED", exact=True)).to_have_count(3)
    expect(actions.get_by_text("INCOMPLETE")).to_have_count(0)
    begin_editing(page, "shop", "Actions")

    page.get_by_role("button", name="Take out Take out").click()
    expect(page.get_by_role("listitem").filter(has_text="INCOMPLETE")).to_contain_text("left")
    page.get_by_label("Another action").select_option("remove left")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("INCOMPLETE")).to_have_count(0)

    page.once("dialog", lambda dialog: dialog.accept())  # a move of an action would go on with this draft
    page.get_by_role("button", name="Delete the draft").click()
    expect(page.get_by_role("heading", level=1)).not_to_contain_text("shop")


def test_what_is_missing_is_said_and_set_on_the_page(page: Page) -> None:
    expect(vitals(page, "newcomer").locator(".standing")).to_have_text("incomplete")
    page.get_by_role("link", name="1 thing missing").click()
    missing = page.get_by_role("region", name="What is missing before it can run")
    expect(missing).to_contain_text("newcomer-token")
    missing.get_by_role("link", name="set it below").click()

    page.get_by_label("Value", exact=True).fill(TOKEN)
    page.get_by_role("button", name="Set newcomer-token").click()
    expect(missing).to_have_count(0)
    expect(page.get_by_role("article", name="newcomer-token").locator(".standing")).to_have_text("set")
    page.get_by_role("button", name="Check the credentials").click()
    expect(page.locator("main").get_by_role("status").first).to_contain_text("accepts")
    expect(page.locator("body")).not_to_contain_text(TOKEN)


def test_the_dmps_secret_changes_without_a_request_that_is_refused(own: Features, page: Page) -> None:
    page.get_by_role("link", name="pangolin", exact=True).click()
    page.get_by_role("button", name="Make a new one for dmp-hmac").click()
    made = page.locator("#made").inner_text()
    eventually(lambda: own.change(AUDIENCE, ["rotating"], secret=made).status_code == 200)
    assert own.change(AUDIENCE, ["rotating"]).status_code == 200
    page.get_by_role("link", name="back to pangolin").click()
    expect(page.locator("body")).not_to_contain_text(made)

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Retire the value before of dmp-hmac").click()
    expect(page.get_by_text("Only the newest value of dmp-hmac is good now.")).to_be_visible()
    eventually(lambda: own.change(AUDIENCE, ["rotating"]).status_code == 401)
    own.publishing.set_secret("dmp-hmac", HMAC_SECRET)
    eventually(lambda: own.change(AUDIENCE, ["rotating"]).status_code == 200)


def test_consent_stands_behind_an_information_icon(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    labels = page.get_by_text("The users' consent to: display_ads, analytics.")

    icon = page.get_by_label("Consent for Add buyers")
    expect(icon).to_be_visible()
    expect(labels).to_be_hidden()
    icon.click()
    expect(labels).to_be_visible()


def test_a_summary_says_what_the_partner_can_and_where_to_read_more(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    about = page.get_by_role("region", name="About Pangolin")

    expect(about.get_by_role("listitem").filter(has_text="Add users")).to_contain_text("used")
    expect(about).to_contain_text("Our page")


def test_credentials_can_be_those_of_an_app_that_connectors_share(page: Page) -> None:
    page.get_by_role("link", name="Add a connector").click()
    page.get_by_role("radio", name="HTTP").check()
    page.get_by_label("Begin with").select_option("pangolin-over-http")
    page.get_by_label("Name required").fill("acme")
    page.get_by_role("button", name="Begin").click()
    auth = "{type: oauth2, grant: client_credentials, token_url: https://login.acme.example/token, app: acme}"
    page.get_by_label("Authentication").fill(auth)
    page.get_by_role("button", name="Save", exact=True).last.click()

    secrets = page.get_by_role("group", name="Secrets")
    expect(secrets.get_by_text("The app that all connectors share is used.")).to_have_count(2)
    secrets.get_by_label("Client secret: name").fill("acme-client-secret")
    secrets.get_by_label("Value of Client secret").fill("its own")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(secrets.get_by_text("The app that all connectors share is used.")).to_have_count(1)


# toggles


def test_a_connector_that_is_off_loses_nothing_of_what_arrives(own: Features, page: Page) -> None:
    vitals(page, "pangolin").get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("status").filter(has_text="pangolin is off")).to_contain_text("nothing is lost")
    assert own.change(AUDIENCE, ["while-off"]).status_code == 200
    expect(vitals(page, "pangolin")).to_contain_text("1 batch waits, with 1 mutation")
    assert "while-off" not in own.members(AUDIENCE)

    vitals(page, "pangolin").get_by_role("button", name="Switch on").click()
    eventually(lambda: "while-off" in own.members(AUDIENCE))


def test_connectors_are_switched_in_bulk(page: Page) -> None:
    names = ("shop", "shop@sandbox")
    for to, standing in (("off", "off"), ("on", "running")):
        for name in names:
            page.get_by_label(f"Choose {name}", exact=True).check()
        page.get_by_role("form").or_(page.locator("#bulk")).get_by_role("button", name=f"Switch {to}").first.click()
        expect(page.get_by_role("status").filter(has_text="2 connectors are")).to_be_visible()
        for name in names:
            expect(vitals(page, name).locator(".standing")).to_have_text(standing)
        expect(vitals(page, "pangolin").locator(".standing")).to_have_text("running")


def test_an_action_that_is_paused_holds_what_arrives(own: Features, page: Page) -> None:
    page.get_by_role("link", name="pangolin", exact=True).click()
    action = switch_off(page, "Add", "Pause")
    expect(action).to_contain_text("off: waits")
    assert own.change(AUDIENCE, ["while-paused"]).status_code == 200
    eventually(lambda: held(own, "pangolin") == 1)

    action.get_by_role("button", name="Switch on").click()
    eventually(lambda: "while-paused" in own.members(AUDIENCE))


def test_an_action_that_is_skipped_is_left_out_while_the_others_go_on(own: Features, page: Page) -> None:
    assert own.change(AUDIENCE, ["leaves"]).status_code == 200
    eventually(lambda: "leaves" in own.members(AUDIENCE))
    page.get_by_role("link", name="pangolin", exact=True).click()
    action = switch_off(page, "Add", "Skip")
    expect(action).to_contain_text("off: skips")
    assert own.change(AUDIENCE, ["skipped"]).status_code == 200
    assert own.change(AUDIENCE, ["leaves"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: "leaves" not in own.members(AUDIENCE))

    action.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("article", name=re.compile("^Add")).get_by_text("on", exact=True)).to_be_visible()
    assert own.change(AUDIENCE, ["after"]).status_code == 200
    eventually(lambda: "after" in own.members(AUDIENCE))
    assert "skipped" not in own.members(AUDIENCE)


# reassign


def test_an_action_moves_to_another_connector_by_a_draft_of_each(page: Page) -> None:
    page.get_by_role("link", name="The shop", exact=True).click()
    page.get_by_role("link", name=re.compile("^Copy or move.*Add buyers")).click()
    page.get_by_label("To", exact=True).select_option("pangolin")
    page.get_by_role("button", name="Move it").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("pangolin")
    moved = page.get_by_role("group", name=re.compile("Add buyers"))
    expect(moved.get_by_label("Consent", exact=True)).to_have_value(re.compile("display_ads"))
    page.get_by_role("link", name="DIY Relay").click()
    page.get_by_role("link", name="Drafts").click()
    page.get_by_role("link", name="Go on with shop").first.click()
    page.get_by_role("navigation", name="Steps").get_by_role("link", name="Actions").click()
    expect(page.get_by_role("group", name=re.compile("Take out"))).to_be_visible()
    expect(page.get_by_role("group", name=re.compile("Add buyers"))).to_have_count(0)


# reporting, versions, search


def test_attempts_appear_in_the_activity_as_they_happen(own: Features, page: Page) -> None:
    to_page(page, "Activity")
    page.evaluate("window.stays = true")
    assert own.post("CREATE_AUDIENCE", {"Name": "Live", "Audience": "live.1"}).status_code == 200
    assert own.change("live.1", ["live-1", "live-2"]).status_code == 200

    row = page.get_by_role("region", name="Attempts, newest first").get_by_role("row").filter(has_text="live.1")
    expect(row.filter(has_text="2 delivered")).to_be_visible()
    assert own.size("live.1") == 2
    assert page.evaluate("window.stays")


def test_any_two_versions_are_compared_line_by_line(page: Page) -> None:
    page.get_by_role("article").filter(has_text="The shop").get_by_role("link", name="version 2").click()
    page.get_by_label("From version").select_option("2")
    page.get_by_label("To version").select_option("1")
    page.get_by_role("button", name="Compare").click()

    changed = page.get_by_role("region", name="What changed from version 2 to version 1")
    expect(changed.get_by_role("deletion")).to_have_text("title: The shop")
    expect(changed.get_by_role("insertion")).to_have_text("title: Shop")


def test_the_search_jumps_to_an_action_of_a_connector(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("add buy")
    expect(page.get_by_role("option").first).to_contain_text("Add buyers")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/connectors/shop"))
    expect(page.get_by_role("heading", name=re.compile("Add buyers"))).to_be_in_viewport()


def to_page(page: Page, name: str) -> None:
    """By the navigation at the top."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()


def begin_editing(page: Page, document: str, step: str) -> None:
    """A draft of the connector, at one of its steps."""
    page.get_by_role("link", name="DIY Relay").click()
    page.get_by_role("link", name=f"edit {document}").click()
    page.get_by_role("button", name=f"Edit {document}").click()
    page.get_by_role("navigation", name="Steps").get_by_role("link", name=step).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(step)


def vitals(page: Page, name: str) -> Locator:
    """How a connector does, on its card."""
    return page.locator(f'[id="vitals-{name}"]')


def switch_off(page: Page, action: str, how: str) -> Locator:
    """On the connector's page; returns the action's card."""
    card = page.get_by_role("article", name=re.compile(f"^{action}"))
    card.get_by_text("Switch off…").click()
    card.get_by_role("radio", name=re.compile(f"^{how}")).check()
    card.get_by_role("button", name="Switch off", exact=True).click()
    return card


def held(own: Features, connector: str) -> int:
    """Batches in holds, as the store knows them."""
    return sum(one.hold.batches for one in own.backend.audiences.held() if one.hold and one.connector == connector)
