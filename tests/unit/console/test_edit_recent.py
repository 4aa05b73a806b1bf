"""A recent change as the sample: mapped as it is, shown by its shape only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.message import VERSION, Message, Mutation
from relay.operating.shapes import masked_but, shape_of
from tests.clock import TurnedClock
from tests.unit.console.conftest import CANARY, DOCUMENT, NAME, Browser
from tests.unit.console.editing import Editor
from tests.unit.console.waiting import hold

PERSON = {"id": f"{CANARY}-7", "email": "Ann.Canary@Example.com"}
FIELDS = {"City": "Canarytown", "Visits": 31}


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


def test_what_is_typed_is_tried_with_the_same_person_and_shown_by_shape(
    editor: Editor, backend: EmbeddedBackend, publishing: Publishing, clock: TurnedClock
) -> None:
    journal_one(backend, publishing, clock)
    page = texts(editor.type("mapping", {"do": "recent"}).text)
    assert "the change is in the journal" in page
    assert 'data-insert="fields.City"' in page
    place = json.dumps({"audience": "a1", "request": "r1", "index": 0, "position": 1})
    form = {"recent": place, "map.1.id:kind": "expression", "map.1.id:value": "upper(user.email)"}
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
    place = json.dumps({"audience": "a1", "request": "request-0", "index": 0})
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


def test_a_change_that_is_not_kept_any_more_is_told(editor: Editor) -> None:
    gone = {"audience": "a1", "request": "gone", "index": 0}
    for place in (json.dumps(gone), json.dumps({**gone, "position": 9}), "nonsense"):
        form = {"recent": place}
        found = tried(editor, form)
        assert "is not kept any more" in found["sample"]


def test_shapes_and_what_is_alike_for_everybody() -> None:
    assert shape_of("Änn-01@x.de") == "Xxx-99@x.xx"
    assert shape_of("a" * 64) == "(a SHA-256 hash)"
    one = {"op": "add", "rows": [{"id": "u1", "n": 5, "on": True}], "u1": 1}
    other = {"op": "add", "rows": [{"id": "u2", "n": 6, "on": True}]}
    assert masked_but(one, other) == {"op": "add", "rows": [{"id": "x9", "n": "9", "on": True}], "x9": "9"}
