"""The queue message as it travels."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.domain.message import NEWEST, VERSION, Message, Mutation, UnknownVersion, decode, encode, is_change

FIRST_VERSION = (
    b'{"version":1,"kind":"change","connector":"pangolin","audience":"a.1","request_id":"r","received_at":1.5,'
    b'"part":2,"mutations":[{"index":0,"user":{"id":"u","email":"e"},"fields":{"Shop":[1]},"customer":7},'
    b'{"index":1,"direction":"left","user":{"id":"v"},"done":["Add"]},{"index":2,"unreadable":"no user"}],'
    b'"fields":{"New":true}}'
)


def test_a_message_of_the_first_version_can_be_read() -> None:
    message = decode(FIRST_VERSION)
    assert message.key == "pangolin/a.1"
    assert message.mutations == (
        Mutation(0, "joined", {"id": "u", "email": "e"}, {"Shop": [1]}, 7),
        Mutation(1, "left", {"id": "v"}, done=("Add",)),
        Mutation(2, unreadable="no user"),
    )
    assert encode(message) == FIRST_VERSION


def test_a_message_of_a_newer_version_is_left_to_a_newer_program() -> None:
    newer = FIRST_VERSION.replace(b'"version":1', b'"version":%d' % (NEWEST + 1)).replace(b'"user"', b'"person"')
    with pytest.raises(UnknownVersion, match=f"version {NEWEST + 1}"):
        decode(newer)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"version":"1"}'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(body)


CHANGE = Message(VERSION, "change", "c", "a", "r", 1.0, mutations=(Mutation(0, user={"id": "u"}),))


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (encode(CHANGE), True),
        (encode(replace(CHANGE, version=NEWEST, mutations=(Mutation(0, made={"Add": {"id": "u"}}),))), True),
        (encode(CHANGE).replace(b'"version":1,"kind":"change"', b'"kind":"change","version":1'), True),
        (encode(replace(CHANGE, version=NEWEST, answer_by=9.0)), False),
        (encode(replace(CHANGE, kind="created")), False),
        (encode(replace(CHANGE, kind="resume")), False),
        (b"{}", False),
        (b"\xff", False),
    ],
    ids=["change", "mapped already", "written otherwise", "waited for", "created", "resume", "no message", "no JSON"],
)
def test_a_change_for_whose_end_nobody_waits_is_told_from_other_messages(body: bytes, is_one: bool) -> None:
    assert is_change(body) == is_one


text = st.text(st.characters(exclude_categories=["Cs"]))


@given(user=st.dictionaries(text, text), fields=st.dictionaries(text, st.none() | st.booleans() | text), audience=text)
def test_whatever_a_message_carries_comes_back(user: dict[str, str], fields: dict[str, object], audience: str) -> None:
    message = Message(VERSION, "change", "c", audience, "r", 1.0, mutations=(Mutation(0, "left", user, fields),))
    assert decode(encode(message)) == message


def test_the_key_of_a_user_is_the_id_else_the_first_identifier() -> None:
    assert Mutation(0, user={"email": "e", "id": "u"}).user_key == "u"
    assert Mutation(0, user={"phone": "p", "email": "e"}).user_key == "p"
