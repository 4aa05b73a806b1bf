"""What is typed into a draft changes no secret that something runs with; and which secrets go where by a draft is on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.console.sessions import KEY_NAME
from relay.pangolin.server import InThread
from tests.unit.console.conftest import DOCUMENT, NAME, Browser
from tests.unit.console.editing import Editor


@pytest.fixture
def pangolin(tmp_path: Path) -> Iterator[InThread]:
    with InThread(tmp_path / "pangolin.db", "canary-secret") as server:
        yield server


def _page(browser: Browser, editor: Editor, form: dict[str, str]) -> str:
    editor.type("configure", form)
    return editor.see("configure", checked="1")


@pytest.mark.usefixtures("publishing")
def test_a_secret_that_another_connector_runs_with_is_not_set_by_a_draft(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop", how="duplicate", new_name="copy")
    page = _page(browser, editor, {"secrets.token:name": "shop-token", "secrets.token:value": "other"})
    assert backend.secrets.get("shop-token") == ("canary-secret",)
    assert "the secret shop-token is used by shop. Give it a name of its own" in page
    assert "is set. It is not shown again" not in page


@pytest.mark.usefixtures("publishing")
def test_a_draft_that_was_only_given_the_name_of_a_connector_does_not_set_its_secrets(
    browser: Browser, backend: EmbeddedBackend
) -> None:
    editor = Editor.new(browser, backend)
    _page(browser, editor, {"name": "shop", "secrets.token:name": "shop-token", "secrets.token:value": "other"})
    assert backend.secrets.get("shop-token") == ("canary-secret",)


@pytest.mark.usefixtures("publishing")
@pytest.mark.parametrize("place", ["secrets.token", "inbound.hmac_secret"])
def test_what_proves_the_dmp_is_not_set_by_a_field_for_the_partner(
    browser: Browser, backend: EmbeddedBackend, place: str
) -> None:
    editor = Editor.of(browser, backend, "shop")
    _page(browser, editor, {f"{place}:name": "shop-hmac", f"{place}:value": "other"})
    assert backend.secrets.get("shop-hmac") == ("canary-secret",)


@pytest.mark.usefixtures("publishing")
def test_the_secret_of_the_drafts_own_connector_can_be_set(browser: Browser, backend: EmbeddedBackend) -> None:
    editor = Editor.of(browser, backend, "shop")
    page = _page(browser, editor, {"secrets.token:name": "shop-token", "secrets.token:value": "newer"})
    assert backend.secrets.get("shop-token") == ("newer",)
    assert "The secret shop-token is set." in page


def test_the_key_of_the_sessions_is_neither_set_nor_sent_by_a_draft(
    browser: Browser, backend: EmbeddedBackend, pangolin: InThread
) -> None:
    key = backend.secrets.get(KEY_NAME)
    assert key
    editor = Editor.new(browser, backend)
    named = {"settings.base_url": pangolin.url, "secrets.token:name": KEY_NAME}
    assert "is the installation&#39;s own" in _page(browser, editor, {**named, "secrets.token:value": "known"})
    assert backend.secrets.get(KEY_NAME) == key
    assert "The partner was not asked" in editor.type("configure", {**named, "do": "check"}).text


@pytest.mark.usefixtures("publishing")
def test_where_a_draft_sends_which_secrets_is_in_the_audit_even_if_it_fails(
    browser: Browser, backend: EmbeddedBackend, pangolin: InThread
) -> None:
    editor = Editor.new(browser, backend)
    editor.type("configure", {"settings.base_url": pangolin.url, "secrets.token:name": "shop-token"})
    host = pangolin.url.removeprefix("http://")
    for step, does, what in (
        ("configure", "check", "ask partner by draft"),
        ("test", "check", "ask partner by draft"),
        ("test", "send", "test draft"),
    ):
        editor.type(step, {"do": does})
        entry = backend.audit.newest(limit=1)[0]
        assert (entry.by, entry.what, entry.subject) == (NAME, what, "acme")
        assert entry.detail == f"to {host}; secrets: shop-token"
        backend.audit.add(by="nobody", what="between", subject="")
    browser.post(f"/edit/{editor.key}/delete", {"revision": str(editor.revision)})
    assert len([one for one in backend.audit.newest(limit=20) if one.detail.endswith("shop-token")]) == 3


def test_nothing_is_sent_where_the_audit_cannot_be_written(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("relay.console.pages.edit.trying.check_credentials", lambda *_: sent.append("check"))
    monkeypatch.setattr("relay.console.pages.edit.trying.send_test", lambda *_: sent.append("send"))
    editor = Editor.of(browser, backend, "shop")
    form = {"revision": str(editor.revision), "csrf_token": browser.token()}

    def refuse(**_: str) -> None:
        raise OSError

    monkeypatch.setattr(type(backend.audit), "add", lambda _self, **given: refuse(**given))
    for does in ("check", "send"):
        assert browser.client.post(f"/edit/{editor.key}/test", data={**form, "do": does}).status_code == 500
    assert sent == []


def test_a_value_typed_where_the_shared_app_would_do_is_stored_under_a_name_of_its_own(
    browser: Browser, backend: EmbeddedBackend
) -> None:
    editor = Editor.new(browser, backend, adapter="http")
    request = "{method: POST, path: /x, body: '{{ rows }}'}"
    editor.type(
        "configure",
        {
            "settings.base_url": "https://api.acme.example",
            "settings.audience_id": "all",
            "settings.auth": "{type: oauth2, grant: client_credentials, token_url: https://login.acme.example/token, app: acme}",
            "settings.operations": f"add: {{effect: add, key: [email], fields: {{email: }}, request: {request}}}",
        },
    )
    assert "secrets.client_secret:value" in editor.see("configure")
    editor.type("configure", {"secrets.client_secret:name": "", "secrets.client_secret:value": "x"})
    assert editor.values["secrets"] == {"client_secret": "acme-client-secret"}
    assert backend.secrets.get("acme-client-secret") == ("x",)


ENVIRONMENTS = "environments: {sandbox: {limits: {batch: {max_items: 5}}}, other: {secrets: {token: other-token}}}\n"


@pytest.mark.parametrize(("name", "whose"), [("shop-token", "shop"), ("other-token", "shop@other")])
def test_the_form_of_a_sandbox_does_not_replace_the_secret_that_production_runs_with(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing, name: str, whose: str
) -> None:
    publishing.set_secret("other-token", "canary-secret")
    publishing.apply(DOCUMENT + ENVIRONMENTS)
    editor = Editor.of(browser, backend, "shop")
    token = "environments.sandbox.secrets.token"
    editor.type("environments", {"environment": "sandbox", f"{token}:name": name, f"{token}:value": "of-the-sandbox"})
    assert backend.secrets.get(name) == ("canary-secret",)
    page = editor.see("environments", environment="sandbox")
    said = f"the secret {name} is used by {whose}. Give it a name of its own, or change it on that connector&#39;s page."
    assert said in page
    assert "is set. It is not shown again" not in page


def test_the_secret_that_only_one_environment_runs_with_is_set_in_its_form(
    browser: Browser, backend: EmbeddedBackend, publishing: Publishing
) -> None:
    publishing.set_secret("other-token", "canary-secret")
    publishing.apply(DOCUMENT + ENVIRONMENTS)
    editor = Editor.of(browser, backend, "shop")
    editor.type("environments", {"environment": "other", "environments.other.secrets.token:value": "newer"})
    assert backend.secrets.get("other-token") == ("newer",)
