"""What `deliver` notes of each mutation and action, whatever the partner says of its rows."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from adapters.contract import Delivered, Description, Field, Mapped, NotYet, Operation, Prepared, Rejected, Row, RowResult, Target
from adapters.preparing import Preparing
from relay.connectors.mapping import compile_mapping
from relay.domain.connector import Action, BatchLimits, Connector, Inbound, Limits
from relay.domain.errors import PartnerError, TryAgain
from relay.domain.message import VERSION, Message, Mutation
from tests.clock import TurnedClock
from worker.calls import Caller
from worker.catalog import Running, RunningAction
from worker.delivery import Delivery, deliver

ID = (Field("id", "ID", required=True),)
ADD = Operation("add", "Add", "set", ("joined",), "add", key_fields=("id",), fields=ID)
EVENT = Operation("event", "Event", "event", ("joined",), fields=ID)
OPERATIONS = {"add": ADD, "event": EVENT}
PARTNER = Description("test", "Test", "", (), (), (ADD, EVENT), ("joined",), BatchLimits(100, 1_000_000))

Says = Mapping[str, Sequence[RowResult] | PartnerError]
"""Operation → what the partner says of its rows."""


class Answering:
    """Stands for a `Caller`, in front of a partner that says this."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.reports: list[str] = []

    def prepare(self, operation: str, users: Mapped) -> list[Prepared | Rejected]:
        return Preparing(OPERATIONS[operation], "Test").rows(users)

    def send(self, operation: str, _target: Target, _rows: Sequence[Row], _places: object) -> Sequence[RowResult]:
        self.reports.append(operation)
        said = self.says[operation]
        if isinstance(said, PartnerError):
            raise said
        return said


def delivery(says: Says, users: int = 2) -> Delivery:
    actions = tuple(
        Action(name=one.title, trigger="joined", operation=one.name, mapping={"id": "user.id"}) for one in (EVENT, ADD)
    )
    connector = Connector(
        name="c",
        document="c",
        document_version=1,
        adapter="test",
        inbound=Inbound("s"),
        actions=actions,
        limits=Limits(PARTNER.limits),
    )
    running = tuple(RunningAction(one, OPERATIONS[one.operation], compile_mapping(one.mapping)) for one in actions)
    mutations = tuple(Mutation(index, "joined", {"id": f"u{index}"}) for index in range(users))
    return deliver(
        [Message(VERSION, "change", "c", "a.1", "r1", 1.0, mutations=mutations)],
        Running(connector, PARTNER, running, ()),
        {},
        Target("a.1", "Shoes", "p", "c/a.1"),
        cast(Caller, Answering(says)),
        standing=None,
        clock=TurnedClock(),
        chance=random.Random(1),
    )


TAKEN = [Delivered(), Delivered()]


def test_of_a_mutation_only_the_actions_are_left_that_were_not_delivered() -> None:
    made = delivery({"event": TAKEN, "add": TryAgain("Later.")})
    assert made.counts == {"delivered": 2, "retry": 2}
    assert made.rest[0] is not None
    assert [one.done for one in made.rest[0].mutations] == [("Event",), ("Event",)]
    assert made.progress
    assert made.hold is not None


@pytest.mark.parametrize("at", [0, 1])
def test_a_row_that_is_to_be_sent_again_is_left_and_its_neighbour_is_not(at: int) -> None:
    said: list[RowResult] = [Delivered(), Delivered()]
    said[at] = NotYet("Soon.", after_s=5.0)
    made = delivery({"event": TAKEN, "add": said})
    assert made.counts == {"delivered": 3, "retry": 1}
    assert made.rest[0] is not None
    assert [(one.index, one.done) for one in made.rest[0].mutations] == [(at, ("Event",))]
    assert made.hold is not None
    assert made.hold.detail == "Soon."


def test_of_what_is_settled_nothing_is_left() -> None:
    made = delivery({"event": TAKEN, "add": [Delivered(), Rejected("odd", "It is odd.")]})
    assert made.counts == {"delivered": 3, "rejected": 1}
    assert (made.rest, made.hold) == ((None,), None)
    assert [(pending.mutation.index, result.code) for pending, result in made.undelivered] == [(1, "odd")]


def test_where_nothing_is_settled_the_message_is_left_as_it_is() -> None:
    made = delivery({"event": TryAgain("Later."), "add": TAKEN})
    assert made.counts == {"retry": 4}
    assert made.rest[0] is not None
    assert [one.done for one in made.rest[0].mutations] == [(), ()]
    assert not made.progress
