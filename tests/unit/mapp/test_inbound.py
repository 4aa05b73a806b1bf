"""What the receiver knows of its connectors, and how it stays up to date."""

from __future__ import annotations

import asyncio
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


def find(view: InboundView, name: str) -> CompiledInbound | None:
    return asyncio.run(view.connector(name))


def keys(view: InboundView) -> tuple[bytes, ...]:
    found = find(view, "pangolin")
    assert found is not None
    return found.hmac_keys


def test_connectors_are_found_by_name_and_the_default_by_none(store: InboundStore, view: InboundView) -> None:
    write(store)
    found = find(view, "pangolin")
    assert found is not None
    assert find(view, "") is found
    assert find(view, "other") is None


@pytest.mark.parametrize("default", ["", "other"])
def test_there_may_be_no_default(store: InboundStore, view: InboundView, default: str) -> None:
    write(store, default=default)
    assert find(view, "") is None


def test_before_anything_was_applied_there_is_no_connector(view: InboundView) -> None:
    assert find(view, "pangolin") is None


def test_a_changed_document_takes_effect_without_a_restart(store: InboundStore, view: InboundView) -> None:
    write(store, "one")
    assert keys(view) == (b"one",)
    write(store, "two", "one")
    eventually(lambda: keys(view) == (b"two", b"one"))


def test_the_first_document_takes_effect_without_a_restart(store: InboundStore, view: InboundView) -> None:
    assert find(view, "pangolin") is None
    write(store)
    eventually(lambda: find(view, "pangolin") is not None)


def test_what_did_not_change_is_not_computed_again(store: InboundStore, view: InboundView) -> None:
    write(store)
    found = find(view, "pangolin")
    time.sleep(0.05)
    assert find(view, "pangolin") is found


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
        find(view, "pangolin")
    write(store)
    with pytest.raises(StoreUnavailable):
        find(view, "pangolin")
    clock.advance(1)
    assert find(view, "pangolin") is not None
    view.close()


# --- the thread had no processor, and the copy is old ----------------------------------------------------------------


class Counting:
    """A store that counts the looks at it; `open` is cleared while it does not answer."""

    def __init__(self, store: InboundStore) -> None:
        self._store = store
        self.looks = 0
        self.open = threading.Event()
        self.open.set()

    def changed(self) -> object:
        self.looks += 1
        assert self.open.wait(20)
        return self._store.changed()

    def read(self) -> InboundDocument | None:
        return self._store.read()

    def write(self, document: InboundDocument) -> None:
        self._store.write(document)


HOUR_S = 3_600.0


@pytest.fixture
def counting(store: InboundStore) -> Counting:
    return Counting(store)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def quiet(counting: Counting, clock: TurnedClock) -> Iterator[InboundView]:
    """One whose thread does not look by itself while the test runs."""
    view = InboundView(counting, reread_s=HOUR_S, clock=clock)
    yield view
    counting.open.set()
    view.close()


async def reread_by(view: InboundView, callers: int) -> None:
    await asyncio.gather(*(view.reread() for _ in range(callers)))


def test_a_copy_that_is_not_old_is_not_read_again(
    store: InboundStore, quiet: InboundView, counting: Counting, clock: TurnedClock
) -> None:
    write(store, "one")
    assert keys(quiet) == (b"one",)
    write(store, "two")
    clock.advance(HOUR_S - 1)
    asyncio.run(quiet.reread())
    assert (keys(quiet), counting.looks) == ((b"one",), 1)


def test_an_old_copy_is_read_again_once_for_all_who_ask(
    store: InboundStore, quiet: InboundView, counting: Counting, clock: TurnedClock
) -> None:
    write(store, "one")
    assert keys(quiet) == (b"one",)
    write(store, "two")
    clock.advance(HOUR_S)
    asyncio.run(reread_by(quiet, 20))
    assert (keys(quiet), counting.looks) == ((b"two",), 2)
    asyncio.run(reread_by(quiet, 20))
    assert counting.looks == 2


def test_an_old_copy_that_cannot_be_read_again_is_not_tried_for_everybody(
    state_dir: Path, store: InboundStore, quiet: InboundView, counting: Counting, clock: TurnedClock
) -> None:
    write(store, "one")
    assert keys(quiet) == (b"one",)
    (state_dir / "inbound.json").write_bytes(b"not a document")
    clock.advance(HOUR_S)
    for _ in range(5):
        asyncio.run(quiet.reread())
    assert (keys(quiet), counting.looks) == ((b"one",), 2)
    write(store, "two")
    clock.advance(HOUR_S)
    asyncio.run(quiet.reread())
    assert (keys(quiet), counting.looks) == ((b"two",), 3)


def test_a_store_that_does_not_answer_is_not_waited_for_and_not_asked_again(
    store: InboundStore, quiet: InboundView, counting: Counting, clock: TurnedClock
) -> None:
    write(store, "one")
    assert keys(quiet) == (b"one",)
    write(store, "two")
    counting.open.clear()
    clock.advance(HOUR_S)
    asyncio.run(quiet.reread())
    clock.advance(2 * HOUR_S)
    asyncio.run(reread_by(quiet, 5))
    assert (keys(quiet), counting.looks) == ((b"one",), 2)
    counting.open.set()
    eventually(lambda: keys(quiet) == (b"two",))


def test_a_look_that_was_frozen_halfway_does_not_make_the_copy_new(
    store: InboundStore, quiet: InboundView, counting: Counting, clock: TurnedClock
) -> None:
    write(store, "one")

    async def first() -> None:
        counting.open.clear()
        looking = asyncio.create_task(quiet.connector("pangolin"))
        while not counting.looks:
            await asyncio.sleep(0.005)
        clock.advance(HOUR_S)
        counting.open.set()
        await looking

    asyncio.run(first())
    write(store, "two")
    asyncio.run(quiet.reread())
    assert keys(quiet) == (b"two",)


def test_a_document_that_was_read_ahead_is_there_for_the_first_request(
    store: InboundStore, quiet: InboundView, counting: Counting
) -> None:
    write(store, "one")
    quiet.read_ahead()
    assert [each for each in threading.enumerate() if each.name == "inbound-document"] == []
    assert (keys(quiet), counting.looks) == ((b"one",), 1)


def test_whoever_was_read_ahead_in_vain_is_read_at_the_first_request(
    state_dir: Path, store: InboundStore, quiet: InboundView
) -> None:
    (state_dir / "inbound.json").write_bytes(b"not a document")
    quiet.read_ahead()
    write(store, "one")
    assert keys(quiet) == (b"one",)


# --- processes --------------------------------------------------------------------------------------------------------


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
    find(view, "pangolin")
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
