"""The adapter for Pangolin in front of a real one: audiences and their members are really there afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import requests

from adapters.contract import Adapter, Delivered, Option, Rejected, Row, Target
from adapters.pangolin import MAX_USERS
from relay.domain.errors import AudienceGone, BatchRefused, CredentialsRefused, PartnerError
from relay.pangolin.server import InThread
from tests.unit.adapters.pangolin import opened

TOKEN = "canary-secret-token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    with InThread(tmp_path_factory.mktemp("pangolin") / "pangolin.db", token=TOKEN) as running:
        yield running


class Platform:
    """What one sees and breaks at Pangolin from outside."""

    def __init__(self, server: InThread) -> None:
        self._url = server.url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"

    def members(self, target: Target) -> set[str]:
        """IDs of the audience's users."""
        address = f"{self._url}/api/audiences/{target.partner_id}/users?limit=10000"
        return {user["id"] for user in self._session.get(address, timeout=30).json()["users"]}

    def break_(self, **faults: object) -> None:
        """From now on; nothing mends it."""
        answer = self._session.put(f"{self._url}/api/faults", json=faults, timeout=30)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def platform(server: InThread) -> Iterator[Platform]:
    made = Platform(server)
    yield made
    made.break_()


@pytest.fixture
def adapter(server: InThread) -> Adapter:
    return opened(server.url, TOKEN)


@pytest.fixture
def target(adapter: Adapter) -> Target:
    return created(adapter)


def created(adapter: Adapter) -> Target:
    audience = uuid.uuid4().hex
    reference = f"tested/{audience}"
    return Target(audience, "Spring newsletter", adapter.create_audience("Spring newsletter", reference), reference)


def rows(*users: str) -> list[Row]:
    return [Row({"id": user}, user, 0) for user in users]


# --- audiences -------------------------------------------------------------------------------------------------------


def test_the_same_reference_gives_the_same_audience_and_another_gives_another(adapter: Adapter) -> None:
    first, other = created(adapter), created(adapter)
    assert first.partner_id
    assert adapter.create_audience(first.name, first.reference) == first.partner_id
    assert adapter.create_audience("Renamed", first.reference) == first.partner_id
    assert other.partner_id != first.partner_id


def test_eight_creations_at_once_give_one_audience(adapter: Adapter) -> None:
    reference = f"tested/{uuid.uuid4().hex}"
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: adapter.create_audience("Eight", reference), range(8)))
    assert len(made) == 1


def test_an_audience_that_was_made_is_ready_and_can_be_described(adapter: Adapter, target: Target) -> None:
    assert adapter.is_ready(target.partner_id) is True
    described = adapter.describe_audience(target.partner_id)
    assert described == {"id": target.partner_id, "name": target.name, "reference": target.reference, "size": 0}


def test_an_audience_that_pangolin_does_not_have_is_gone(adapter: Adapter, target: Target) -> None:
    nowhere = msgspec.structs.replace(target, partner_id="pg_nowhere")
    for call in (
        lambda: adapter.is_ready("pg_nowhere"),
        lambda: adapter.describe_audience("pg_nowhere"),
        lambda: adapter.send("add", nowhere, rows("a")),
        lambda: adapter.send("remove", nowhere, rows("a")),
    ):
        with pytest.raises(AudienceGone):
            call()


def test_existing_audiences_are_offered_page_by_page(server: InThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pangolin._OPTIONS_PAGE", 2)
    adapter = opened(server.url, TOKEN)
    made = [Option(created(adapter).partner_id, "Spring newsletter") for _ in range(5)]
    offered = adapter.options("audience", {})
    assert [one for one in offered if one in made] == made
    assert len(set(offered)) == len(offered)


# --- members ---------------------------------------------------------------------------------------------------------


def test_users_are_added_and_removed(adapter: Adapter, target: Target, platform: Platform) -> None:
    assert adapter.send("add", target, rows("a", "b", "c", "d", "e")) == [Delivered()] * 5
    assert platform.members(target) == {"a", "b", "c", "d", "e"}
    assert adapter.send("remove", target, rows("b", "c")) == [Delivered()] * 2
    assert platform.members(target) == {"a", "d", "e"}


def test_a_repeat_is_harmless(adapter: Adapter, target: Target, platform: Platform) -> None:
    for operation, members in (("add", {"a"}), ("add", {"a"}), ("remove", set()), ("remove", set())):
        assert adapter.send(operation, target, rows("a")) == [Delivered()]
        assert platform.members(target) == members


@pytest.mark.parametrize("operation", ["add", "remove"])
def test_the_largest_call_is_taken(adapter: Adapter, target: Target, operation: str) -> None:
    users = [f"u{number}" for number in range(MAX_USERS)]
    assert adapter.send(operation, target, rows(*users)) == [Delivered()] * MAX_USERS


@pytest.mark.parametrize("operation", ["add", "remove"])
def test_a_user_that_pangolin_names_is_rejected_and_the_others_are_not(
    adapter: Adapter, target: Target, platform: Platform, operation: str
) -> None:
    platform.break_(reject_users=["c"])
    results = adapter.send(operation, target, rows("a", "b", "c", "d"))
    hint = "Pangolin does not accept this user. The partner says: “This user is not accepted.”"
    assert results == [Delivered(), Delivered(), Rejected("user_rejected", hint), Delivered()]


def test_a_user_that_spoils_the_whole_call_is_a_refused_batch(adapter: Adapter, target: Target, platform: Platform) -> None:
    platform.break_(poison_users=["b"])
    for users in (rows("a", "b", "c"), rows("b")):
        with pytest.raises(BatchRefused):
            adapter.send("add", target, users)
    assert adapter.send("add", target, rows("a", "c")) == [Delivered()] * 2
    assert platform.members(target) == {"a", "c"}


# --- credentials -----------------------------------------------------------------------------------------------------


def test_the_right_token_is_accepted(adapter: Adapter) -> None:
    adapter.check_credentials()


def test_a_wrong_token_is_refused(server: InThread, target: Target) -> None:
    adapter = opened(server.url, "canary-wrong")
    for call in (
        adapter.check_credentials,
        lambda: adapter.create_audience("New", "tested/new"),
        lambda: adapter.is_ready(target.partner_id),
        lambda: adapter.send("add", target, rows("a")),
    ):
        with pytest.raises(CredentialsRefused) as caught:
            call()
        error: PartnerError = caught.value
        assert "canary" not in error.hint
