"""Who is meant by an identifier that somebody typed."""

from __future__ import annotations

import pytest

from relay.domain.message import VERSION, Message, Mutation, encode
from relay.domain.outcome import hash_user
from relay.domain.person import Person

ADDRESS = "Jo.Doe@Example.com"
PHONE = "+49 170 123-45 67"


def _body(name: str, value: str) -> bytes:
    mutations = (Mutation(index=0, user={name: value}),)
    return encode(Message(VERSION, "change", "pangolin", "a.1", "request-1", 1.0, mutations=mutations))


RECOGNISED = [
    ("an ID", "u-1", "id", "u-1"),
    ("an account's identifier", "u-1", "account.shop", "u-1"),
    ("an agent's identifier", "u-1", "agent.web", "u-1"),
    ("an ID with quotes and umlauts", 'Ä"\\1', "id", 'Ä"\\1'),
    ("an address", ADDRESS, "email", ADDRESS),
    ("an address in another case", ADDRESS, "email", "JO.DOE@example.COM"),
    ("an address with spaces around it", f"  {ADDRESS}\n", "email", f" {ADDRESS} "),
    ("an address as an ID", ADDRESS, "id", "jo.doe@example.com"),
    ("an address with umlauts in another case", "jö@exämple.com", "email", "JÖ@EXÄMPLE.com"),
    ("the hash of an address in lower case", ADDRESS, "email_sha256", hash_user("jo.doe@example.com")),
    ("the hash of an address as it is", ADDRESS, "email_sha256", hash_user(ADDRESS)),
    ("a hash in capitals", ADDRESS, "email_sha256", hash_user("jo.doe@example.com").upper()),
    ("the hash of an ID", "u-1", "account.shop", hash_user("u-1")),
    ("a hash that is typed", hash_user("x").upper(), "email_sha256", hash_user("x")),
    ("a phone number", PHONE, "phone", "+491701234567"),
    ("a phone number without +", PHONE, "phone", "491701234567"),
    ("a phone number with 00", PHONE, "phone", "0049 (170) 12 34567"),
    ("a phone number typed with 00", "0049 170 1234567", "phone", "+49 170/1234567"),
    ("the hash of a phone number", PHONE, "phone_sha256", hash_user("+491701234567")),
    ("the hash of its digits", PHONE, "phone_sha256", hash_user("491701234567")),
    ("the hash of its digits behind 00", PHONE, "phone_sha256", hash_user("00491701234567")),
    ("a phone number typed with the 0 of its country", "+49 (0)170 1234567", "phone", "+491701234567"),
    ("a phone number with the 0 of its country", PHONE, "phone", "+49 (0)170 1234567"),
    ("an advertising ID in another case", "AEBE52E7-03EE-455A-B3C4-E57283966239", "idfa", "aebe52e7-03ee-455a-b3c4-e57283966239"),
    ("an advertising ID in capitals", "aebe52e7-03ee-455a-b3c4-e57283966239", "gaid", "AEBE52E7-03EE-455A-B3C4-E57283966239"),
    ("the hash of an ID that is typed", hash_user("U-1"), "id", "U-1"),
    ("the hash of an address that is typed", hash_user("jo.doe@example.com").upper(), "email", f" {ADDRESS}"),
    ("the hash of a phone number that is typed", hash_user("+491701234567"), "phone", "0049 170 1234567"),
]


@pytest.mark.parametrize(("typed", "name", "value"), [case[1:] for case in RECOGNISED], ids=[case[0] for case in RECOGNISED])
def test_a_mutation_is_recognised_by(typed: str, name: str, value: str) -> None:
    person = Person(typed)
    mutation = Mutation(index=0, user={"cookie_id": "other", name: value})
    assert person.matches(mutation)
    assert person.identifiers(mutation) == (name,)
    assert person.may_be_in(_body(name, value))


OTHERS = [
    ("an ID in another case", "u-1", "id", "U-1"),
    ("a longer ID", "u-1", "id", "u-10"),
    ("a part of an address", "doe@example.com", "email", ADDRESS),
    ("the digits of a phone number as an ID", PHONE, "id", "491701234567"),
    ("a phone number without its country", "0170 1234567", "phone", "+491701234567"),
    ("another phone number", PHONE, "phone", "+491701234568"),
    ("a hash of something else", ADDRESS, "email_sha256", hash_user("somebody@example.com")),
]


@pytest.mark.parametrize(("typed", "name", "value"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_somebody_else_is_not_recognised_by(typed: str, name: str, value: str) -> None:
    assert not Person(typed).matches(Mutation(index=0, user={name: value}))


def test_other_fields_are_no_identifiers() -> None:
    assert not Person("7").matches(Mutation(index=7, user={"id": "8"}, fields={"Score": "7"}))


def test_most_bodies_need_not_be_decoded() -> None:
    body = _body("email", "somebody@example.com")
    assert not any(Person(typed).may_be_in(body) for typed in ("u-1", "7", ADDRESS, PHONE))


def test_digits_alone_are_the_phone_number_of_a_user_who_has_no_other_key() -> None:
    person = Person("491701234567")
    assert person.matches(Mutation(index=0, user={"phone": "+49 170 1234567"}))
    for name, value in {"phone": "+49 170 1234567", "phone_sha256": hash_user("+491701234567")}.items():
        assert not person.matches(Mutation(index=0, user={"id": "u-1", name: value}))


def test_all_of_a_user_whose_key_is_known_is_theirs() -> None:
    known = Person(ADDRESS).also({"Ä-1"}, {ADDRESS})
    theirs, other = Mutation(index=0, user={"email": "other@example.com", "id": "Ä-1"}), Mutation(index=0, user={"id": "Ä-2"})
    assert known.identifiers(theirs) == ("id",)
    assert known.may_be_in(_body("id", "Ä-1"))
    assert not known.matches(other)
    assert not Person(ADDRESS).matches(theirs)


def test_rejections_are_found_by_the_hash_of_what_was_typed_and_of_its_hash() -> None:
    hashes = Person(ADDRESS).rejection_hashes
    lowered = hash_user("jo.doe@example.com")
    assert {hash_user(ADDRESS), lowered, hash_user(lowered), hash_user(lowered.upper())} <= hashes
    assert hash_user("u-1") in Person(hash_user("u-1")).rejection_hashes


def test_a_person_is_shown_by_a_hash_only() -> None:
    person = Person(ADDRESS)
    assert person.hash == hash_user(ADDRESS)
    assert "oe@" not in f"{person!r} {person}"


@pytest.mark.parametrize("typed", ["", "  \n"])
def test_nothing_is_no_identifier(typed: str) -> None:
    with pytest.raises(ValueError, match="No identifier"):
        Person(typed)
