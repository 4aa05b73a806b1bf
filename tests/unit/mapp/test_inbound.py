"""What the receiver knows of its connectors, and how it stays up to date."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.inbound import CompiledInbound, InboundView
from relay.backends import open_backend
from relay.backends.interfaces import InboundStore
from relay.configuration import Configuration
from relay.domain.connector import VERSION, InboundDocument
from relay.domain.errors import StoreUnavailable
from tests.clock import TurnedClock
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import broken_stderr, connector, eventually


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state_dir: Path) -> InboundStore:
    return open_backend(Configuration(state_dir=state_dir)).inbound


@pytest.fixture
def view(store: InboundStore) -> Iterator[InboundView]:
    view = InboundView(store, reread_s=0.01)
    yield view
    view.close()


def write(store: InboundStore, *secrets: str, default: str = "pangolin") -> None:
    store.write(InboundDocument(VERSION, (connector(secrets=secrets or ("one",)),), default))


def keys(view: InboundView) -> tuple[bytes, ...]:
    found = view.connector("pangolin")
    assert found is not None
    return found.hmac_keys


def test_connectors_are_found_by_name_and_the_default_by_none(store: InboundStore, view: InboundView) -> None:
    write(store)
    found = view.connector("pangolin")
    assert found is not None
    assert view.connector("") is found
    assert view.connector("other") is None


@pytest.mark.parametrize("default", ["", "other"])
def test_there_may_be_no_default(store: InboundStore, view: InboundView, default: str) -> None:
    write(store, default=default)
    assert view.connector("") is None


def test_before_anything_was_applied_there_is_no_connector(view: InboundView) -> None:
    assert view.connector("pangolin") is None


def test_a_changed_document_takes_effect_without_a_restart(store: InboundStore, view: InboundView) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    write(store, "two", "one")
    eventually(lambda: keys(view) == (b"two", b"one"))


def test_the_first_document_takes_effect_without_a_restart(store: InboundStore, view: InboundView) -> None:
    assert view.connector("pangolin") is None
    write(store)
    eventually(lambda: view.connector("pangolin") is not None)


def test_what_did_not_change_is_not_computed_again(store: InboundStore, view: InboundView) -> None:
    write(store)
    found = view.connector("pangolin")
    time.sleep(0.05)
    assert view.connector("pangolin") is found


def test_the_last_good_copy_is_kept_and_one_line_says_so(
    state_dir: Path, store: InboundStore, view: InboundView, lines: Lines
) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    document = state_dir / "inbound.json"
    logged: list[dict[str, Any]] = []

    def something_was_logged() -> bool:
        logged.extend(lines())
        return bool(logged)

    document.write_bytes(b"not a document")
    eventually(something_was_logged)
    time.sleep(0.05)
    assert keys(view) == (b"one",)
    logged += lines()
    assert [(line["event"], line["copy_kept"]) for line in logged] == [("inbound_unreadable", True)]
    write(store, "two")
    eventually(lambda: keys(view) == (b"two",))


def test_a_document_that_is_deleted_while_it_is_in_use_does_not_make_every_connector_unknown(
    state_dir: Path, store: InboundStore, view: InboundView, lines: Lines
) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    logged: list[dict[str, Any]] = []

    def something_was_logged() -> bool:
        logged.extend(lines())
        return bool(logged)

    (state_dir / "inbound.json").unlink()
    eventually(something_was_logged)
    time.sleep(0.05)
    assert keys(view) == (b"one",)
    logged += lines()
    assert [(line["event"], line["copy_kept"]) for line in logged] == [("inbound_unreadable", True)]
    write(store, "two")
    eventually(lambda: keys(view) == (b"two",))


def test_changes_are_followed_although_the_trouble_before_could_not_be_logged(
    state_dir: Path, store: InboundStore, view: InboundView
) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    with broken_stderr():
        (state_dir / "inbound.json").write_bytes(b"not a document")
        time.sleep(0.1)
        write(store, "two")
        eventually(lambda: keys(view) == (b"two",))


def test_a_document_of_a_newer_program_is_not_taken_over(store: InboundStore, view: InboundView) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    store.write(InboundDocument(VERSION + 1, (), ""))
    time.sleep(0.05)
    assert keys(view) == (b"one",)


def test_without_any_copy_it_is_tried_again_though_not_at_every_request(state_dir: Path, store: InboundStore) -> None:
    clock = TurnedClock()
    view = InboundView(store, reread_s=3600, clock=clock)
    (state_dir / "inbound.json").write_bytes(b"not a document")
    with pytest.raises(StoreUnavailable):
        view.connector("pangolin")
    write(store)
    with pytest.raises(StoreUnavailable):
        view.connector("pangolin")
    clock.advance(1)
    assert view.connector("pangolin") is not None
    view.close()


def test_a_forked_process_follows_changes_too(store: InboundStore, view: InboundView, tmp_path: Path) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    ready, answer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(answer, keys(view)[0])
            eventually(lambda: keys(view) == (b"two",))
            os.write(answer, keys(view)[0])
        finally:
            os._exit(0)
    assert os.read(ready, 3) == b"one"
    write(store, "two")
    assert os.read(ready, 3) == b"two"
    os.waitpid(child, 0)
    os.close(ready)
    os.close(answer)


def test_closing_ends_the_thread(store: InboundStore) -> None:
    view = InboundView(store, reread_s=3600)
    view.connector("pangolin")
    assert [each.daemon for each in threading.enumerate() if each.name == "inbound-document"] == [True]
    view.close()
    assert [each for each in threading.enumerate() if each.name == "inbound-document"] == []


@pytest.mark.parametrize(
    ("secrets", "credentials", "local"),
    [
        (("a", "b"), None, False),
        (("a", "local-hmac-secret"), None, True),
        (("a",), ("mapp:local:password",), True),
        (("a",), ("mapp:other",), False),
    ],
)
def test_a_connector_knows_whether_it_is_good_on_this_machine_only(
    secrets: tuple[str, ...], credentials: tuple[str, ...] | None, local: bool
) -> None:
    assert CompiledInbound(connector(secrets=secrets, credentials=credentials)).local_only is local
