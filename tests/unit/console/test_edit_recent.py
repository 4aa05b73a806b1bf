"""A recent change as the sample: mapped as it is, shown by its shape only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.connectors.publishing import Publishing
from relay.console import create_app
from relay.domain.message import VERSION, Message, Mutation
from relay.operating.kept_changes import kept_change
from relay.operating.shapes import masked_but, shape_of
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, PASSWORD, Browser
from tests.unit.console.editing import Editor
from tests.unit.console.waiting import hold

PERSON = {"id": f"{CANARY}-7", "email": "Ann.Canary@Example.com"}
FIELDS = {"City": "Canarytown", "Visits": 31}
DIGEST = hashlib.sha256(b"ann@example.com").digest()

HTTP = """
name: web
adapter: http
inbound: {hmac_secret: web-hmac}
settings:
  base_url: https://api.example.com
  auth: {type: none}
  operations:
    put:
      effect: add
      fields: {email: }
      max_items: 1
      request:
        method: PUT
        path: "/members/{{ row.email }}/of/all"
        query: {mail: "{{ row.email }}", way: put}
        headers: {X-User: "{{ row.email }}", X-Way: put}
        form: {who: "{{ row.email }}"}
actions:
  - {name: Add, trigger: joined, operation: put, mapping: {email: user.email}}
  - {name: Add the city, trigger: joined, operation: put, mapping: {email: fields.City}}
"""
"""Whose values stand everywhere in the request. Nobody has a city."""


@pytest.fixture
def editor(browser: Browser, backend: EmbeddedBackend, publishing: Publishing) -> Editor:
    return Editor.of(browser, backend, "shop")


def journal_one(backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock) -> None:
    publishing.apply(DOCUMENT + "retention: {journal: 7d}\n")
    message = Message(
        VERSION, "change", "shop", "a1", request_id="r1", received_at=clock.now(), journal_days=7,
        mutations=(Mutation(0, user=PERSON, fields=FIELDS),),
    )  # fmt: skip
    backend.queue.publish([message])


def tried(editor: Editor, form: dict[str, str]) -> Any:
    """What the page's script is answered."""
    return editor.browser.post(f"/edit/{editor.key}/mapping/try", form).json


def offered(page: str) -> str:
    """What the form says of the change that was offered."""
    found = re.search(r'name="recent" value="([^"]+)"', page)
    assert found, page
    return found.group(1)


def texts(answer: str) -> str:
    assert "canary" not in answer.lower(), answer
    return " ".join(answer.split())


def test_somebody_who_waits_in_a_hold_is_mapped_and_shown_by_shape(
    editor: Editor, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a1")
    page = texts(editor.type("mapping", {"do": "recent"}).text)
    assert "the change waits in a hold" in page
    assert "→ <code>xxxxxx-xxxxxx-9</code>" in page
    assert "&#34;id&#34;: &#34;xxxxxx-xxxxxx-9&#34;" in page
    entry = backend.audit.newest(limit=1)[0]
    assert (entry.by, entry.what, entry.subject) == (NAME, "try with a kept change", "shop")
    assert entry.detail == "request-0, change 0, from the hold, masked"


def test_what_is_typed_is_tried_with_the_same_person_and_shown_by_shape(
    editor: Editor, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    journal_one(backend, publishing, clock)
    page = texts(editor.type("mapping", {"do": "recent"}).text)
    assert "the change is in the journal" in page
    assert 'data-insert="fields.City"' in page
    form = {"recent": offered(page), "map.1.id:kind": "expression", "map.1.id:value": "upper(user.email)"}
    found = tried(editor, form)
    assert found["fields"]["f-actions-1-mapping-id"]["value"] == "XXX.XXXXXX@XXXXXXX.XXX"
    form["map.1.id:value"] = "user.phone"
    found = tried(editor, form)
    assert "empty" in found["fields"]["f-actions-1-mapping-id"]["note"]


def test_the_requests_for_somebody_are_masked_but_for_what_is_sent_for_everybody(
    editor: Editor, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    journal_one(backend, publishing, clock)
    page = texts(editor.type("test", {"do": "recent"}).text)
    assert "&#34;id&#34;: &#34;xxxxxx-xxxxxx-9&#34;" in page
    assert "/api/audiences/{audience}/users" in page
    assert 'value="send"' not in page
    assert 'value="queue"' not in page


def test_somebody_is_never_sent_as_a_test(editor: Editor, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a1")
    place = offered(editor.type("test", {"do": "recent"}).text)
    for does in ("send", "queue"):
        assert "is not sent as one" in editor.type("test", {"do": does, "recent": place}).text


@pytest.mark.parametrize("step", ["mapping", "test"])
def test_where_nothing_is_kept_it_says_why_and_shows_the_made_up_user(editor: Editor, step: str) -> None:
    page = editor.type(step, {"do": "recent"}).text
    assert "Nothing waits in a hold, and the journal is off" in page
    assert "sample-user" in page


def test_a_connector_that_never_ran_has_no_recent_change(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.new(browser, backend)
    assert "Nothing of this connector has run yet" in editor.type("mapping", {"do": "recent"}).text


def test_a_change_that_is_not_kept_any_more_is_told(editor: Editor, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a1")
    form = {"recent": offered(editor.type("mapping", {"do": "recent"}).text)}
    assert tried(editor, form)["sample"] == ""
    backend.audiences.drop("shop", "a1", older_than=None, limit=1, reject=lambda _: [])
    assert "is not kept any more" in tried(editor, form)["sample"]


def test_a_change_that_was_not_offered_to_this_visitor_in_this_draft_is_not_tried(
    editor: Editor, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    hold(backend, clock, "a1")
    place = {"audience": "a1", "request": "request-0", "index": 0}
    somebody = Browser(editor.browser.app.test_client())
    somebody.log_in(name="Bob")
    editors = (Editor.of(editor.browser, backend, "shop"), Editor.of(somebody, backend, "shop"))
    others = [offered(one.type("mapping", {"do": "recent"}).text) for one in editors]
    known = len(backend.audit.newest(limit=100))
    for recent in (json.dumps(place), json.dumps({**place, "position": 10**30}), "nonsense", *others):
        assert "is not kept any more" in tried(editor, {"recent": recent})["sample"]
    assert len(backend.audit.newest(limit=100)) == known
    form = {"recent": offered(editor.type("mapping", {"do": "recent"}).text)}
    assert tried(editor, form)["sample"] == ""
    editor.browser = somebody
    assert "is not kept any more" in tried(editor, form)["sample"]


def test_on_google_the_journal_is_not_read_while_somebody_waits(
    editor: Editor, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    journal_one(backend, publishing, clock)
    place = offered(editor.type("mapping", {"do": "recent"}).text)
    google = Configuration(console_password=PASSWORD, backend="google")
    editor.browser = Browser(create_app(google, backend, clock).test_client())
    editor.browser.log_in()
    assert "to read the journal in Cloud Storage takes longer" in editor.type("mapping", {"do": "recent"}).text
    assert "is not kept any more" in tried(editor, {"recent": place})["sample"]


def test_the_recent_change_is_the_newest_of_those_that_are_kept(
    backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    hold(backend, clock, "a1")
    hold(backend, clock, "a2", first=2)
    clock.advance(20 * 86_400)
    journal_one(backend, publishing, clock)
    running = publishing.live("shop")
    assert kept_change(backend, running, now=clock.now(), journal=True).place.request == "r1"
    assert kept_change(backend, running, now=clock.now(), journal=False).place.request == "request-0"
    hold(backend, clock, "a3", first=4)
    clock.advance(8 * 86_400)
    hold(backend, clock, "a4", first=5)
    assert kept_change(backend, running, now=clock.now(), journal=True).place.request == "request-5"


def test_somebody_is_masked_wherever_in_the_request_a_value_of_theirs_stands(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    publishing.set_secret("web-hmac", "canary-secret")
    publishing.apply(HTTP + "retention: {journal: 7d}\n")
    message = Message(
        VERSION, "change", "web", "a1", request_id="r1", received_at=clock.now(), journal_days=7,
        mutations=(Mutation(0, user=PERSON, fields={}),),
    )  # fmt: skip
    backend.queue.publish([message])
    page = texts(Editor.of(browser, backend, "web").type("test", {"do": "recent"}).text)
    assert "PUT https://api.example.com/members/Xxx.Xxxxxx@Xxxxxxx.xxx/of/all?mail=Xxx.Xxxxxx@Xxxxxxx.xxx&amp;way=put" in page
    assert "X-User: Xxx.Xxxxxx@Xxxxxxx.xxx X-Way: put" in page
    assert "(not shown, since it is somebody&#39;s)" in page


def test_what_nobody_would_be_sent_of_is_masked_as_a_whole(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    publishing.set_secret("web-hmac", "canary-secret")
    publishing.apply(HTTP + "retention: {journal: 7d}\n")
    message = Message(
        VERSION, "change", "web", "a1", request_id="r1", received_at=clock.now(), journal_days=7,
        mutations=(Mutation(0, user=PERSON, fields=FIELDS),),
    )  # fmt: skip
    backend.queue.publish([message])
    page = texts(Editor.of(browser, backend, "web").type("test", {"do": "recent"}).text)
    assert page.count("/xxxxxxx/") == 2
    assert page.count("(not shown, since it is somebody&#39;s)") == 2


def test_shapes_and_what_is_alike_for_everybody() -> None:
    assert shape_of("Änn-01@x.de") == "Xxx-99@x.xx"
    one = {"op": "add", "rows": [{"id": "u1", "n": 5, "on": True}], "u1": 1}
    other = {"op": "add", "rows": [{"id": "u2", "n": 6, "on": True}]}
    assert masked_but(one, other) == {"op": "add", "rows": [{"id": "x9", "n": "9", "on": "(yes or no)"}], "x9": "9"}


@pytest.mark.parametrize(
    "text",
    [
        DIGEST.hex(),
        DIGEST[:16].hex().upper(),
        DIGEST[:8].hex(),
        base64.b64encode(DIGEST[:16]).decode(),
        base64.urlsafe_b64encode(DIGEST).decode().rstrip("="),
    ],
)
def test_of_a_hash_nothing_is_shown(text: str) -> None:
    assert shape_of(text) == "(a hash)"


def test_signs_of_any_script_are_shaped() -> None:
    assert shape_of("नरेन्द्र Jose\u0301 สมชาย Ⅳ") == "xxxxxxxx Xxxxx xxxxx 9"


def test_an_answer_of_yes_or_no_is_not_told_of_somebody(editor: Editor, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    hold(backend, clock, "a1")
    place = offered(editor.type("mapping", {"do": "recent"}).text)
    for start in ("c", "d"):
        form = {"recent": place, "map.1.id:kind": "expression", "map.1.id:value": f"starts_with(user.id, '{start}')"}
        assert tried(editor, form)["fields"]["f-actions-1-mapping-id"]["value"] == "(yes or no)"
