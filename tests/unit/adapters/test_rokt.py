"""What is particular to the adapter for ROKT, against a small ROKT of our own."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Adapter, Delivered, NotYet, Prepared, Rejected, Row, RowResult, Target, TokenSource
from adapters.preparing import prepare_one
from adapters.registry import describe, open_adapter
from adapters.rokt import Rokt
from relay.backends.embedded import EmbeddedBackend
from relay.connectors.completeness import missing
from relay.connectors.document import expand
from relay.domain.connector import Connector, Inbound, Limits, Timeouts
from relay.domain.errors import BatchRefused, CredentialsRefused, DocumentError, Misconfigured, TryAgain, Unsupported
from relay.domain.message import VERSION, Message, Mutation
from tests.clock import TurnedClock
from tests.contract.adapters.harness import NoTokens
from tests.partners.rokt import ACCOUNT, SECRETS, TOKEN, SmallRokt
from worker.preview import preview
from worker.tokens import SharedTokens

EXAMPLE = (Path(__file__).parents[3] / "docs" / "examples" / "rokt.yaml").read_text()
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
TARGET = Target("a.1", "Spring", "Spring", "rokt/a.1")
NO_TOKENS = NoTokens()
UUID = "0b5b6b0c-5ac1-5d7c-9d0b-6a9a2b9a3d{:02}"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def opened(
    url: str = "", *, secrets: Mapping[str, str] = SECRETS, tokens: TokenSource = NO_TOKENS, **settings: Any
) -> Adapter:
    given = {"account_id": ACCOUNT, **({"base_url": url, "allow_private_network": True} if url else {}), **settings}
    connector = Connector(
        name="rokt",
        document="rokt",
        document_version=1,
        adapter="rokt",
        inbound=Inbound(hmac_secret="x"),
        actions=(),
        limits=Limits(batch=Rokt.description.limits),
        settings=given,
        timeouts=Timeouts(20, 20, 20),
    )
    return open_adapter(connector, secrets, clock=TurnedClock(NOW), tokens=tokens)


@pytest.fixture
def rokt() -> Iterator[SmallRokt]:
    with SmallRokt() as server:
        yield server


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[SharedTokens]:
    clock = TurnedClock(NOW)
    backend = EmbeddedBackend.open(tmp_path / "state", clock)
    yield SharedTokens(backend.tokens, clock)
    backend.close()


def prepared(adapter: Adapter, operation: str, **values: Any) -> Prepared:
    made = prepare_one(adapter, operation, {name.replace("__", "."): value for name, value in values.items()})
    assert isinstance(made, Prepared), made
    return made


def rejected(operation: str, **values: Any) -> Rejected:
    made = prepare_one(opened(), operation, {name.replace("__", "."): value for name, value in values.items()})
    assert isinstance(made, Rejected), made
    return made


def rows(adapter: Adapter, operation: str, *many: dict[str, Any]) -> list[Row]:
    return [Row(prepared(adapter, operation, **one).values, UUID.format(number), NOW) for number, one in enumerate(many)]


def send(adapter: Adapter, operation: str, *many: dict[str, Any]) -> list[RowResult]:
    return adapter.send(operation, TARGET, rows(adapter, operation, *many))


def an_event(**values: Any) -> dict[str, Any]:
    return {"eventType": "conversion", "email": "ann@example.com", **values}


# --- members ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_users_are_included_in_and_excluded_from_the_list_of_the_audience(rokt: SmallRokt, version: str) -> None:
    adapter = opened(rokt.url, version=version)
    both = ({"email": "Ann@example.com"}, {"email": "bob @example.com"})
    assert send(adapter, "add", *both) == [Delivered(), Delivered()]
    assert rokt.lists == {"Spring": {"ann@example.com", "bob@example.com"}}
    assert send(adapter, "remove", both[0]) == [Delivered()]
    assert rokt.lists == {"Spring": {"bob@example.com"}}


def test_v1_names_no_account_and_sends_the_bare_key_to_the_older_address(rokt: SmallRokt) -> None:
    send(opened(rokt.url, version="V1"), "add", {"email": "ann@example.com"})
    [(path, headers, body)] = rokt.calls
    assert (path, headers["authorization"]) == ("/api/1.0/import/suppression", SECRETS["audience_api_key"])
    assert body == {"action": "include", "list": "Spring", "emails": ["ann@example.com"]}


@pytest.mark.parametrize(
    "given", ["ann@example.com", " ANN@ example.com\t", sha("ann@example.com"), sha("ann@example.com").upper()]
)
def test_what_is_mapped_to_the_hash_is_hashed_unless_it_is_a_hash_already(given: str) -> None:
    assert prepared(opened(), "add", email_sha256=given).values == {"sha256s": sha("ann@example.com")}


def test_a_hash_where_clear_text_belongs_rejects_the_user() -> None:
    assert rejected("add", email=sha("ann@example.com")).code == "already_hashed"


def test_of_a_user_with_both_only_the_hash_is_sent() -> None:
    assert prepared(opened(), "add", email="ann@example.com", email_sha256=sha("other")).values == {"sha256s": sha("other")}


def test_a_user_is_the_same_member_in_clear_text_and_hashed_and_the_two_never_share_a_call() -> None:
    clear, hashed = (prepared(opened(), "add", **{field: "Ann@example.com"}) for field in ("email", "email_sha256"))
    assert clear.keys == hashed.keys == (sha("ann@example.com"),)
    assert clear.group != hashed.group


def test_who_has_no_usable_e_mail_is_rejected() -> None:
    assert rejected("add", email="nobody").code == "unusable_value"
    assert rejected("add").code == "missing_field"


def test_a_call_takes_no_more_members_than_one_of_1_mb_holds() -> None:
    operation = Rokt.description.operation("add")
    assert operation is not None
    assert operation.max_items * len(f'"{sha("")}",') < Rokt.description.limits.max_bytes


# --- lists -----------------------------------------------------------------------------------------------------------


def test_an_audience_is_the_list_of_its_name_and_making_it_calls_nobody(rokt: SmallRokt) -> None:
    adapter = opened(rokt.url)
    assert adapter.create_audience("Spring", "rokt/a.1") == "Spring"
    assert adapter.is_ready("Spring")
    assert rokt.calls == []


@pytest.mark.parametrize(
    ("expression", "name", "list_name"),
    [
        ("audience.name", "Spring", "Spring"),
        ("audience.name", "  Spring ", "Spring"),
        ("audience.name", "", "a/1"),
        ("audience.id", "Spring", "a/1"),
        ("join('-', ['dmp', audience.id, lower(audience.name)])", "Spring", "dmp-a/1-spring"),
        ("'Customers'", "Spring", "Customers"),
        ("'AdvertiserDatabase'", "Spring", "AdvertiserDatabase"),
        ('`"AdvertiserDatabase"`', "Spring", "AdvertiserDatabase"),
    ],
)
def test_the_list_is_an_expression_over_the_audience(expression: str, name: str, list_name: str) -> None:
    assert opened(list=expression).create_audience(name, "rokt/a/1") == list_name


@pytest.mark.parametrize(
    ("expression", "one"),
    [("audience.name", False), ("audience.id", False), ("join('-', [audience.name])", False), ("abs(audience.name)", False),
     ("'Customers'", True), ("'AdvertiserDatabase'", True), ("audience.name == 'Spring' && 'Spring' || 'Others'", True)],
)  # fmt: skip
def test_a_list_that_all_audiences_would_share_asks_for_actions_that_are_limited_to_one(expression: str, one: bool) -> None:
    assert Rokt.describe({"list": expression}).one_audience is one
    document = EXAMPLE.replace("settings:", f'settings:\n  list: "{expression}"')
    if one:
        with pytest.raises(DocumentError) as caught:
            expand(document, describe=describe)
        assert [path for path, _ in caught.value.problems] == ["actions[0].audiences", "actions[1].audiences"]
        limited = "operation: {}\n    audiences: [Customers]"
        for operation in ("add", "remove"):
            document = document.replace(f"operation: {operation}", limited.format(operation))
    assert expand(document, describe=describe)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("audience.name", "AdvertiserDatabase"),
        ("audience.name", " advertiserdatabase "),
        ("audience.name[0] || 'AdvertiserDatabase'", "Spring"),
        ("audience.name == 'Spring' && 'AdvertiserDatabase' || audience.name", "Spring"),
    ],
)
def test_nobody_gets_into_the_default_list_by_accident(expression: str, name: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        opened(list=expression).create_audience(name, "rokt/a.1")
    assert caught.value.code == "default_list"


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("trim(audience.name)", " "),
        ("audience.name", "x" * 256),
        ("audience.name", "two\nlines"),
        ("length(audience.name)", "Spring"),
        ("abs(audience.name)", "Spring"),
        ("`null`", "Spring"),
    ],
)
def test_a_name_that_no_list_can_have_is_a_matter_of_the_set_up(expression: str, name: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        opened(list=expression).create_audience(name, "rokt/a.1")
    assert caught.value.code == "bad_list"


def test_a_call_names_the_list_that_was_fixed_with_the_audience_and_a_preview_the_one_that_will_be() -> None:
    adapter = opened(list="audience.id")
    row = rows(adapter, "add", {"email": "ann@example.com"})
    listed = [adapter.preview("add", Target("a.1", "Spring", there, "rokt/a.1"), row)[0].body["list"] for there in ("Old", "")]
    assert listed == ["Old", "a.1"]


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_an_event_arrives_with_its_data(
    rokt: SmallRokt, tokens: SharedTokens, version: str
) -> None:
    values = an_event(
        clientEventId="order-7",
        eventTime="2027-01-15 08:30+01:00",
        emailSha256="Ann@Example.com",
        roktTrackingId=" abc ",
        objectData__amount=12.5,
        objectData__items=["a", {"b": None}],
        objectData__new=True,
        metaData__source="Käse",
    )
    assert send(opened(rokt.url, version=version, tokens=tokens), "send_event", values) == [Delivered()]
    assert rokt.events == {
        "order-7": {
            "clientEventId": "order-7",
            "eventType": "conversion",
            "eventTime": "2027-01-15T07:30:00.000Z",
            "objectData": [
                {"name": "amount", "value": "12.5"},
                {"name": "items", "value": '["a",{"b":null}]'},
                {"name": "new", "value": "true"},
                {"name": "email", "value": "ann@example.com"},
                {"name": "emailsha256", "value": sha("ann@example.com")},
                {"name": "passbackconversiontrackingid", "value": "abc"},
            ],
            "metaData": [{"name": "source", "value": "Käse"}],
        }
    }


def test_an_event_without_id_and_time_has_those_of_its_mutation_so_that_a_retry_repeats_them(rokt: SmallRokt) -> None:
    adapter = opened(rokt.url)
    [row] = rows(adapter, "send_event", an_event())
    adapter.send("send_event", TARGET, [row])
    [(_, _, first)] = rokt.calls
    assert first["events"][0]["clientEventId"] == UUID.format(0)
    assert first["events"][0]["eventTime"] == "2027-01-15T08:00:00.000Z"
    adapter.send("send_event", TARGET, [row])
    assert rokt.calls[1][2] == first


@pytest.mark.parametrize(
    "who",
    [
        {"email": "ann@example.com"},
        {"emailSha256": "ann@example.com"},
        {"roktTrackingId": 77},
        {"email": "?", "roktTrackingId": "77"},
    ],
)
def test_one_identifier_is_enough_for_an_event(who: dict[str, Any]) -> None:
    prepared(opened(), "send_event", eventType="conversion", **who)


@pytest.mark.parametrize("who", [{}, {"email": "?"}, {"roktTrackingId": " "}, {"objectData__email": "ann@example.com"}])
def test_an_event_of_nobody_is_rejected(who: dict[str, Any]) -> None:
    assert rejected("send_event", eventType="conversion", **who).code == "no_identifier"


def test_an_event_without_a_type_is_rejected() -> None:
    assert rejected("send_event", email="ann@example.com").code == "missing_field"


@pytest.mark.parametrize(
    ("field", "longest"),
    [("clientEventId", 36), ("eventType", 128), ("roktTrackingId", 65_536), ("objectData__x", 65_536), ("metaData__x", 65_536)],
)
def test_what_is_longer_than_rokt_takes_is_rejected(field: str, longest: int) -> None:
    prepared(opened(), "send_event", **an_event(**{field: "x" * longest}))
    refused = rejected("send_event", **an_event(**{field: "x" * (longest + 1)}))
    assert refused.code == "too_long"
    assert f"{longest:,}" in refused.hint


@pytest.mark.parametrize(
    "moment",
    [NOW, NOW + 299, NOW - 540 * 86_400, f"{NOW:.0f}", NOW * 1000, "2027-01-15T08:04:59Z", "2027-01-15", "2025-08-01T00:00:00"],
)  # fmt: skip
def test_an_event_can_be_eighteen_months_old_and_five_minutes_ahead(moment: Any) -> None:
    prepared(opened(), "send_event", **an_event(eventTime=moment))


@pytest.mark.parametrize(
    "moment",
    [NOW + 301, "2027-01-15T08:05:01Z", "2025-06-30", 0, "yesterday", [NOW], True, "0001-01-01T00:00:00+14:00"],
)
def test_an_event_from_another_time_is_rejected_before_it_costs_its_neighbours(moment: Any) -> None:
    assert rejected("send_event", **an_event(eventTime=moment)).code in ("bad_event_time", "not_text")


def test_names_that_rokt_keeps_for_itself_cannot_be_mapped() -> None:
    document = EXAMPLE.replace("objectData.amount", "objectData.Rokt.amount")
    with pytest.raises(DocumentError) as caught:
        expand(document, describe=describe)
    assert caught.value.problems == [
        ("actions[2].mapping.objectData.Rokt.amount", "Names that begin with rokt. are the partner's own.")
    ]


# --- what ROKT answers to events ------------------------------------------------------------------------------------


def unprocessed(*entries: Any) -> tuple[int, Any]:
    return 200, {"data": {"unprocessedRecords": list(entries)}}


def test_an_event_that_was_not_processed_is_rejected_and_its_neighbours_are_not(rokt: SmallRokt) -> None:
    entry = {"error": {"code": "ValidationError", "message": "ann@example.com"}, "record": {"clientEventId": UUID.format(1)}}
    rokt.planned.append(unprocessed(entry))
    first, second, third = send(opened(rokt.url), "send_event", an_event(), an_event(), an_event())
    assert (first, third) == (Delivered(), Delivered())
    assert isinstance(second, Rejected)
    assert second.code == "ValidationError"
    assert "ann" not in second.hint


def test_events_with_one_id_share_its_fate(rokt: SmallRokt) -> None:
    rokt.planned.append(unprocessed({"error": {"code": "ValidationError"}, "record": {"clientEventId": "order-7"}}))
    results = send(opened(rokt.url), "send_event", *[an_event(clientEventId="order-7")] * 2, an_event())
    assert [type(one) for one in results] == [Rejected, Rejected, Delivered]


@pytest.mark.parametrize(
    "entry", [{}, None, "x", {"record": []}, {"record": {"clientEventId": "another"}}, {"clientEventId": [1]}]
)
def test_an_entry_that_names_no_event_is_about_the_only_one_or_has_the_call_halved(rokt: SmallRokt, entry: Any) -> None:
    adapter = opened(rokt.url)
    rokt.planned += [unprocessed(entry), unprocessed(entry)]
    [result] = send(adapter, "send_event", an_event())
    assert isinstance(result, Rejected)
    assert result.code == "unprocessed"
    with pytest.raises(BatchRefused):
        send(adapter, "send_event", an_event(), an_event())


@pytest.mark.parametrize(
    "code", ["ann@example.com", "Smith", "conversion", "two words", "4711", "", None, ["ValidationError"], "x" * 50]
)
def test_a_code_that_could_be_something_of_the_event_is_not_shown(rokt: SmallRokt, code: Any) -> None:
    rokt.planned.append(unprocessed({"error": {"code": code}}))
    [result] = send(opened(rokt.url), "send_event", an_event(objectData__lastname="Smith"))
    assert isinstance(result, Rejected)
    assert result.code == "unprocessed"


def test_an_event_that_rokt_had_trouble_with_is_sent_again(rokt: SmallRokt) -> None:
    entry = {"error": {"code": "InternalServerError"}, "record": {"clientEventId": UUID.format(0)}}
    rokt.planned.append(unprocessed(entry))
    results = send(opened(rokt.url), "send_event", an_event(), an_event())
    assert isinstance(results[0], NotYet)
    assert results[1] == Delivered()


IN_TROUBLE = {"error": {"code": "InternalServerError"}}


def test_an_event_that_v1_had_trouble_with_is_sent_again_where_its_neighbours_were_taken(
    rokt: SmallRokt, tokens: SharedTokens
) -> None:
    adapter = opened(rokt.url, version="V1", tokens=tokens)
    entry = {**IN_TROUBLE, "record": {"clientEventId": UUID.format(0)}}
    rokt.planned += [(200, {"access_token": TOKEN}), unprocessed(entry)]
    both = send(adapter, "send_event", an_event(), an_event())
    assert isinstance(both[0], NotYet)
    assert both[1] == Delivered()
    assert send(adapter, "send_event", an_event()) == [Delivered()], "alone it has another key"


@pytest.mark.parametrize("event", [{}, {"eventTime": "2027-01-15T07:59:00Z"}], ids=["own time", "mapped time"])
def test_v1_takes_no_event_again_under_the_same_key_so_it_is_sent_once_more_under_another(
    rokt: SmallRokt, tokens: SharedTokens, event: dict[str, Any]
) -> None:
    rokt.planned += [(200, {"access_token": TOKEN}), unprocessed(IN_TROUBLE)]
    assert send(opened(rokt.url, version="V1", tokens=tokens), "send_event", an_event(**event)) == [Delivered()]


@pytest.mark.parametrize("second", [unprocessed(IN_TROUBLE), (500, {}), (401, {})], ids=["trouble", "500", "401"])
def test_an_event_that_v1_had_trouble_with_twice_is_rejected_and_never_taken_for_delivered(
    rokt: SmallRokt, tokens: SharedTokens, second: tuple[int, Any]
) -> None:
    rokt.planned += [(200, {"access_token": TOKEN}), unprocessed(IN_TROUBLE), second, (401, {}), (401, {})]
    [result] = send(opened(rokt.url, version="V1", tokens=tokens), "send_event", an_event())
    assert isinstance(result, Rejected)
    assert "twice" in result.hint


@pytest.mark.parametrize(
    "body",
    [b"<html>", b'{"data": ', [], "fine", 1, {"data": []}, {"data": {"unprocessedRecords": 1}}, {"data": {"code": "Queued"}}],
)
def test_an_answer_that_cannot_be_read_is_no_success(rokt: SmallRokt, body: Any) -> None:
    rokt.planned.append((200, body))
    with pytest.raises(TryAgain) as caught:
        send(opened(rokt.url), "send_event", an_event())
    assert caught.value.code == "unreadable_answer"


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"unprocessedRecords": []}}, {"data": None}, b""])
def test_an_answer_that_names_no_event_is_a_success(rokt: SmallRokt, body: Any) -> None:
    rokt.planned.append((200, body))
    assert send(opened(rokt.url), "send_event", an_event()) == [Delivered()]


# --- version 1 -------------------------------------------------------------------------------------------------------


def test_v1_sends_events_with_a_token_that_all_of_them_share(
    rokt: SmallRokt, tokens: SharedTokens
) -> None:
    adapter = opened(rokt.url, version="V1", tokens=tokens)
    send(adapter, "send_event", an_event(clientEventId="1"))
    send(adapter, "send_event", an_event(clientEventId="2"))
    assert [path for path, _, _ in rokt.calls] == ["/auth/oauth2/token", "/v1/events", "/v1/events"]
    assert {headers["authorization"] for path, headers, _ in rokt.calls if path == "/v1/events"} == {f"Bearer {TOKEN}"}


def test_v1_repeats_the_key_of_a_call_with_the_call_and_409_says_that_it_was_taken(
    rokt: SmallRokt, tokens: SharedTokens
) -> None:
    adapter = opened(rokt.url, version="V1", tokens=tokens)
    both = (an_event(), an_event())
    assert send(adapter, "send_event", *both) == send(adapter, "send_event", *both) == [Delivered(), Delivered()]
    first, second = (headers["idempotency-key"] for path, headers, _ in rokt.calls if path == "/v1/events")
    assert first == second
    assert uuid.UUID(first).version == 4
    assert len(rokt.keys) == 1


@pytest.mark.parametrize(
    ("changed", "same"),
    [({"eventTime": "2027-01-15T07:59:00Z"}, True), ({"objectData__amount": 5}, False), ({"clientEventId": "another"}, False)],
)
def test_the_key_of_a_call_is_another_for_other_events_and_the_same_where_only_the_time_was_computed_anew(
    changed: dict[str, Any], same: bool
) -> None:
    adapter = opened(version="V1")
    keys = [
        adapter.preview("send_event", TARGET, rows(adapter, "send_event", an_event(**more)))[0].headers["Idempotency-Key"]
        for more in ({"eventTime": "2027-01-15T07:58:00Z"}, {"eventTime": "2027-01-15T07:58:00Z", **changed})
    ]
    assert (keys[0] == keys[1]) is same


def test_409_is_no_success_in_v2_nor_for_members(rokt: SmallRokt) -> None:
    rokt.planned += [(409, {}), (409, {}), (409, {})]
    with pytest.raises(Misconfigured):
        send(opened(rokt.url), "send_event", an_event())
    for version in ("V1", "V2"):
        with pytest.raises(Misconfigured):
            send(opened(rokt.url, version=version), "add", {"email": "ann@example.com"})


# --- credentials and the connector -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "path"), [("V1", "/auth/oauth2/token"), ("V2", "/v3/auth-check")])
def test_credentials_are_checked_by_a_call_that_changes_nothing(rokt: SmallRokt, version: str, path: str) -> None:
    opened(rokt.url, version=version).check_credentials()
    wrong = opened(rokt.url, version=version, secrets={**SECRETS, "client_secret": "rsec-wrong"})
    with pytest.raises(CredentialsRefused) as caught:
        wrong.check_credentials()
    assert {one for one, _, _ in rokt.calls} == {path}
    assert "rsec" not in str(caught.value)


def test_a_check_that_rokt_does_not_understand_is_a_matter_of_the_set_up(rokt: SmallRokt) -> None:
    rokt.planned.append((400, {}))
    with pytest.raises(Misconfigured) as caught:
        opened(rokt.url).check_credentials()
    assert "settings.account_id" in str(caught.value)


def test_a_check_of_v1_asks_rokt_and_not_the_tokens_that_are_kept(
    rokt: SmallRokt, tokens: SharedTokens
) -> None:
    adapter = opened(rokt.url, version="V1", tokens=tokens)
    send(adapter, "send_event", an_event())
    rokt.planned.append((401, {"error": "invalid_client"}))
    with pytest.raises(CredentialsRefused):
        adapter.check_credentials()


@pytest.mark.parametrize(
    ("status", "error", "what_to_do"),
    [
        (401, CredentialsRefused, "settings.account_id"),
        (403, CredentialsRefused, "settings.version"),
        (404, Misconfigured, "settings.base_url"),
        (400, BatchRefused, "what the mapping makes of them"),
        (413, BatchRefused, "limits.batch"),
        (207, TryAgain, "not known"),
    ],
)
def test_each_refusal_says_what_to_do(rokt: SmallRokt, status: int, error: type[Exception], what_to_do: str) -> None:
    rokt.planned.append((status, {"data": {"message": "ann@example.com"}}))
    with pytest.raises(error) as caught:
        send(opened(rokt.url), "add", {"email": "ann@example.com"})
    assert what_to_do in str(caught.value)
    assert str(caught.value).endswith(f"(status {status}).")


@pytest.mark.parametrize(
    ("version", "members", "events"),
    [
        ("V1", "https://data.rokt.com/api/1.0/import/suppression", "https://api.rokt.com/v1/events"),
        ("V2", "https://data.rokt.com/v3/import/suppression", "https://api.rokt.com/v2/events"),
    ],
)
def test_without_an_address_of_its_own_a_connector_calls_rokts_hosts(version: str, members: str, events: str) -> None:
    adapter = opened(version=version, secrets={})
    urls = [
        adapter.preview(operation, TARGET, rows(adapter, operation, values))[0].url
        for operation, values in (("add", {"email": "ann@example.com"}), ("send_event", an_event()))
    ]
    assert urls == [members, events]


def test_an_address_in_the_own_network_has_to_be_allowed(rokt: SmallRokt) -> None:
    with pytest.raises(Misconfigured):
        opened(rokt.url, allow_private_network=False).check_credentials()
    assert rokt.calls == []


def test_rokt_does_not_describe_its_lists() -> None:
    with pytest.raises(Unsupported):
        opened().describe_audience("Spring")


def test_v1_needs_a_key_for_audiences_as_well() -> None:
    needed = [
        [secret.name for secret in Rokt.describe({"version": version}).secrets if secret.required] for version in ("V1", "V2")
    ]
    assert needed == [["client_id", "client_secret", "audience_api_key"], ["client_id", "client_secret"]]


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("list", "AdvertiserDatabase", "has quotes of its own"),
        ("list", "audience.size", "'audience' has no 'size'"),
        ("list", "user.email", "begins with one of audience"),
        ("list", "audience.name |", "ends too early"),
        ("list", "join('', [audience.name, now()])", "now() has no meaning"),
        ("account_id", "1" * 65, "at most 64 characters"),
        ("version", "V3", "one of: V1, V2"),
    ],
)
def test_settings_that_cannot_work_are_errors_of_the_document(setting: str, value: str, sentence: str) -> None:
    lines = [line for line in EXAMPLE.splitlines() if not line.strip().startswith(f"{setting}:")]
    lines.insert(lines.index("settings:") + 1, f"  {setting}: {value!r}" if '"' not in value else f"  {setting}: {value}")
    with pytest.raises(DocumentError) as caught:
        expand("\n".join(lines), describe=describe)
    [(path, said)] = caught.value.problems
    assert path == f"settings.{setting}"
    assert sentence in said


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_can_be_applied_as_it_is_and_lacks_nothing_but_its_secrets(tmp_path: Path) -> None:
    [connector] = expand(EXAMPLE, describe=describe)
    backend = EmbeddedBackend.open(tmp_path, TurnedClock(NOW))
    try:
        description = describe("rokt", connector.settings)
        assert description is not None
        lacking = missing(connector, description, backend.secrets)
    finally:
        backend.close()
    assert [sentence.split("'")[1] for sentence in lacking] == ["rokt-hmac", "rokt-client-id", "rokt-client-secret"]


def test_unless_the_document_says_otherwise_a_hundred_users_or_ten_minutes_or_1_mb_gather() -> None:
    [connector] = expand(EXAMPLE, describe=describe)
    batch = connector.limits.batch
    assert (batch.max_items, batch.max_bytes, batch.max_age_s) == (100, 1_000_000, 600.0)


def test_a_user_who_joins_can_be_included_and_cause_an_event() -> None:
    [connector] = expand(EXAMPLE.replace("enabled: false", "enabled: true"), describe=describe)
    adapter = open_adapter(connector, {}, clock=TurnedClock(NOW), tokens=NO_TOKENS)
    joined = Mutation(0, "joined", {"email": "Ann@example.com"}, {"Amount": 99})
    message = Message(VERSION, "change", "rokt", "a.1", "request-1", NOW, mutations=(joined,))
    shown = preview(connector, adapter, [message], audience_name="Buyers", partner_id="")
    include, report = (call.request.body for call in shown.calls)
    assert (include["action"], include["list"], include["sha256s"]) == ("include", "Buyers", [sha("ann@example.com")])
    assert {one["name"]: one["value"] for one in report["events"][0]["objectData"]} == {
        "conversiontype": "purchase",
        "amount": "99",
        "currency": "EUR",
        "emailsha256": sha("ann@example.com"),
    }
