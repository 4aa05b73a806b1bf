"""What every adapter must do, whatever its partner."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from time import time
from typing import Any

import msgspec
import pytest

from adapters.contract import Adapter, Delivered, Description, Operation, Rejected, Target
from adapters.registry import describe, names
from relay.domain.connector import TRIGGERS, Timeouts
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    PartnerError,
    TryAgain,
    Unsupported,
)
from tests.contract.adapters.harness import HARNESSES, Harness, Recording, open_for

AMPLE = Timeouts(connect_s=20, answer_s=20, batch_answer_s=20)
SHORT = Timeouts(connect_s=0.3, answer_s=0.3, batch_answer_s=0.4)


@pytest.fixture(scope="module", params=names())
def partner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with HARNESSES[request.param](tmp_path_factory.mktemp(request.param)) as harness:
        yield harness


@pytest.fixture
def harness(partner: Harness) -> Iterator[Harness]:
    yield partner
    partner.mend()


@pytest.fixture
def client() -> Recording:
    return Recording(AMPLE)


@pytest.fixture
def adapter(harness: Harness, client: Recording) -> Adapter:
    return open_for(harness, client)


@pytest.fixture
def target(adapter: Adapter, client: Recording) -> Target:
    made = created(adapter)
    client.sent.clear()
    return made


def created(adapter: Adapter) -> Target:
    audience = uuid.uuid4().hex
    reference = f"tested/{audience}"
    partner_id = adapter.create_audience("Spring newsletter", reference)
    return Target(audience, "Spring newsletter", partner_id, reference)


def description_of(name: str) -> Description:
    description = describe(name)
    assert description is not None
    return description


def operation(adapter: Adapter, effect: str) -> Operation:
    return next(one for one in adapter.description.operations if one.kind == "set" and one.effect == effect)


# --- the description -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_it_is_described_under_its_own_name(name: str) -> None:
    description = description_of(name)
    assert description.name == name
    assert description.title
    assert description.summary


@pytest.mark.parametrize("name", names())
def test_everything_that_is_asked_for_has_a_title_and_a_name_of_its_own(name: str) -> None:
    description = description_of(name)
    groups = [description.settings, description.secrets, *(one.fields for one in description.operations)]
    for group in groups:
        assert len({field.name for field in group}) == len(group)
        assert all(field.name and field.title for field in group)
        assert all(bool(field.choices) == (field.type == "choice" and not field.dynamic) for field in group)
    assert len({one.name for one in description.operations}) == len(description.operations)
    assert all(one.title and one.triggers for one in description.operations)


@pytest.mark.parametrize("name", names())
def test_set_operations_say_which_row_it_is_and_which_way_it_goes(name: str) -> None:
    for one in description_of(name).operations:
        fields = {field.name for field in one.fields}
        assert set(one.key_fields) <= fields
        assert (one.kind == "set") == (one.effect is not None)
        if one.kind == "set":
            assert one.key_fields
        if one.kind == "create":
            assert one.triggers == ("created",)


@pytest.mark.parametrize("name", names())
def test_each_required_trigger_has_an_operation(name: str) -> None:
    description = description_of(name)
    offered = {trigger for one in description.operations for trigger in one.triggers}
    assert set(description.required_triggers) <= offered <= set(TRIGGERS)


@pytest.mark.parametrize("name", names())
def test_its_limits_fit_its_operations(name: str) -> None:
    description = description_of(name)
    most = [one.max_items for one in description.operations if one.kind != "create"]
    assert 1 <= description.limits.max_items <= max(most)
    assert description.limits.max_bytes > 0
    assert all(description.unsupported.values())


@pytest.mark.parametrize("name", names())
def test_a_description_can_be_shown_as_json(name: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(description_of(name)))["name"] == name


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
    assert target.name in described.values()
    msgspec.json.encode(described)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_added_and_removed_each_with_its_result(harness: Harness, adapter: Adapter, target: Target) -> None:
    rows = [harness.row(number) for number in range(5)]
    add, remove = operation(adapter, "add"), operation(adapter, "remove")

    assert adapter.send(add.name, target, rows) == [Delivered()] * 5
    assert harness.members(target.partner_id) == {0, 1, 2, 3, 4}
    assert adapter.send(remove.name, target, rows[1:3]) == [Delivered()] * 2
    assert harness.members(target.partner_id) == {0, 3, 4}


def test_a_repeat_is_harmless(harness: Harness, adapter: Adapter, target: Target) -> None:
    rows = [harness.row(1)]
    for effect, members in (("add", {1}), ("add", {1}), ("remove", set()), ("remove", set())):
        assert adapter.send(operation(adapter, effect).name, target, rows) == [Delivered()]
        assert harness.members(target.partner_id) == members


@pytest.mark.parametrize("effect", ["add", "remove"])
def test_the_largest_call_that_it_allows_is_taken(harness: Harness, adapter: Adapter, target: Target, effect: str) -> None:
    one = operation(adapter, effect)
    rows = [harness.row(number) for number in range(one.max_items)]
    assert adapter.send(one.name, target, rows) == [Delivered()] * one.max_items


@pytest.mark.parametrize("effect", ["add", "remove"])
def test_a_row_that_the_partner_names_is_rejected_and_its_neighbours_are_not(
    harness: Harness, adapter: Adapter, target: Target, effect: str
) -> None:
    rows = [harness.row(number) for number in range(4)]
    harness.reject(rows[2])

    results = adapter.send(operation(adapter, effect).name, target, rows)

    assert [type(result) for result in results] == [Delivered, Delivered, Rejected, Delivered]
    rejected = results[2]
    assert isinstance(rejected, Rejected)
    assert rejected.code
    assert rejected.hint
    assert "canary" not in rejected.code + rejected.hint


@pytest.mark.parametrize("bad", [{}, None], ids=["nothing mapped", "mapped to nothing"])
def test_a_row_without_its_key_costs_only_itself(
    harness: Harness, adapter: Adapter, target: Target, bad: dict[str, Any] | None
) -> None:
    add = operation(adapter, "add")
    values = dict.fromkeys(add.key_fields) if bad is None else bad
    rows = [harness.row(0), msgspec.structs.replace(harness.row(1), values=values), harness.row(2)]

    results = adapter.send(add.name, target, rows)

    assert [type(result) for result in results] == [Delivered, Rejected, Delivered]
    assert harness.members(target.partner_id) == {0, 2}


# --- preview ---------------------------------------------------------------------------------------------------------


def test_a_preview_shows_exactly_what_is_sent(
    harness: Harness, adapter: Adapter, client: Recording, target: Target
) -> None:
    rows = [harness.row(number) for number in range(3)]
    for one in adapter.description.operations:
        client.sent.clear()
        shown = adapter.preview(one.name, target, rows)
        assert client.sent == [], "a preview calls nobody"
        if one.kind == "create":
            adapter.create_audience(target.name, target.reference)
        else:
            adapter.send(one.name, target, rows)
        assert client.sent == shown


def test_a_preview_needs_no_secret_and_no_audience(harness: Harness, client: Recording) -> None:
    without = open_for(harness, client, secrets={})
    target = Target("a.1", "Spring", "", "tested/a.1")
    for one in without.description.operations:
        shown = without.preview(one.name, target, [harness.row(1)])
        assert shown
        assert all(request.method and request.url for request in shown)
    assert client.sent == []


def test_a_preview_of_more_rows_than_fit_shows_several_calls(harness: Harness, adapter: Adapter, target: Target) -> None:
    add = operation(adapter, "add")
    rows = [harness.row(number) for number in range(2 * add.max_items + 1)]
    assert len(adapter.preview(add.name, target, rows)) == 3


def test_no_address_holds_an_identifier_or_a_secret(harness: Harness, adapter: Adapter, target: Target) -> None:
    for one in adapter.description.operations:
        for request in adapter.preview(one.name, target, [harness.row(1)]):
            assert "canary" not in request.url


# --- faults ----------------------------------------------------------------------------------------------------------

Provoke = Callable[[Harness], None]


def in_two_minutes() -> str:
    return formatdate(time() + 120, usegmt=True)


FAULTS: dict[str, tuple[Provoke, type[PartnerError], dict[str, Any]]] = {
    "too many calls": (lambda h: h.too_many(None), TryAgain, {"after_s": None, "account": True, "applied_unknown": False}),
    "too many calls, seconds": (lambda h: h.too_many("120"), TryAgain, {"after_s": 120, "account": True}),
    "unavailable, seconds": (lambda h: h.trouble(503, "90"), TryAgain, {"after_s": 90, "account": True}),
    "trouble": (lambda h: h.trouble(500), TryAgain, {"after_s": None, "account": False, "applied_unknown": False}),
    "unavailable": (lambda h: h.trouble(503), TryAgain, {"after_s": None, "account": False}),
    "a page instead of an answer": (lambda h: h.html(), TryAgain, {}),
    "credentials refused": (lambda h: h.unauthorized(), CredentialsRefused, {}),
}


def calls_of(adapter: Adapter, harness: Harness, target: Target) -> dict[str, Callable[[], object]]:
    add, remove = operation(adapter, "add"), operation(adapter, "remove")
    rows = [harness.row(1), harness.row(2)]
    return {
        "create": lambda: adapter.create_audience("New", "tested/canary-free"),
        "ready": lambda: adapter.is_ready(target.partner_id),
        "describe": lambda: adapter.describe_audience(target.partner_id),
        "add": lambda: adapter.send(add.name, target, rows),
        "remove": lambda: adapter.send(remove.name, target, rows),
        "check": adapter.check_credentials,
    }


@pytest.mark.parametrize("call", ["create", "ready", "describe", "add", "remove", "check"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_the_right_error_in_every_call(
    harness: Harness, adapter: Adapter, target: Target, fault: str, call: str
) -> None:
    provoke, kind, known = FAULTS[fault]
    provoke(harness)
    error = failure(calls_of(adapter, harness, target)[call])
    assert type(error) is kind
    assert {name: getattr(error, name) for name in known} == known


def test_a_date_to_come_back_at_is_obeyed(harness: Harness, adapter: Adapter, target: Target) -> None:
    harness.too_many(in_two_minutes())
    error = failure(calls_of(adapter, harness, target)["add"])
    assert isinstance(error, TryAgain)
    assert error.after_s is not None
    assert 60 < error.after_s <= 120
    assert error.account


def test_a_row_that_spoils_the_whole_call_is_a_refused_batch(harness: Harness, adapter: Adapter, target: Target) -> None:
    rows = [harness.row(number) for number in range(3)]
    harness.poison(rows[1])
    add = operation(adapter, "add")
    assert type(failure(lambda: adapter.send(add.name, target, rows))) is BatchRefused
    assert type(failure(lambda: adapter.send(add.name, target, rows[1:2]))) is BatchRefused
    assert adapter.send(add.name, target, [rows[0], rows[2]]) == [Delivered()] * 2


@pytest.mark.parametrize("call", ["ready", "describe", "add", "remove"])
def test_an_audience_that_the_partner_does_not_have_is_gone(harness: Harness, adapter: Adapter, call: str) -> None:
    gone = Target("a.1", "Spring", harness.missing_audience, "tested/a.1")
    assert type(failure(calls_of(adapter, harness, gone)[call])) is AudienceGone


def test_nothing_is_sent_to_an_audience_that_does_not_exist_yet(harness: Harness, adapter: Adapter) -> None:
    target = Target("a.1", "Spring", "", "tested/a.1")
    assert type(failure(calls_of(adapter, harness, target)["add"])) is AudienceNotReady


@pytest.mark.parametrize("call", ["create", "add", "check"])
def test_a_partner_that_hangs_is_left_without_knowing_what_it_did(harness: Harness, target: Target, call: str) -> None:
    adapter = open_for(harness, Recording(SHORT))
    harness.hang()
    error = failure(calls_of(adapter, harness, target)[call])
    assert isinstance(error, TryAgain)
    assert (error.applied_unknown, error.account) == (True, True)


def test_only_calls_with_several_users_get_the_time_of_a_batch(
    harness: Harness, adapter: Adapter, client: Recording, target: Target
) -> None:
    adapter.is_ready(target.partner_id)
    adapter.send(operation(adapter, "add").name, target, [harness.row(1), harness.row(2)])
    assert [request.batch for request in client.sent] == [False, True]


def test_the_right_credentials_are_accepted(adapter: Adapter) -> None:
    adapter.check_credentials()


@pytest.mark.parametrize("secrets", ["wrong", "missing"])
def test_wrong_and_missing_secrets_are_refused_credentials(
    harness: Harness, client: Recording, target: Target, secrets: str
) -> None:
    given = dict.fromkeys(harness.secrets, "canary-wrong") if secrets == "wrong" else {}
    adapter = open_for(harness, client, secrets=given)
    for call in calls_of(adapter, harness, target).values():
        assert type(failure(call)) is CredentialsRefused


# --- what is not offered ---------------------------------------------------------------------------------------------


def test_values_are_offered_for_dynamic_fields_and_for_nothing_unknown(adapter: Adapter) -> None:
    description = adapter.description
    fields = [*description.settings, *(field for one in description.operations for field in one.fields)]
    for field in fields:
        if field.dynamic:
            assert all(option.value and option.label for option in adapter.options(field.name, {}))
    assert type(failure(lambda: adapter.options("no_such_field", {}))) is Unsupported


def test_an_unknown_operation_is_unsupported(harness: Harness, adapter: Adapter, target: Target) -> None:
    assert type(failure(lambda: adapter.preview("no_such_operation", target, []))) is Unsupported
    assert type(failure(lambda: adapter.send("no_such_operation", target, [harness.row(1)]))) is Unsupported


def failure(call: Callable[[], object]) -> PartnerError:
    """The error that the call raises; it gives nobody away, neither in its text nor in what led to it."""
    with pytest.raises(PartnerError) as caught:
        call()
    error = caught.value
    told = "".join(traceback.format_exception(error)) + error.hint + error.code
    assert "canary-user" not in told
    assert "canary-secret" not in told
    assert error.hint
    return error


def test_the_headers_that_carry_credentials_are_the_ones_described(
    harness: Harness, adapter: Adapter, client: Recording, target: Target
) -> None:
    adapter.send("add", target, [harness.row(1)])
    adapter.check_credentials()
    assert set(client.credential_headers) == {adapter.description.credential_headers}
