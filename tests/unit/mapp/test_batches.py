"""From mutations to messages that fit the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handlers.batches import change_messages
from relay.domain.message import MAX_BYTES, MAX_MUTATIONS, Message, Mutation, decode, encode


def messages_of(entries: Sequence[tuple[str, Mutation]], **fields: Any) -> list[Message]:
    return change_messages(entries, connector="pangolin", request_id="r" * 32, received_at=1_800_000_000.123, fields=fields)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a.1", "b.1", "ü" * 400]), st.sampled_from([0, 10, 1_000, 60_000, 200_000, 523_000, 600_000])),
        max_size=25,
    ),
    st.sampled_from(["", "\\" * 5_000]),
)
def test_every_message_fits_and_holds_each_mutation_in_order(shape: list[tuple[str, int]], extra: str) -> None:
    entries = [(audience, Mutation(index=n, user={"id": "ü" * (size // 2)})) for n, (audience, size) in enumerate(shape)]
    messages = messages_of(entries, extra=extra)
    for message in messages:
        assert len(encode(message)) <= MAX_BYTES
        assert 0 < len(message.mutations) <= MAX_MUTATIONS
        assert decode(encode(message)) == message
    for audience in {audience for audience, _ in entries}:
        of_audience = [message for message in messages if message.audience == audience]
        assert [message.part for message in of_audience] == list(range(len(of_audience)))
        indexes = [mutation.index for message in of_audience for mutation in message.mutations]
        assert indexes == [mutation.index for each, mutation in entries if each == audience]
    too_large = {mutation.index for message in messages for mutation in message.mutations if mutation.unreadable}
    assert too_large == {n for n, (_, size) in enumerate(shape) if size == 600_000 or (size == 523_000 and extra)}


def test_parts_are_not_smaller_than_they_must_be() -> None:
    entries = [("a.1", Mutation(index=n, user={"id": "x" * 1_000})) for n in range(1_000)]
    sizes = [len(encode(message)) for message in messages_of(entries)]
    assert all(size > MAX_BYTES - 2_000 for size in sizes[:-1])


def test_the_limit_holds_to_the_byte() -> None:
    for size in range(MAX_BYTES // 2 - 250, MAX_BYTES // 2, 3):
        entries = [("a.1", Mutation(index=n, user={"id": "x" * size})) for n in range(4)]
        assert all(len(encode(message)) <= MAX_BYTES for message in messages_of(entries))


def test_a_mutation_that_json_has_no_form_for_is_marked() -> None:
    entries = [("a.1", Mutation(index=0, user={"id": "\ud800"})), ("a.1", Mutation(index=1, user={"id": "u1"}))]
    [message] = messages_of(entries)
    assert message.mutations == (
        Mutation(index=0, unreadable="It holds something that cannot be passed on."),
        Mutation(index=1, user={"id": "u1"}),
    )


def test_no_mutations_make_no_messages() -> None:
    assert messages_of([]) == []
