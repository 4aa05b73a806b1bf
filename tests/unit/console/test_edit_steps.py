"""From an adapter to a connector that runs: configure, actions, review, publish."""

from __future__ import annotations

import re

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.message import VERSION, Message, Mutation
from tests.clock import TurnedClock
from tests.unit.console.conftest import DOCUMENT, NAME, Browser
from tests.unit.console.editing import Editor

CANARY = "canary-value-of-a-secret"


def test_pangolin_is_connected_from_nothing(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, name="acme")
    answer = editor.type(
        "configure",
        {
            "name": "acme",
            "title": "Acme",
            "settings.base_url": "http://127.0.0.1:8082",
            "secrets.token:name": "acme-token",
            "secrets.token:value": CANARY,
            "inbound.hmac_secret:name": "acme-hmac",
            "do": "next",
        },
    )
    assert answer.headers["Location"].endswith("/actions")
    for step, following in (("actions", "mapping"), ("mapping", "test")):
        assert editor.send(step, do="next").headers["Location"].endswith(f"/{following}")
    assert browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"}).status_code == 303
    assert "Nothing is wrong with it." in editor.see("review")
    answer = editor.publish(note="the first one")
    assert answer.headers["Location"] == "/connectors/acme"

    version = backend.connectors.version("acme", 1)
    assert (version.by, version.note, version.published_at > 0) == (NAME, "the first one", True)
    (connector,) = version.connectors
    assert connector.settings == {"base_url": "http://127.0.0.1:8082"}
    assert [(one.trigger, one.operation) for one in connector.actions] == [
        ("created", "create_audience"),
        ("joined", "add"),
        ("left", "remove"),
    ]
    assert backend.secrets.get("acme-token") == (CANARY,)
    assert backend.drafts.all() == []
    assert [one.what for one in backend.audit.newest(limit=10)] == ["apply", "set secret", "set secret", "begin draft"]


def test_a_typed_secret_is_stored_under_its_name_and_never_shown_or_kept(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    answer = editor.type("configure", {"secrets.token:name": "", "secrets.token:value": CANARY})
    assert backend.secrets.get("acme-token") == (CANARY,)
    assert CANARY not in answer.text
    assert CANARY not in backend.drafts.get(editor.key).content
    for step in ("configure", "review", "text", "test"):
        assert CANARY not in editor.see(step)


def test_a_secret_for_the_dmp_is_made_once_and_shown_once(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    answer = browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"})
    (value,) = backend.secrets.get("acme-hmac")
    place = answer.headers["Location"]
    assert value not in place + "".join(answer.headers.getlist("Set-Cookie"))
    assert value in browser.get(place).text
    again = browser.text(place)
    assert value not in again
    assert "was shown already" in again
    assert browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"}).status_code == 303
    assert backend.secrets.get("acme-hmac") == (value,)
    assert value not in editor.see("configure")


def test_a_secret_is_shown_to_the_browser_that_made_it_and_for_ten_minutes(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    editor = Editor.new(browser, backend)
    place = browser.post(f"/edit/{editor.key}/make-secret", {"kind": "hmac"}).headers["Location"]
    (value,) = backend.secrets.get("acme-hmac")
    other = Browser(browser.app.test_client())
    other.log_in()
    assert value not in other.text(place)
    backend.secrets.set("acme-hmac", "set by somebody else since")
    assert "set by somebody else" not in browser.text(place)
    backend.secrets.set("acme-hmac", value)
    clock.sleep(601)
    assert value not in browser.text(place)


def test_the_fields_are_those_that_the_adapter_describes(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, adapter="meta")
    page = editor.see("configure")
    for part in ('name="settings.account_id"', "Ad account", "Ask the partner", 'name="secrets.access_token:value"', "required"):
        assert part in page
    assert 'name="settings.base_url"' in page
    assert "base_url" not in editor.values.get("settings", {})


def test_what_is_wrong_is_kept_and_said_at_its_field(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    answer = editor.type("configure", {"settings.base_url": "nonsense", "limits.batch.max_items": "many", "do": "next"})
    assert "/configure?checked=1" in answer.headers["Location"]
    page = editor.see("configure", checked="1")
    assert 'value="nonsense"' in page
    assert "This must be a whole URL" in page
    assert "This must be a whole number" in page
    assert "2 to solve" in page
    assert "to solve" not in Editor.new(browser, backend, name="another").see("actions")


def test_a_setting_that_is_needed_holds_the_way_up_and_can_still_be_left_for_later(
    browser: Browser, backend: EmbeddedBackend
) -> None:
    editor = Editor.new(browser, backend)
    assert "checked=1" in editor.send("configure", do="next").headers["Location"]
    assert "The connector cannot run without this." in editor.see("configure", checked="1")
    review = editor.see("review")
    assert "It can be published, but will not run yet" in review
    assert "The setting &#39;Address&#39;" in review


def test_settings_that_are_structures_are_typed_as_yaml_and_bring_their_secrets_and_operations(
    browser: Browser, backend: EmbeddedBackend
) -> None:
    editor = Editor.new(browser, backend, adapter="http")
    editor.type("configure", {"settings.auth": "type: [bearer", "settings.base_url": "https://api.example"})
    page = editor.see("configure", checked="1")
    assert "type: [bearer" in page
    assert re.search(r"Line \d, column \d+: not valid YAML", page)
    operations = """add:
  effect: add
  fields: {email: {title: E-mail}}
  key: [email]
  max_items: 1
  request: {method: POST, path: /x, body: {a: "{{ row.email }}"}}
"""
    editor.type("configure", {"settings.auth": "type: bearer", "settings.operations": operations, "settings.audience_id": "all"})
    assert editor.values["settings"]["auth"] == {"type": "bearer"}
    assert 'name="secrets.token:value"' in editor.see("configure")
    assert [(one["operation"], one["mapping"]) for one in editor.values["actions"]] == [("add", {"email": "user.email"})]


def test_an_error_in_a_structure_is_told_with_its_place_in_it(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, adapter="http")
    editor.type("configure", {"settings.base_url": "https://api.example", "settings.auth": "type: nonsense"})
    page = editor.see("configure", checked="1")
    assert re.search(r"type: [^<]*bearer", page)
    assert "settings.auth.type" in editor.see("review")


def test_each_required_trigger_is_completed_or_incomplete(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    assert editor.see("actions").count(">COMPLETED</span>") == 3
    editor.type("actions", {"do": "remove:2"})
    page = editor.see("actions")
    assert page.count(">COMPLETED</span>") == 2
    assert page.count(">INCOMPLETE</span> A user leaves an audience") == 1
    editor.type("actions", {"do": "add", "new": "remove left"})
    assert editor.see("actions").count(">COMPLETED</span>") == 3
    editor.type("actions", {"actions[2].enabled:asked": "1"})
    assert editor.values["actions"][2]["enabled"] is False
    assert ">INCOMPLETE</span> A user leaves an audience" in editor.see("actions")


def test_an_action_is_limited_labelled_copied_and_taken_out(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    editor.type(
        "actions", {"actions[1].name": "Fill", "actions[1].audiences": "spring*\r\nwinter", "actions[1].consent": "display_ads\n"}
    )
    action = editor.values["actions"][1]
    assert (action["name"], action["audiences"], action["consent"]) == ("Fill", ["spring*", "winter"], ["display_ads"])
    assert action["mapping"] == {"id": "user.id"}
    editor.type("actions", {"do": "copy:1"})
    assert [one["name"] for one in editor.values["actions"]] == ["Create audience", "Fill", "Fill 2", "Remove"]
    editor.type("actions", {"do": "remove:1"})
    assert [one["name"] for one in editor.values["actions"]] == ["Create audience", "Fill 2", "Remove"]


def test_the_review_lists_every_error_with_a_link_to_its_step(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    editor.type("configure", {"settings.base_url": "nonsense"})
    editor.type("actions", {"actions[1].operation": "nonsense", "actions[2].name": ""})
    review = editor.see("review")
    for step, place in (("configure", "settings.base_url"), ("actions", "actions[1].operation"), ("actions", "actions[2].name")):
        assert re.search(rf'/{step}\?checked=1#f-[a-z0-9-]+"><code>{re.escape(place)}', review), place
    assert "/publish" not in review


def test_what_is_wrong_cannot_be_published(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    editor.type("configure", {"settings.base_url": "nonsense"})
    editor.publish()
    assert backend.connectors.documents() == []
    assert len(backend.drafts.all()) == 1


def test_a_change_shows_its_diff_and_keeps_comments_where_nothing_changed(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    commented = "# Kept by hand.\n" + DOCUMENT.strip() + "  # the last one\n"
    publishing.apply(commented)
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"title": "Renamed"})
    review = editor.see("review")
    assert "title: Renamed" in review
    assert "From version 2, which runs" in review
    assert "go with what you changed" not in review
    editor.publish()
    assert backend.connectors.version("shop", 3).text == commented.replace("The shop's audiences", "Renamed")


def test_comments_that_go_are_named_and_have_to_be_let_go(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + "limits:\n  # as agreed in March\n  rate: {calls: 5}\n")
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"limits.rate.calls": ""})
    assert "# as agreed in March" in editor.see("review")
    editor.publish()
    assert len(backend.connectors.versions("shop")) == 2
    editor.publish(sure="yes")
    assert len(backend.connectors.versions("shop")) == 3


def test_a_version_that_came_between_is_told_before_it_is_taken_back(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"title": "Mine"})
    publishing.apply(DOCUMENT.replace("The shop's audiences", "Somebody else's"))
    assert "Version 2 runs, and this draft was begun from version 1" in editor.see("review")
    editor.publish()
    assert publishing.live("shop").title == "Somebody else's"
    editor.publish(sure="yes")
    assert publishing.live("shop").title == "Mine"


def test_the_document_can_be_written_as_yaml_and_what_is_no_yaml_stays_in_the_page(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    before = editor.values
    page = editor.type("text", {"text": "name: [shop"}).text
    assert "name: [shop" in page
    assert "not valid YAML" in page
    assert editor.values == before
    text = DOCUMENT + "environments:\n  sandbox: {settings: {base_url: 'http://127.0.0.1:2'}}\n"
    assert editor.type("text", {"text": text, "do": "next"}).headers["Location"].endswith("/review")
    assert "shop, shop@sandbox" in editor.see("review")


def test_what_a_step_has_no_field_for_is_left_as_it_is(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    text = DOCUMENT.replace("operation: add,", "operation: add, limits: {max_items: 7},") + "version: 1\n"
    publishing.apply(text)
    editor = Editor.of(browser, backend, "shop")
    for step in ("configure", "actions", "mapping"):
        editor.send(step)
    assert editor.values["actions"][1]["limits"] == {"max_items": 7}
    assert editor.values["version"] == 1


def test_another_name_makes_another_connector_and_says_so(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"name": "store"})
    assert "which goes on as it is" in editor.see("review")


def test_a_journal_that_would_be_lost_is_told_and_has_to_be_let_go(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + "retention: {journal: 7d}\n")
    message = Message(VERSION, "change", "shop", "a1", request_id="r1", received_at=1.0, mutations=(Mutation(0),), journal_days=7)
    backend.queue.publish([message])
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"retention.journal": "off"})
    assert "1 batch with 1 mutation" in editor.see("review")
    editor.publish()
    assert len(backend.connectors.versions("shop")) == 2
    editor.publish(sure="yes")
    assert len(backend.connectors.versions("shop")) == 3


def test_what_was_typed_and_is_no_yaml_is_not_published_without_it(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"title": "Renamed", "inbound.fields": "user: [Uid"})
    editor.publish(sure="yes")
    assert publishing.live("shop").title == "The shop's audiences"
    assert "inbound.fields" in editor.see("review")


def test_yes_to_one_review_does_not_publish_over_a_version_that_came_after_it(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + "limits:\n  # as agreed in March\n  rate: {calls: 5}\n")
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"limits.rate.calls": ""})
    seen = editor.shown()
    publishing.apply(DOCUMENT.replace("The shop's audiences", "Somebody else's"))
    assert editor.publish(sure="yes", shown=seen).headers["Location"].endswith("/review")
    assert publishing.live("shop").title == "Somebody else's"
    editor.publish(sure="yes")
    assert publishing.live("shop").title == "The shop's audiences"


def test_yes_to_one_lost_comment_does_not_let_go_another_one(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.apply(DOCUMENT + "limits:\n  # as agreed in March\n  rate: {calls: 5}\nretention:\n  # by law\n  holds: 20d\n")
    editor = Editor.of(browser, backend, "shop")
    editor.type("configure", {"limits.rate.calls": ""})
    seen = editor.shown()
    editor.type("configure", {"retention.holds": ""})
    editor.publish(sure="yes", shown=seen)
    assert len(backend.connectors.versions("shop")) == 2


def test_a_trigger_that_is_a_list_is_told_at_the_actions(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    editor.type("text", {"text": "name: acme\nadapter: pangolin\nactions: [{name: A, trigger: [], operation: add}]\n"})
    assert "actions[0].trigger" in editor.see("review")
    for step in ("actions", "mapping", "test", "configure"):
        editor.see(step)
    assert editor.type("actions", {"do": "save"}).status_code == 303


def _names(editor: Editor) -> list[str]:
    return [one["name"] for one in editor.values["actions"]]


def test_actions_go_up_and_down_and_comments_stay_with_them(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    text = DOCUMENT.replace("  - {name: Add,", "  # sent first\n  - {name: Add,") + "# the end\n"
    publishing.apply(text)
    editor = Editor.of(browser, backend, "shop")
    answer = editor.type("actions", {"do": "up:1"})
    assert answer.headers["Location"].endswith("/actions#f-actions-0")
    assert _names(editor) == ["Add", "Create audience", "Remove"]
    editor.type("actions", {"do": "down:1"})
    assert _names(editor) == ["Add", "Remove", "Create audience"]
    for vain in ("up:0", "down:2", "up:9", "up:x"):
        editor.type("actions", {"do": vain})
    assert _names(editor) == ["Add", "Remove", "Create audience"]
    editor.type("actions", {"actions[1].name": "Take out"})
    review = editor.see("review")
    assert "go with what you changed" not in review
    editor.publish()
    lines = backend.connectors.version("shop", 3).text.splitlines()
    assert lines[lines.index("  # sent first") + 1].startswith("  - {name: Add,")
    assert lines[-1] == "# the end"
    assert [one.name for one in publishing.live("shop").actions] == ["Add", "Take out", "Create audience"]


def test_a_document_that_is_too_large_to_be_kept_is_told_and_stays_in_the_page(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    before = backend.drafts.get(editor.key)
    # An alias is written out where it is used: a small text can stand for a large document.
    text = DOCUMENT + "notes: &long |\n  " + "x" * 100_000 + "\nenvironments:\n"
    text += "".join(f"  e{number}: {{settings: {{base_url: *long}}}}\n" for number in range(12))
    page = editor.type("text", {"text": text}).text
    assert re.search(r"the draft would have 1,\d+ KB, and at most 900 KB can be kept. Nothing was saved", page)
    assert "&amp;long" in page
    page = editor.type("text", {"text": DOCUMENT + "notes: " + "x" * 270_000}).text
    assert "The document is larger than 256 KB." in page
    assert backend.drafts.get(editor.key) == before


def test_a_form_that_makes_the_draft_too_large_changes_nothing_and_says_why(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    editor = Editor.of(browser, backend, "shop")
    text = DOCUMENT + "notes: &long |\n  " + "x" * 100_000 + "\nenvironments:\n"
    text += "".join(f"  e{number}: {{settings: {{base_url: *long}}}}\n" for number in range(5))
    assert editor.type("text", {"text": text}).status_code == 303
    before = backend.drafts.get(editor.key)
    answer = editor.type("configure", {"title": "x" * 300_000})
    assert answer.status_code == 409
    assert "at most 900 KB can be kept" in answer.text
    assert backend.drafts.get(editor.key) == before


def test_of_a_document_with_faults_the_review_lists_the_empty_settings_too(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend, adapter="http")
    review = editor.see("review")
    assert f"/edit/{editor.key}/configure?checked=1#f-settings-operations" in review
    assert f"/edit/{editor.key}/configure?checked=1#f-settings-base-url" in review


def test_the_foot_of_every_page_has_the_programs_version_and_nothing_else(browser: Browser, publishing: Publishing) -> None:
    for path in ("/edit/start?name=shop", "/edit/promote?name=shop", "/edit/action?name=shop", "/edit/new"):
        foot = browser.text(path).partition("<footer")[2]
        assert re.match(r'[^>]*>DIY Relay [0-9][0-9a-z.+]* ·', foot), foot[:200]
