"""Replies: what became of messages that somebody waits for."""

from __future__ import annotations

from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.domain.reply import KEPT_S, VERSION, MutationReply, Reply
from tests.clock import TurnedClock

BEGINNING = 1_800_000_000.0

REPLY = Reply(
    VERSION,
    "0123456789abcdef",
    part=0,
    at=BEGINNING,
    mutations=(MutationReply(0, "delivered"), MutationReply(1, "rejected", "too_young", "Not before 16.")),
)


def test_a_reply_is_there_also_when_it_has_been_read(backend: Backend) -> None:
    assert backend.replies.find(REPLY.request_id, 0) is None
    backend.replies.give(REPLY)
    assert backend.replies.find(REPLY.request_id, 0) == REPLY
    assert backend.replies.find(REPLY.request_id, 0) == REPLY


def test_parts_of_one_request_have_replies_of_their_own(backend: Backend) -> None:
    second = replace(REPLY, part=1, reason="come_back_later", hint="Too many calls.", due_at=BEGINNING + 30)
    backend.replies.give(REPLY)
    backend.replies.give(second)
    assert backend.replies.find(REPLY.request_id, 1) == second
    assert backend.replies.find(REPLY.request_id, 0) == REPLY


def test_a_later_reply_takes_the_place_of_an_earlier_one(backend: Backend) -> None:
    later = replace(REPLY, mutations=(MutationReply(0, "delivered"), MutationReply(1, "delivered")))
    backend.replies.give(REPLY)
    backend.replies.give(later)
    assert backend.replies.find(REPLY.request_id, 0) == later


def test_a_reply_to_a_thousand_mutations_with_hints_is_kept_whole(backend: Backend) -> None:
    many = tuple(MutationReply(index, "rejected", "code_of_a_partner", "ä" * 300) for index in range(1_000))
    backend.replies.give(replace(REPLY, mutations=many))
    found = backend.replies.find(REPLY.request_id, 0)
    assert found is not None
    assert found.mutations == many


def test_what_is_too_old_is_tidied_away(backend: Backend, clock: TurnedClock) -> None:
    backend.replies.give(REPLY)
    clock.advance(KEPT_S - 1)
    backend.tidy()
    young = replace(REPLY, part=1, at=clock.now())
    backend.replies.give(young)
    clock.advance(2)
    backend.tidy()
    assert backend.replies.find(REPLY.request_id, 0) is None
    assert backend.replies.find(REPLY.request_id, 1) == young
