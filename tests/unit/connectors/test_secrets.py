"""What the receiver must know of connectors and secrets it learns at once; what waits for a change is tried again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay.backends.interfaces import Backend
from relay.connectors.inbound_document import refresh_inbound
from relay.connectors.publishing import Publishing, generate_secret
from relay.domain.audience import HoldReason
from relay.domain.connector import InboundDocument
from relay.domain.errors import ConfigurationError, DocumentError, NotFound, StoreUnavailable
from tests.clock import TurnedClock
from tests.unit.connectors.example import DOCUMENT, describe, hold

OTHER = DOCUMENT + "title: Acme in Europe\n"
SANDBOX = DOCUMENT + "environments: {sandbox: {inbound: {hmac_secret: sandbox-hmac}}}\n"


def inbound(backend: Backend) -> InboundDocument:
    document = backend.inbound.read()
    assert document is not None
    return document


def due(backend: Backend, clock: TurnedClock) -> list[str]:
    return [audience.id for audience in backend.audiences.due(clock.now())]


# the inbound document


def test_the_receiver_learns_of_a_connector_when_it_is_published(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT, draft=True)
    assert backend.inbound.read() is None
    publishing.apply(DOCUMENT)
    (connector,) = inbound(backend).connectors
    assert connector.name == "acme-eu"
    assert connector.inbound.basic_auth == "acme-basic"
    assert (connector.hmac_secrets, connector.basic_credentials) == ((), ())
    assert inbound(backend).default == "acme-eu"


def test_the_receiver_learns_of_secrets_as_they_are_set_rotated_and_retired(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)

    def known() -> tuple[tuple[str, ...], tuple[str, ...]]:
        (connector,) = inbound(backend).connectors
        return connector.hmac_secrets, connector.basic_credentials

    publishing.set_secret("acme-hmac", "one")
    publishing.set_secret("acme-basic", "mapp:pass")
    assert known() == (("one",), ("mapp:pass",))
    publishing.rotate_secret("acme-hmac", "two")
    assert known() == (("two", "one"), ("mapp:pass",))
    publishing.retire_secret("acme-hmac")
    assert known() == (("two",), ("mapp:pass",))
    publishing.set_secret("acme-hmac", "three")
    assert known() == (("three",), ("mapp:pass",))


def test_partner_secrets_are_none_of_the_receivers_business(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.set_secret("acme-token", "hunter2")
    assert "hunter2" not in str(inbound(backend))


def test_the_default_is_the_first_document_until_another_is_chosen(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(DOCUMENT.replace("acme-eu", "acme-us"))
    assert inbound(backend).default == "acme-eu"
    publishing.set_default("acme-us")
    assert inbound(backend).default == "acme-us"
    with pytest.raises(NotFound):
        publishing.set_default("nobody")


def test_a_default_that_does_not_run_is_none(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT, draft=True)
    publishing.apply(DOCUMENT.replace("acme-eu", "acme-us"))
    assert inbound(backend).default == ""


def test_applying_again_mends_an_inbound_document_that_was_lost(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    good = inbound(backend)
    backend.inbound.write(InboundDocument(1, ()))
    publishing.apply(DOCUMENT)
    assert inbound(backend) == good


def test_an_inbound_document_that_is_right_is_not_written_again(publishing: Publishing, backend: Backend) -> None:
    publishing.apply(DOCUMENT)
    before = backend.inbound.changed()
    publishing.apply(DOCUMENT)
    publishing.set_secret("acme-token", "t")
    assert backend.inbound.changed() == before


@pytest.mark.parametrize("damaged", [b"{garbage", b"\xff", b""])
def test_an_inbound_document_that_was_damaged_is_written_anew(
    publishing: Publishing, backend: Backend, tmp_path: Path, damaged: bytes
) -> None:
    publishing.apply(DOCUMENT)
    good = inbound(backend)
    (tmp_path / "inbound.json").write_bytes(damaged)
    refresh_inbound(backend)
    assert inbound(backend) == good


def test_whoever_was_killed_before_telling_the_receiver_of_a_rotation_is_made_up_for(
    publishing: Publishing, backend: Backend
) -> None:
    publishing.apply(DOCUMENT)
    publishing.set_secret("acme-hmac", "one")
    backend.secrets.rotate("acme-hmac", "two")  # and no further
    refresh_inbound(backend)
    assert inbound(backend).connectors[0].hmac_secrets == ("two", "one")
    before = backend.inbound.changed()
    refresh_inbound(backend)
    assert backend.inbound.changed() == before


def test_whoever_was_killed_before_telling_the_receiver_of_a_version_is_made_up_for(
    publishing: Publishing, backend: Backend
) -> None:
    publishing.apply(DOCUMENT)
    publishing.apply(SANDBOX, draft=True)
    backend.connectors.publish("acme-eu", 2)  # and no further
    refresh_inbound(backend)
    assert [one.name for one in inbound(backend).connectors] == ["acme-eu", "acme-eu@sandbox"]


# a secret that cannot be read


def damage(tmp_path: Path, secret: str) -> None:
    (tmp_path / "secrets" / secret).write_bytes(b"{")


def two(publishing: Publishing) -> None:
    """acme-eu and acme-us, each with a secret of its own."""
    publishing.apply(DOCUMENT)
    publishing.apply(DOCUMENT.replace("acme-eu", "acme-us").replace("acme-hmac", "acme-us-hmac"))
    publishing.set_secret("acme-hmac", "eu one")
    publishing.set_secret("acme-us-hmac", "us one")


def hmac_secrets(backend: Backend) -> dict[str, tuple[str, ...]]:
    return {one.name: one.hmac_secrets for one in inbound(backend).connectors}


def test_one_connectors_damaged_secret_kept_the_rotations_of_the_others_from_the_receiver(
    publishing: Publishing, backend: Backend, tmp_path: Path
) -> None:
    two(publishing)
    damage(tmp_path, "acme-hmac")
    with pytest.raises(ConfigurationError, match=r"no change to acme-eu, .*acme-hmac is not a secret"):
        publishing.rotate_secret("acme-us-hmac", "us two")
    assert hmac_secrets(backend) == {"acme-eu": ("eu one",), "acme-us": ("us two", "us one")}
    publishing.set_secret("acme-hmac", "eu two")
    assert hmac_secrets(backend) == {"acme-eu": ("eu two",), "acme-us": ("us two", "us one")}


def test_one_connectors_unreachable_secret_kept_the_rotations_of_the_others_from_the_receiver(
    publishing: Publishing, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    two(publishing)
    backend.secrets.rotate("acme-us-hmac", "us two")
    get = backend.secrets.get

    def failing(name: str) -> tuple[str, ...]:
        if name == "acme-hmac":
            raise StoreUnavailable("It could not be reached.")
        return get(name)

    monkeypatch.setattr(backend.secrets, "get", failing)
    with pytest.raises(StoreUnavailable, match=r"no change to acme-eu, .*It could not be reached\."):
        refresh_inbound(backend)
    assert hmac_secrets(backend) == {"acme-eu": ("eu one",), "acme-us": ("us two", "us one")}


def test_a_connector_that_the_receiver_never_knew_gets_no_secrets_while_one_cannot_be_read(
    publishing: Publishing, backend: Backend, tmp_path: Path
) -> None:
    publishing.set_secret("acme-hmac", "one")
    publishing.set_secret("acme-basic", "dmp:pass")
    damage(tmp_path, "acme-basic")
    with pytest.raises(ConfigurationError):
        publishing.apply(DOCUMENT)
    (known,) = inbound(backend).connectors
    assert (known.inbound.basic_auth, known.hmac_secrets, known.basic_credentials) == ("acme-basic", (), ())


def test_an_unreadable_secret_is_told_again_and_written_once(publishing: Publishing, backend: Backend, tmp_path: Path) -> None:
    two(publishing)
    damage(tmp_path, "acme-hmac")
    before = backend.inbound.changed()
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            refresh_inbound(backend)
    assert backend.inbound.changed() == before


# secrets


@pytest.mark.parametrize("name", ["", "Acme", "a b", "../x", "1a", "a/b", "a.b"])
def test_a_secret_has_a_plain_name(publishing: Publishing, backend: Backend, name: str) -> None:
    with pytest.raises(ConfigurationError):
        publishing.set_secret(name, "value")
    assert backend.secrets.all() == []


@pytest.mark.parametrize("value", ["", " hunter2", "hunter2\n", "hun\nter2", "hunter2\x00"])
def test_a_value_that_was_pasted_badly_is_refused_and_not_repeated(publishing: Publishing, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        publishing.set_secret("acme-hmac", value)
    assert "hunter2" not in str(caught.value)


def test_only_a_secret_that_is_set_is_rotated_or_retired(publishing: Publishing) -> None:
    with pytest.raises(NotFound):
        publishing.rotate_secret("acme-hmac", "x")
    with pytest.raises(NotFound):
        publishing.retire_secret("acme-hmac")


def test_generated_secrets_are_long_and_never_the_same() -> None:
    made = {generate_secret() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 43


# what waits is tried again


@pytest.mark.parametrize(("reason", "again"), [("credentials_refused", True), ("misconfigured", False), ("paused", True)])
def test_a_new_partner_secret_tries_refused_credentials_again(
    publishing: Publishing, backend: Backend, clock: TurnedClock, reason: HoldReason, again: bool
) -> None:
    publishing.apply(DOCUMENT)
    hold(backend, clock, reason)
    publishing.set_secret("acme-token", "new")
    assert due(backend, clock) == (["a1"] if again else [])


@pytest.mark.parametrize(
    ("reason", "again"), [("credentials_refused", True), ("misconfigured", True), ("gathering", True), ("come_back_later", False)]
)
def test_a_new_version_tries_again_what_the_old_one_could_not(
    publishing: Publishing, backend: Backend, clock: TurnedClock, reason: HoldReason, again: bool
) -> None:
    publishing.apply(DOCUMENT)
    hold(backend, clock, reason)
    publishing.apply(OTHER)
    assert due(backend, clock) == (["a1"] if again else [])


def test_the_wait_that_the_partner_asked_for_outlasts_a_new_version(
    publishing: Publishing, backend: Backend, clock: TurnedClock
) -> None:
    publishing.apply(DOCUMENT)
    until = clock.now() + 600
    backend.connectors.not_before("acme-eu", until, reason="come_back_later", detail="")
    publishing.apply(OTHER)
    publishing.set_secret("acme-token", "new")
    assert backend.connectors.state("acme-eu").not_before == until


def test_a_wait_for_refused_credentials_ends_with_a_new_secret(
    publishing: Publishing, backend: Backend, clock: TurnedClock
) -> None:
    publishing.apply(DOCUMENT)
    backend.connectors.not_before("acme-eu", clock.now() + 600, reason="credentials_refused", detail="")
    publishing.set_secret("acme-token", "new")
    assert backend.connectors.state("acme-eu").not_before <= clock.now()


def test_the_receiver_knows_all_that_several_people_change_at_once(backend: Backend) -> None:
    names = [f"acme-{number}" for number in range(4)]

    def change(name: str) -> None:
        own = Publishing(backend, describe, name)
        own.apply(DOCUMENT.replace("acme-eu", name).replace("acme-hmac", f"{name}-hmac"))
        own.set_secret(f"{name}-hmac", f"value of {name}")

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(change, names))
    assert {one.name: one.hmac_secrets for one in inbound(backend).connectors} == {name: (f"value of {name}",) for name in names}


def test_a_rotation_is_noted_and_tried_out_though_another_connectors_secret_cannot_be_read(
    publishing: Publishing, backend: Backend, clock: TurnedClock, tmp_path: Path
) -> None:
    two(publishing)
    publishing.set_secret("acme-token", "one")
    hold(backend, clock, "credentials_refused")
    damage(tmp_path, "acme-us-hmac")
    with pytest.raises(ConfigurationError, match="acme-us-hmac"):
        publishing.rotate_secret("acme-token", "two")
    newest = backend.audit.newest()[0]
    assert (newest.what, newest.subject) == ("rotate secret", "acme-token")
    assert due(backend, clock) == ["a1"]


@pytest.mark.parametrize("change", ["set_secret", "rotate_secret"])
def test_a_secret_of_the_installation_itself_is_not_set(publishing: Publishing, backend: Backend, change: str) -> None:
    backend.secrets.set("console-session", "made by itself")
    with pytest.raises(ConfigurationError, match="the installation's own"):
        getattr(publishing, change)("console-session", "known")
    assert backend.secrets.get("console-session") == ("made by itself",)
    publishing.delete_secret("console-session")
    assert backend.secrets.get("console-session") == ()


def test_a_document_cannot_name_a_secret_of_the_installation_itself(publishing: Publishing) -> None:
    with pytest.raises(DocumentError, match="the installation's own"):
        publishing.apply(DOCUMENT + "environments: {sandbox: {inbound: {hmac_secret: console-session}}}\n")
