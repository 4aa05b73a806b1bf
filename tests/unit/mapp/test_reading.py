"""Our reading of a mutation: audience, user, direction, customer, and everything else."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.mapp.reading import FromBody, MutationReader
from relay.domain.connector import Inbound, InboundFields
from relay.domain.message import Message, Mutation, decode, encode

BODY = FromBody("joined", audience="body.1", customer=123)


def read(entry: object, body: FromBody = BODY, **inbound: Any) -> tuple[str, Mutation]:
    """The mutation as the worker gets to see it."""
    audience, mutation = MutationReader(Inbound(hmac_secret="hmac", **inbound)).read([entry], body)[0]
    message = Message(1, "change", "pangolin", audience, "r", 0.0, mutations=(mutation,))
    assert decode(encode(message)) == message
    return audience, mutation


def why_unreadable(entry: object, **inbound: Any) -> str:
    _, mutation = read(entry, **inbound)
    assert mutation == Mutation(index=0, unreadable=mutation.unreadable), "nothing else of it is kept"
    assert mutation.unreadable is not None
    return mutation.unreadable


# --- audience -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "audience"),
    [
        ({"Audience": "a.1"}, "a.1"),
        ({"AUDIENCE": "a.1"}, "a.1"),
        ({"Audience": 42}, "42"),
        ({"Audience": " a/ü "}, " a/ü "),
        ({"Audience": "x" * 512}, "x" * 512),
        ({}, "body.1"),
        ({"Audience": None}, "body.1"),
        ({"Audience": ""}, "body.1"),
        ({"Audience": "  "}, "body.1"),
    ],
)
def test_the_audience_is_the_mutations_own_else_the_bodys(own: dict[str, object], audience: str) -> None:
    found, mutation = read({**own, "User": "u1"})
    assert (found, mutation.unreadable) == (audience, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 513, "512 characters"),
        ("ü" * 512, "900 bytes"),
        ("a\0", "control"),
        ("a\nb", "control"),
        ("a\x85", "control"),
        (True, "neither text nor a number"),
        (False, "neither text nor a number"),
        (["a.1"], "neither text nor a number"),
        ({"Id": "a.1"}, "neither text nor a number"),
        (2.0**60, "too large"),
    ],
)
def test_an_audience_that_cannot_be_one_is_not_replaced_by_the_bodys(value: object, reason: str) -> None:
    audience, mutation = read({"Audience": value, "User": "u1"})
    assert audience == "body.1", "it travels in that group"
    assert mutation.unreadable is not None
    assert reason in mutation.unreadable


def test_without_any_audience_it_is_unreadable() -> None:
    audience, mutation = read({"User": "u1"}, FromBody("joined"))
    assert (audience, mutation.unreadable) == ("", "It names no audience.")


# --- user -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "user"),
    [
        ({"User": "u1"}, {"id": "u1"}),
        ({"UserId": "u1"}, {"id": "u1"}),
        ({"Id": "u1"}, {"id": "u1"}),
        ({"uSERiD": "u1"}, {"id": "u1"}),
        ({"User": " u1 "}, {"id": " u1 "}),
        ({"User": "日本\t"}, {"id": "日本\t"}),
        ({"User": "x" * 1_024}, {"id": "x" * 1_024}),
        ({"User": None, "UserId": "", "Id": "u3"}, {"id": "u3"}),
        ({"User": 12}, {"id": "12"}),
        ({"User": 0}, {"id": "0"}),
        ({"User": -7}, {"id": "-7"}),
        ({"User": 12.0}, {"id": "12"}),
        ({"User": 12.5}, {"id": "12.5"}),
        ({"User": 1e-7}, {"id": "0.0000001"}),
        ({"User": 12345678901234567890123}, {"id": "12345678901234567890123"}),
        ({"Email": "e", "Phone": "p"}, {"email": "e", "phone": "p"}),
        (
            {"EmailSha256": "1", "PhoneSha256": "2", "Idfa": "3", "Gaid": "4", "CookieId": "5", "email": "6", "PHONE": 7},
            {"email_sha256": "1", "phone_sha256": "2", "idfa": "3", "gaid": "4", "cookie_id": "5", "email": "6", "phone": "7"},
        ),
        ({"User": {"Id": "u1"}}, {"id": "u1"}),
        ({"User": {"user": "u1"}}, {"id": "u1"}),
        ({"User": {"id": 5, "EMAIL": "e"}}, {"id": "5", "email": "e"}),
        ({"User": {"email_sha256": "e", "cookie_id": "c"}}, {"email_sha256": "e", "cookie_id": "c"}),
        ({"User": {"account.CRM": "7", "Agent.web": "8"}}, {"account.CRM": "7", "agent.web": "8"}),
        ({"User": {"Email": "inner"}, "Email": "outer", "Id": "u1"}, {"id": "u1", "email": "inner"}),
    ],
)
def test_identifiers_are_read_under_their_canonical_names(entry: dict[str, object], user: dict[str, str]) -> None:
    _, mutation = read(entry)
    assert (mutation.unreadable, mutation.user) == (None, user)


@pytest.mark.parametrize(
    "entry",
    [
        {"Id": "u1", "Email": "e"},
        {"Email": "e", "Id": "u1"},
        {"User": {"Email": "e", "Id": "u1"}},
        {"Email": "e", "User": {"account.a": "1", "Id": "u1"}},
    ],
)
def test_a_user_has_the_same_key_in_whatever_order_a_request_names_the_identifiers(entry: dict[str, object]) -> None:
    assert read(entry)[1].user_key == "u1"


@pytest.mark.parametrize(
    "entries",
    [
        ({"Phone": "p", "Email": "e"}, {"Email": "e", "Phone": "p"}),
        ({"User": {"phone": "p", "email": "e"}}, {"User": {"email": "e"}, "Phone": "p"}),
        ({"User": {"account.b": "1", "account.a": "2"}}, {"User": {"account.a": "2", "account.b": "1"}}),
        ({"Email": "e", "User": {"agent.w": "1"}}, {"User": {"agent.w": "1", "email": "e"}}),
    ],
)
def test_without_an_id_too(entries: tuple[dict[str, object], dict[str, object]]) -> None:
    one, other = (list(read(entry)[1].user.items()) for entry in entries)
    assert one == other


@pytest.mark.parametrize(
    "entry", [{}, {"User": None}, {"User": ""}, {"User": " \t"}, {"User": True}, {"User": []}, {"User": {}}, {"User": {"Id": ""}}]
)
def test_without_any_identifier_it_is_unreadable(entry: dict[str, object]) -> None:
    assert why_unreadable(entry) == "It names no user."


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * 1_025, "1,024"),
        ("a\0b", "character"),
        (10**1_024, "too long"),
        (2.0**53, "too large"),
        (-1e300, "too large"),
    ],
)
@pytest.mark.parametrize("name", ["User", "Email", "nested"])
def test_an_identifier_that_cannot_be_one_makes_it_unreadable(name: str, value: object, reason: str) -> None:
    entry = {"User": {"account.crm": value}} if name == "nested" else {"User": "u1"} | {name: value}
    assert reason in why_unreadable(entry)


@pytest.mark.parametrize("entry", [None, 1, "u1", [], [["User", "u1"]], True, 1.5])
def test_what_is_no_object_is_unreadable(entry: object) -> None:
    assert why_unreadable(entry) == "It is not an object."


# --- direction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["Type", "Operation", "Action", "ACTION"])
@pytest.mark.parametrize(
    ("word", "direction"),
    [
        ("add", "joined"),
        ("Added", "joined"),
        ("join", "joined"),
        ("JOINED", "joined"),
        ("ADD_TO_AUDIENCE", "joined"),
        ("remove", "left"),
        ("removed", "left"),
        ("Delete", "left"),
        ("left", "left"),
        ("leave", "left"),
        (" REMOVE ", "left"),
        ("REMOVE_FROM_AUDIENCE", "left"),
        ("remove_to_audience", "left"),
    ],
)
@pytest.mark.parametrize("of_request", ["joined", "left"])
def test_the_direction_is_the_mutations_own_where_it_says_add_or_remove(
    field: str, word: str, direction: str, of_request: Any
) -> None:
    _, mutation = read({"User": "u1", field: word}, FromBody(of_request, "a.1"))
    assert (mutation.direction, mutation.fields) == (direction, {})


@pytest.mark.parametrize("value", ["purchase", "", "VALIDATE", None, 1, True, ["remove"], {"Type": "remove"}])
def test_where_it_says_anything_else_it_is_the_requests_and_the_field_is_kept(value: object) -> None:
    _, mutation = read({"User": "u1", "Type": value}, FromBody("left", "a.1"))
    assert (mutation.direction, mutation.fields) == ("left", {"Type": value})


def test_the_first_field_that_says_something_decides() -> None:
    _, mutation = read({"User": "u1", "Action": "add", "Type": "profile", "Operation": "remove"})
    assert (mutation.direction, mutation.fields) == ("left", {"Type": "profile", "Action": "add"})


# --- customer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "customer"),
    [({}, 123), ({"Customer": 456}, 456), ({"customer": "acme"}, "acme"), ({"Customer": None}, 123), ({"Customer": 123}, 123)],
)
def test_the_customer_is_the_mutations_own_else_the_bodys(own: dict[str, object], customer: int | str) -> None:
    _, mutation = read({"User": "u1", **own})
    assert (mutation.customer, mutation.fields) == (customer, {})


@pytest.mark.parametrize("value", [True, 1.5, [], {"Id": 1}, "", "x" * 257, 10**300])
def test_what_cannot_be_a_customer_is_kept_as_a_field(value: object) -> None:
    _, mutation = read({"User": "u1", "Customer": value})
    assert (mutation.customer, mutation.fields) == (123, {"Customer": value})


@pytest.mark.parametrize("value", [True, 1.0])
def test_what_only_equals_the_bodys_customer_is_not_that_customer(value: object) -> None:
    _, mutation = read({"User": "u1", "Customer": value}, FromBody("joined", "a.1", customer=1))
    assert (mutation.customer, type(mutation.fields.get("Customer"))) == (1, type(value))


@pytest.mark.parametrize("value", [123, "123"])
def test_a_customer_is_served_as_number_and_as_text(value: object) -> None:
    assert read({"User": "u1", "Customer": value}, customers=(7, "123"))[1].unreadable is None


@pytest.mark.parametrize("value", [8, "acme", True, [123], {"Id": 123}])
def test_a_customer_that_is_not_served_makes_it_unreadable(value: object) -> None:
    assert "customer" in why_unreadable({"User": "u1", "Customer": value}, customers=(123,))


# --- everything else ------------------------------------------------------------------------------------------------


def test_every_other_field_is_kept_under_its_own_name() -> None:
    extra = {"Score": 1.5, "tags": ["a", {"b": None}], "account.crm": "7", "email_sha256": "x", "": 0, "ünï": True, "n": None}
    _, mutation = read({"User": "u1", **extra})
    assert mutation.fields == extra


def test_unknown_fields_of_a_user_object_are_kept_in_place() -> None:
    _, mutation = read({"User": {"Id": "u1", "Country": "DE", "Email": ["a"], "Phone": None, "Gaid": ""}, "Score": 1})
    assert mutation.user == {"id": "u1"}
    assert mutation.fields == {"Score": 1, "User": {"Country": "DE", "Email": ["a"]}}


def test_an_identifier_one_too_many_is_kept_as_a_field() -> None:
    _, mutation = read({"UserId": "u2", "User": "u1", "Email": {"value": "e"}})
    assert (mutation.user, mutation.fields) == ({"id": "u1"}, {"UserId": "u2", "Email": {"value": "e"}})


def test_of_two_spellings_of_a_name_the_last_counts_and_the_other_is_kept() -> None:
    _, mutation = read({"user": "u1", "User": "u2"})
    assert (mutation.user, mutation.fields) == ({"id": "u2"}, {"user": "u1"})


def test_depth_is_limited_because_it_is_paid_for_again_and_again() -> None:
    def nested(depth: int) -> object:
        return {"a": nested(depth - 1)} if depth else 1

    assert read({"User": "u1", "x": nested(64)})[1].unreadable is None
    assert "nested" in why_unreadable({"User": "u1", "x": nested(65)})
    assert "nested" in why_unreadable({"User": {"Id": "u1", "x": nested(65)}})


# --- names of the connector's own -----------------------------------------------------------------------------------

OWN_NAMES = InboundFields(
    audience=("Segment", "List"),
    user=("Profile",),
    direction=("Change",),
    customer=("Tenant",),
    identifiers={"Mail": "email", "Crm": "account.crm"},
)


def test_a_connector_can_name_every_field_otherwise() -> None:
    entry = {"LIST": "l.1", "profile": "u1", "Change": "left", "tenant": "t", "mail": "e", "Crm": 7}
    audience, mutation = read(entry, fields=OWN_NAMES)
    assert audience == "l.1"
    assert mutation == Mutation(index=0, direction="left", user={"id": "u1", "email": "e", "account.crm": "7"}, customer="t")


def test_the_names_are_tried_in_order() -> None:
    assert read({"List": "second", "Segment": "first", "Profile": "u1"}, fields=OWN_NAMES)[0] == "first"
    assert read({"List": "second", "Segment": None, "Profile": "u1"}, fields=OWN_NAMES)[0] == "second"


def test_its_own_names_take_the_place_of_the_default_ones() -> None:
    entry = {"Audience": "a.1", "User": "u2", "Type": "left", "Customer": 9, "Email": "e", "Profile": "u1"}
    audience, mutation = read(entry, fields=OWN_NAMES)
    assert audience == "body.1"
    assert (mutation.user, mutation.direction, mutation.customer) == ({"id": "u1"}, "joined", 123)
    assert mutation.fields == {"Audience": "a.1", "User": "u2", "Type": "left", "Customer": 9, "Email": "e"}


def test_one_name_in_two_parts_plays_the_first() -> None:
    both = InboundFields(user=("Key",), customer=("Key",), identifiers={"Key": "email"})
    _, mutation = read({"Key": "k"}, fields=both)
    assert (mutation.user, mutation.customer) == ({"id": "k"}, 123)


def test_shapes_without_end_do_not_fill_the_memory() -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    entries = [{"User": {"Id": str(n), f"i{n}": n}, f"x{n}": n} for n in range(5_000)]
    found = reader.read(entries, BODY)
    assert [mutation.user["id"] for _, mutation in found] == [str(n) for n in range(5_000)]
    assert len(reader._plans.kept) <= reader._plans.MOST
    assert len(reader._user_plans.kept) <= reader._user_plans.MOST
