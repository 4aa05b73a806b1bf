"""What every adapter must do, method by method, whatever its partner: the contract of `adapters.contract`."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from adapters.client import content_of
from adapters.contract import Delivered, Description, HttpRequest, Mapped, Rejected
from adapters.preparing import prepare_one
from relay.domain.connector import TRIGGERS
from relay.domain.errors import AudienceGone, AudienceNotReady, CredentialsRefused, PartnerError, TryAgain, Unsupported
from tests.contract.adapters.case_file import Answer
from tests.contract.adapters.delivery import HMAC_SECRET
from tests.contract.adapters.expected import mentioned
from tests.contract.adapters.harness import Opened, case_file_of, description_of, opened, with_case_file
from tests.contract.adapters.scripted_partner import Call
from worker.preview import preview

ADAPTERS = with_case_file()
SHORT: dict[str, Any] = {"timeouts": {"connect": "5s", "answer": "300ms", "batch_answer": "300ms"}}


@pytest.fixture(params=ADAPTERS)
def adapter_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def subject(adapter_name: str, tmp_path: Path) -> Iterator[Opened]:
    with opened(adapter_name, tmp_path) as made:
        yield made
        assert made.partner.faults == []


@pytest.fixture
def without_secrets(adapter_name: str, tmp_path: Path) -> Iterator[Opened]:
    with opened(adapter_name, tmp_path, secrets=False) as made:
        yield made


# --- the description -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["in general", "as configured"])
def description(adapter_name: str, request: pytest.FixtureRequest) -> Description:
    return description_of(adapter_name, configured=request.param)


def test_it_is_described_under_its_own_name(adapter_name: str, description: Description) -> None:
    assert description.name == adapter_name
    assert description.title
    assert description.summary


def test_everything_that_is_asked_for_has_a_title_and_a_name_of_its_own(description: Description) -> None:
    for group in [description.settings, description.secrets, *(one.fields for one in description.operations)]:
        assert len({field.name for field in group}) == len(group)
        assert all(field.name and field.title for field in group)
        assert all(bool(field.choices) == (field.type == "choice" and not field.dynamic) for field in group)
    assert len({one.name for one in description.operations}) == len(description.operations)
    assert all(one.title and one.triggers for one in description.operations)


def test_set_operations_say_which_row_it_is_and_which_way_it_goes(description: Description) -> None:
    for one in description.operations:
        assert all(one.field(name) for name in one.key_fields)
        assert (one.kind == "set") == (one.effect is not None)
        if one.kind == "set":
            assert one.key_fields
        if one.kind == "create":
            assert one.triggers == ("created",)


def test_the_connector_of_the_case_file_is_complete(subject: Opened) -> None:
    required = set(subject.description.required_triggers)
    offered = {trigger for one in subject.description.operations for trigger in one.triggers}
    assert required <= offered <= set(TRIGGERS)
    assert required <= {action.trigger for action in subject.delivery.connector.actions}


def test_its_limits_fit_its_operations(adapter_name: str) -> None:
    described = description_of(adapter_name, configured=True)
    most = [one.max_items for one in described.operations if one.kind != "create"]
    assert 1 <= described.limits.max_items <= max(most)
    assert described.limits.max_bytes > 0
    assert all(described.unsupported.values())


def test_a_description_can_be_shown_as_json(adapter_name: str, description: Description) -> None:
    assert msgspec.json.decode(msgspec.json.encode(description))["name"] == adapter_name


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["absent", None, ""])
def test_a_row_without_anything_that_the_partner_knows_it_by_is_rejected(subject: Opened, value: str | None) -> None:
    for one in subject.description.operations:
        if one.kind == "set":
            values = {} if value == "absent" else dict.fromkeys(one.key_fields, value)
            rejected = prepare_one(subject.adapter, one.name, values)
            assert isinstance(rejected, Rejected)
            assert rejected.code
            assert rejected.hint


def test_many_users_are_prepared_as_each_of_them_is_and_in_their_order(subject: Opened) -> None:
    for operation, [first, second] in subject.rows(2).items():
        users = [first.values, {}, second.values, dict.fromkeys(first.values), first.values]
        prepared = subject.adapter.prepare(operation.name, Mapped.of(users, first.values))
        assert list(prepared) == [prepare_one(subject.adapter, operation.name, values) for values in users]


def test_the_largest_call_that_it_allows_is_one_call_and_taken(subject: Opened) -> None:
    for operation, [row, *_] in subject.rows(1).items():
        subject.partner.calls.clear()
        rows = [row] * operation.max_items
        assert subject.adapter.send(operation.name, subject.target, rows) == [Delivered()] * operation.max_items
        assert [found for call in subject.partner.calls if (found := subject.partner.users_in(call))] == [len(rows)]


def test_nothing_is_sent_to_an_audience_that_does_not_exist_yet(subject: Opened) -> None:
    target = msgspec.structs.replace(subject.target, partner_id="")
    for operation, rows in subject.rows(2).items():
        if operation.kind == "set":
            with pytest.raises(AudienceNotReady):
                subject.adapter.send(operation.name, target, rows)
    assert subject.partner.calls == []


def test_a_repetition_is_the_same_call(subject: Opened) -> None:
    for operation, rows in subject.rows(2).items():
        subject.partner.calls.clear()
        for _ in range(2):
            subject.adapter.send(operation.name, subject.target, rows)
        first, second = (shape(call) for call in subject.partner.calls if subject.partner.users_in(call))
        assert first == second


# --- preview ---------------------------------------------------------------------------------------------------------

Shape = tuple[str, str, dict[str, str], str]


def shape(call: Call) -> Shape:
    """What is compared of a call that was made."""
    return call.method, call.path, call.query, call.text


def shape_of(request: HttpRequest) -> Shape:
    """The same of one that is shown."""
    parts = urlsplit(request.url)
    content = content_of(request) or b""
    return request.method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), content.decode()


def assert_shown(shown: list[HttpRequest], calls: list[Call], subject: Opened) -> None:
    """These are among the calls, in this order, with all of their headers; and no call that carries users is missing."""
    shapes = [shape_of(request) for request in shown]
    matching = [call for call in calls if shape(call) in shapes]
    assert [shape(call) for call in matching] == shapes
    for request, call in zip(shown, matching, strict=True):
        assert {name.lower(): value for name, value in request.headers.items()}.items() <= call.headers.items()
    assert [call.line for call in calls if subject.partner.users_in(call) and shape(call) not in shapes] == []


def test_a_preview_shows_exactly_what_is_sent(subject: Opened) -> None:
    delivery = subject.delivery
    delivery.mutations = subject.mutations(3)
    audience = subject.file.audience
    shown = preview(
        delivery.connector,
        subject.adapter,
        [delivery.message],
        audience_name=audience.name,
        partner_id=audience.partner_id,
    )
    assert subject.partner.calls == [], "a preview calls nobody"

    delivery.publish()
    delivery.work()

    assert shown.calls
    assert_shown([one.request for one in shown.calls], subject.partner.calls, subject)


def test_the_preview_of_a_creation_shows_exactly_what_is_sent(subject: Opened) -> None:
    for one in subject.description.operations:
        if one.kind == "create":
            subject.partner.calls.clear()
            shown = subject.adapter.preview(one.name, subject.target, [])
            assert subject.partner.calls == [], "a preview calls nobody"
            subject.adapter.create_audience(subject.target.name, subject.target.reference)
            assert shown
            assert_shown(shown, subject.partner.calls, subject)


def test_a_preview_needs_no_secret_and_no_audience(without_secrets: Opened) -> None:
    target = msgspec.structs.replace(without_secrets.target, partner_id="")
    for operation, rows in without_secrets.rows(2).items():
        shown = without_secrets.adapter.preview(operation.name, target, rows)
        assert shown
        assert all(request.method and request.url.startswith("http") for request in shown)
    assert without_secrets.partner.calls == []


def test_no_address_and_no_preview_holds_a_secret_and_no_address_an_identifier(subject: Opened) -> None:
    for operation, rows in subject.rows(2).items():
        for request in subject.adapter.preview(operation.name, subject.target, rows):
            assert not mentioned(secrets_of(subject), msgspec.json.encode(request).decode())
            assert not mentioned(people(subject), request.url)


def test_only_calls_with_several_users_get_the_time_of_a_batch(subject: Opened) -> None:
    for operation, rows in subject.rows(2).items():
        alone = subject.adapter.preview(operation.name, subject.target, rows[:1])
        together = subject.adapter.preview(operation.name, subject.target, rows)
        assert not any(request.batch for request in alone)
        assert any(request.batch for request in together) == (operation.max_items > 1)


# --- faults ----------------------------------------------------------------------------------------------------------

REPEATED = "{join(' ', [headers.authorization || '', text])}"
"""A partner that repeats what it was sent, credentials first."""

FAULTS: dict[str, tuple[Answer, type[PartnerError], dict[str, Any]]] = {
    "too many calls": (
        Answer(status=429), TryAgain, {"after_s": None, "account": True, "applied_unknown": False},
    ),
    "too many calls, seconds": (
        Answer(status=429, headers={"Retry-After": "120"}), TryAgain, {"after_s": 120, "account": True},
    ),
    "unavailable, seconds": (
        Answer(status=503, headers={"Retry-After": "90"}), TryAgain, {"after_s": 90, "account": True},
    ),
    "trouble": (
        Answer(status=500, json={"error": REPEATED}), TryAgain, {"after_s": None, "account": False, "applied_unknown": False},
    ),
    "unavailable": (Answer(status=503, text="Not now."), TryAgain, {"after_s": None, "account": False}),
    "a page instead of an answer": (Answer(html="<h1>Welcome</h1>"), TryAgain, {}),
    "credentials refused": (Answer(status=401, json={"error": REPEATED}), CredentialsRefused, {}),
    "no answer": (Answer(do="hang"), TryAgain, {"applied_unknown": True, "account": True}),
}  # fmt: skip


def methods_of(subject: Opened) -> dict[str, Callable[[], object]]:
    """Everything that may call the partner."""
    adapter, target = subject.adapter, subject.target
    sending: dict[str, Callable[[], object]] = {
        operation.name: lambda operation=operation, rows=rows: adapter.send(operation.name, target, rows)  # type: ignore[misc]
        for operation, rows in subject.rows(2).items()
    }
    return {
        "create_audience": lambda: adapter.create_audience(target.name, target.reference),
        "is_ready": lambda: adapter.is_ready(target.partner_id),
        "describe_audience": lambda: adapter.describe_audience(target.partner_id),
        "check_credentials": adapter.check_credentials,
        **{field: lambda field=field: adapter.options(field, settings(subject)) for field in dynamic(subject)},  # type: ignore[misc]
        **sending,
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_the_right_error_in_every_method(adapter_name: str, tmp_path: Path, fault: str) -> None:
    answer, kind, known = FAULTS[fault]
    with opened(adapter_name, tmp_path, document=SHORT if answer.do == "hang" else None) as subject:
        subject.partner.play([msgspec.structs.replace(answer, times="always")])
        called = set()
        for name, method in methods_of(subject).items():
            subject.partner.calls.clear()
            error = failure(subject, method)
            if subject.partner.calls:
                called.add(name)
                assert type(error) is kind, name
                assert {one: getattr(error, one) for one in known} == known, name
        assert {operation.name for operation in subject.rows(1)} <= called


@pytest.mark.parametrize("body", [
    {"error": REPEATED},
    {"message": REPEATED},
    {"error": {"message": REPEATED, "code": 100}},
    {"data": {"code": "RequestValidationError", "message": REPEATED}},
])  # fmt: skip
@pytest.mark.parametrize("status", [400, 401, 403, 409, 500])
def test_what_a_partner_repeats_of_a_call_is_not_shown(subject: Opened, status: int, body: dict[str, Any]) -> None:
    subject.partner.play([Answer(status=status, json=body, times="always")])
    met = [failure(subject, method) for method in methods_of(subject).values()]
    assert any(error for error in met if not isinstance(error, Unsupported))


@pytest.mark.parametrize(
    "adapter_name", [name for name in ADAPTERS if "audience gone" not in case_file_of(name).not_applicable], indirect=True
)
def test_an_audience_that_the_partner_does_not_have_is_gone(subject: Opened) -> None:
    [gone] = [case for case in subject.file.cases if case.title == "audience gone"]
    for ask in (subject.adapter.is_ready, subject.adapter.describe_audience):
        subject.partner.play(gone.answers)
        subject.partner.calls.clear()
        error = failure(subject, lambda ask=ask: ask(subject.target.partner_id))  # type: ignore[misc]
        assert not subject.partner.calls or type(error) is AudienceGone


def test_without_its_secrets_every_method_says_that_the_credentials_are_missing(without_secrets: Opened) -> None:
    refused = 0
    for method in methods_of(without_secrets).values():
        error = failure(without_secrets, method)
        refused += isinstance(error, CredentialsRefused)
        assert error is None or isinstance(error, CredentialsRefused | Unsupported)
    assert refused >= len(without_secrets.rows(1))
    assert without_secrets.partner.calls == [], "nobody is called without them"


def failure(subject: Opened, method: Callable[[], object]) -> PartnerError | None:
    """The error that the call raises, None if it returns; it gives nobody away, neither in its text nor in what led to it."""
    met: PartnerError | None = None
    try:
        method()
    except PartnerError as error:
        met = error
    if met is not None:
        told = "".join(traceback.format_exception(met)) + met.hint + met.code
        assert not mentioned([*people(subject), *secrets_of(subject)], told)
        assert met.hint.isprintable()
        assert met.hint
    return met


# --- what is offered, and what is not ---------------------------------------------------------------------------------


def test_a_partner_that_is_well_accepts_the_credentials_and_shows_the_audience(subject: Opened) -> None:
    for method in (subject.adapter.check_credentials, lambda: subject.adapter.is_ready(subject.target.partner_id)):
        assert isinstance(failure(subject, method), Unsupported | None)
    try:
        described = subject.adapter.describe_audience(subject.target.partner_id)
    except Unsupported:
        return
    assert subject.target.name in described.values()
    msgspec.json.encode(described)


def test_values_are_offered_for_dynamic_fields_and_for_nothing_unknown(subject: Opened) -> None:
    for field in dynamic(subject):
        assert all(option.value and option.label for option in subject.adapter.options(field, settings(subject)))
    assert type(failure(subject, lambda: subject.adapter.options("no_such_field", {}))) is Unsupported


def test_an_unknown_operation_is_unsupported(subject: Opened) -> None:
    adapter, target = subject.adapter, subject.target
    [rows, *_] = subject.rows(1).values()
    for call in (
        lambda: adapter.preview("no_such_operation", target, []),
        lambda: adapter.send("no_such_operation", target, rows),
        lambda: prepare_one(adapter, "no_such_operation", {}),
    ):
        assert type(failure(subject, call)) is Unsupported


# --- the parts of these ----------------------------------------------------------------------------------------------


def dynamic(subject: Opened) -> list[str]:
    """Fields whose values the partner knows."""
    described = subject.description
    fields = [*described.settings, *(field for one in described.operations for field in one.fields)]
    return [field.name for field in fields if field.dynamic]


def settings(subject: Opened) -> dict[str, Any]:
    return dict(subject.delivery.connector.settings)


def secrets_of(subject: Opened) -> list[str]:
    """In clear text, and what is certain to be seen of them where they are encoded as Basic authentication does."""
    values = [*subject.file.secrets.values(), HMAC_SECRET]
    sent = [call.headers["authorization"].partition(" ")[2] for call in subject.partner.calls if "authorization" in call.headers]
    return values + [one for one in sent if one]


def people(subject: Opened) -> list[str]:
    """How the users 0 to 3 are named, by the DMP and to the partner."""
    named = [value for number in range(4) for value in subject.file.user_number(number).values()]
    return named + [subject.file.row_of(number) for number in range(4)]
