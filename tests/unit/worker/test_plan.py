"""The plan: which rows are sent for mutations in order, and what is settled without sending."""

from __future__ import annotations

import hashlib
import random
import uuid
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Description, Field, Mapped, Operation, Prepared, Rejected
from adapters.preparing import Preparing
from relay.connectors.mapping import compile_mapping
from relay.domain.connector import Action, BatchLimits, Connector, Constant, Inbound, Limits
from relay.domain.message import VERSION, Message, Mutation
from worker.catalog import Running, RunningAction
from worker.plan import Pendings, Plan, Prepare, applies_to, make_plan

EVENT_IDS = uuid.UUID("7d0f6d0e-6f0b-5a55-9a0c-6b1b4f6f6c11")
"""What they are derived from, the same in every version: a retry after an update repeats them."""

ADD = Operation("add", "Add", "set", ("joined",), "add", key_fields=("id",), fields=(Field("id", "ID", required=True),))
REMOVE = Operation("remove", "Remove", "set", ("left",), "remove", key_fields=("id",), fields=(Field("id", "ID", required=True),))
EVENT = Operation("send_event", "Send event", "event", ("joined", "left"), fields=(Field("email", "E-mail"),), key_fields=())
OPERATIONS = {one.name: one for one in (ADD, REMOVE, EVENT)}
PARTNER = Description("test", "Test", "", (), (), (ADD, REMOVE, EVENT), ("joined", "left"), BatchLimits(100, 1_000_000))


def action(name: str, trigger: Any, operation: Operation, mapping: dict[str, str | Constant], **more: Any) -> RunningAction:
    return RunningAction(
        Action(name=name, trigger=trigger, operation=operation.name, mapping=mapping, **more), operation, compile_mapping(mapping)
    )


BY_ID = (action("Add", "joined", ADD, {"id": "user.id"}), action("Remove", "left", REMOVE, {"id": "user.id"}))


def plan(
    actions: tuple[RunningAction, ...],
    *mutations: Mutation,
    operations: dict[str, Operation] | None = None,
    prepare: Prepare | None = None,
    **switches: Any,
) -> Plan:
    connector = Connector(
        name="c",
        document="c",
        document_version=1,
        adapter="test",
        inbound=Inbound(hmac_secret="s"),
        actions=tuple(one.action for one in actions),
        limits=Limits(PARTNER.limits),
    )
    message = Message(VERSION, "change", "c", "a.1", "r1", 1.0, mutations=mutations)
    running = Running(connector, PARTNER, actions, ())
    return make_plan(
        running,
        switches,
        Pendings([message]),
        prepare or (lambda operation, users: Preparing((operations or OPERATIONS)[operation], "Test").rows(users)),
        now=2.0,
        audience_id="a.1",
        audience_name="Shoes",
        partner_id="p",
    )


def sent(made: Plan) -> list[tuple[str, int, dict[str, Any]]]:
    return [row for one in rounds(made) for row in one]


def rounds(made: Plan) -> list[list[tuple[str, int, dict[str, Any]]]]:
    return [
        [(one.action.action.name, row.pending, row.values) for one in together for row in one.rows]
        for together in made.rounds
    ]


def settled(made: Plan) -> list[tuple[int, str, str, str]]:
    return [(number, result.action, result.outcome, result.code) for number, result in made.settled]


def joined(index: int, **user: str) -> Mutation:
    return Mutation(index, "joined", user)


def left(index: int, **user: str) -> Mutation:
    return Mutation(index, "left", user)


def test_only_the_last_mutation_of_a_user_is_sent_and_the_earlier_ones_are_superseded() -> None:
    made = plan(BY_ID, joined(0, id="u"), left(1, id="u"), joined(2, id="u"), left(3, id="v"))
    assert sent(made) == [("Add", 2, {"id": "u"}), ("Remove", 3, {"id": "v"})]
    assert settled(made) == [(0, "Add", "superseded", ""), (1, "Remove", "superseded", "")]


def test_two_users_who_are_one_row_at_the_partner_replace_each_other() -> None:
    actions = (
        action("Add", "joined", ADD, {"id": "lower(user.email)"}),
        action("Remove", "left", REMOVE, {"id": "lower(user.email)"}),
    )
    made = plan(actions, joined(0, id="1", email="A@x.org"), left(1, id="2", email="a@x.org"))
    assert sent(made) == [("Remove", 1, {"id": "a@x.org"})]


TWO_KEYS = (Field("email", "E-mail"), Field("phone", "Phone"))
ADD_BOTH = Operation("add", "Add", "set", ("joined",), "add", key_fields=("email", "phone"), fields=TWO_KEYS)
REMOVE_BOTH = Operation("remove", "Remove", "set", ("left",), "remove", key_fields=("email", "phone"), fields=TWO_KEYS)
BY_BOTH = (
    action("Add", "joined", ADD_BOTH, {"email": "user.email", "phone": "user.phone"}),
    action("Remove", "left", REMOVE_BOTH, {"email": "user.email", "phone": "user.phone"}),
)
BOTH = {one.name: one for one in (ADD_BOTH, REMOVE_BOTH)}


def test_rows_that_share_a_key_and_go_opposite_ways_are_sent_one_after_the_other() -> None:
    made = plan(BY_BOTH, joined(0, email="a", phone="1"), left(1, email="a"), joined(2, email="b"), operations=BOTH)
    assert rounds(made) == [
        [("Add", 0, {"email": "a", "phone": "1"})],
        [("Add", 2, {"email": "b"}), ("Remove", 1, {"email": "a"})],
    ]
    assert settled(made) == []


def test_rows_that_share_a_key_and_go_the_same_way_are_sent_together() -> None:
    made = plan(BY_BOTH, joined(0, email="a", phone="1"), joined(1, email="b", phone="1"), operations=BOTH)
    assert len(rounds(made)) == 1


def test_a_row_said_again_takes_the_place_of_the_first_and_still_comes_after_what_contradicts_it() -> None:
    both = {"email": "a", "phone": "1"}
    made = plan(BY_BOTH, joined(0, **both), left(1, email="a"), joined(2, **both), operations=BOTH)
    assert rounds(made) == [[("Remove", 1, {"email": "a"})], [("Add", 2, both)]]
    assert settled(made) == [(0, "Add", "superseded", "")]


def test_a_row_that_takes_the_place_of_the_only_one_against_it_begins_no_round() -> None:
    both = {"email": "a", "phone": "1"}
    made = plan(BY_BOTH, joined(0, **both), left(1, email="b"), left(2, **both), operations=BOTH)
    assert rounds(made) == [[("Remove", 1, {"email": "b"}), ("Remove", 2, both)]]
    made = plan(BY_BOTH, joined(0, **both), left(1, **both), left(2, email="a"), operations=BOTH)
    assert rounds(made) == [[("Remove", 1, both), ("Remove", 2, {"email": "a"})]]


def test_what_was_sent_in_an_earlier_round_begins_no_other() -> None:
    made = plan(BY_BOTH, joined(0, email="a", phone="1"), left(1, email="a"), left(2, phone="1"), operations=BOTH)
    assert [len(one) for one in rounds(made)] == [1, 2]


def test_two_actions_on_one_trigger_are_both_done_and_both_replaced_by_what_comes_later() -> None:
    actions = (*BY_ID, action("Subscribe", "joined", ADD, {"id": "user.id"}))
    assert sent(plan(actions, joined(0, id="u"))) == [("Add", 0, {"id": "u"}), ("Subscribe", 0, {"id": "u"})]
    made = plan(actions, joined(0, id="u"), left(1, id="u"))
    assert sent(made) == [("Remove", 1, {"id": "u"})]
    assert settled(made) == [(0, "Add", "superseded", ""), (0, "Subscribe", "superseded", "")]


@pytest.mark.parametrize("first_in_document", ["Opt out", "Add"])
def test_an_operation_that_touches_another_set_keeps_its_place_in_the_order(first_in_document: str) -> None:
    out = Operation(
        "opt_out", "Opt out", "set", ("left",), "remove", "everywhere", ("id",), ADD.fields, touches=("members",)
    )
    actions = [action("Opt out", "left", out, {"id": "user.id"}), action("Add", "joined", ADD, {"id": "user.id"})]
    actions.sort(key=lambda one: one.action.name != first_in_document)
    operations = {"opt_out": out, "add": ADD}
    user = {"id": "u"}
    made = plan(tuple(actions), joined(0, **user), left(1, **user), operations=operations)
    assert rounds(made) == [[("Add", 0, user)], [("Opt out", 1, user)]]
    made = plan(tuple(actions), left(0, **user), joined(1, **user), operations=operations)
    assert rounds(made) == [[("Opt out", 0, user)], [("Add", 1, user)]]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", None]), st.sampled_from(["1", "2", None])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_whatever_the_order_within_a_round_each_key_ends_as_it_was_last_said(
    said: list[tuple[bool, str | None, str | None]], chance: random.Random
) -> None:
    mutations: list[Mutation] = []
    wanted: dict[str, bool] = {}
    for index, (joins, email, phone) in enumerate(said):
        user = {name: value for name, value in (("email", email), ("phone", phone)) if value}
        mutations.append(Mutation(index, "joined" if joins else "left", user))
        wanted |= dict.fromkeys(user.values(), joins)
    made = plan(BY_BOTH, *mutations, operations=BOTH)
    found: dict[Any, bool] = {}
    for together in rounds(made):
        chance.shuffle(together)
        for name, _, values in together:
            found |= dict.fromkeys(values.values(), name == "Add")
    assert found == wanted


def test_events_are_all_sent_with_an_id_that_a_retry_repeats() -> None:
    actions = (action("Event", "joined", EVENT, {"email": "user.email"}),)
    mutations = (joined(0, email="e"), joined(1, email="e"))
    first, second = plan(actions, *mutations), plan(actions, *mutations)
    assert [values for _, _, values in sent(first)] == [{"email": "e"}, {"email": "e"}]
    ids = [row.event_id for row in first.rounds[0][0].rows]
    assert len(set(ids)) == 2
    assert ids == [row.event_id for row in second.rounds[0][0].rows]
    assert all(len(one) <= 36 for one in ids)


def test_an_event_id_is_a_uuid_of_the_request_the_place_in_it_and_the_action() -> None:
    made = plan((action("Event", "joined", EVENT, {"email": "user.email"}),), Mutation(7, user={"email": "ü@example.com"}))
    ((planned,),) = made.rounds
    assert planned.rows[0].event_id == str(uuid.uuid5(EVENT_IDS, "r1/7/Event"))


def test_no_event_id_is_computed_before_somebody_asks_for_it() -> None:
    with patch.object(hashlib, "sha1", side_effect=AssertionError("somebody asks")):
        made = plan(BY_ID, joined(0, id="u"))
    assert made.rounds[0][0].rows[0].event_id == str(uuid.uuid5(EVENT_IDS, "r1/0/Add"))


def test_a_retry_repeats_only_the_actions_that_are_not_done() -> None:
    actions = (*BY_ID, action("Event", "joined", EVENT, {"email": "user.email"}))
    made = plan(actions, Mutation(0, "joined", {"id": "u", "email": "e"}, done=("Add",)))
    assert [name for name, _, _ in sent(made)] == ["Event"]
    assert settled(made) == []


def test_what_a_retry_repeats_in_part_keeps_its_place_among_what_is_new() -> None:
    actions = (*BY_ID, action("Event", "joined", EVENT, {"email": "user.email"}))
    again = Mutation(0, "joined", {"id": "u", "email": "e"}, done=("Event",))
    made = plan(actions, again, joined(1, id="u", email="e"))
    assert sent(made) == [("Add", 1, {"id": "u"}), ("Event", 1, {"email": "e"})]
    assert settled(made) == [(0, "Add", "superseded", "")]


def test_fields_that_were_made_before_are_sent_as_they_are_beside_those_that_the_mapping_makes() -> None:
    actions = (action("Event", "joined", EVENT, {"email": "user.email"}),)
    fields = (Field("email", "E-mail"), Field("city", "City"))
    operation = Operation("send_event", "Send event", "event", ("joined",), fields=fields)
    made = plan(
        actions,
        Mutation(0, "joined", {"id": "u"}, made={"Event": {"city": "Bonn", "email": "u@x.org"}}),
        joined(1, id="v", email="v@x.org"),
        Mutation(2, "joined", {"id": "w"}, made={"Event": {"email": "w@x.org"}}),
        operations={"send_event": operation},
    )
    assert sent(made) == [
        ("Event", 0, {"city": "Bonn", "email": "u@x.org"}),
        ("Event", 1, {"email": "v@x.org"}),
        ("Event", 2, {"email": "w@x.org"}),
    ]


def test_users_who_come_with_many_fields_of_their_own_take_no_more_room_than_these_fields() -> None:
    values = 0

    def counted(operation: str, users: Mapped) -> list[Prepared | Rejected]:
        nonlocal values
        values += users.number * len(users.columns)
        return Preparing(OPERATIONS[operation], "Test").rows(users)

    many = [
        Mutation(index, "joined", {"id": "u"}, made={"Add": {"id": f"u{index}"} | {f"{index}.{n}": "x" for n in range(20)}})
        for index in range(50)
    ]
    made = plan(BY_ID, *many, prepare=counted)
    assert len(sent(made)) == 50
    assert values == 50 * 21


def test_what_is_settled_is_in_the_order_of_the_mutations() -> None:
    made = plan(BY_ID[:1], joined(0, email="e"), left(1, id="u"), joined(2, email="e"))
    assert [number for number, *_ in settled(made)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        (Mutation(0, unreadable="no user"), (0, "", "skipped", "unreadable")),
        (joined(0, email="e"), (0, "Add", "rejected", "missing_field")),
    ],
)
def test_what_cannot_be_sent_is_settled_at_once(mutation: Mutation, expected: tuple[int, str, str, str]) -> None:
    made = plan(BY_ID, mutation)
    assert sent(made) == []
    assert settled(made) == [expected]


def test_a_mutation_that_no_action_concerns_is_skipped() -> None:
    assert settled(plan(BY_ID[:1], left(0, id="u"))) == [(0, "", "skipped", "no_action")]


def test_a_value_of_the_wrong_type_rejects_its_mutation_alone() -> None:
    actions = (action("Add", "joined", ADD, {"id": "lower(fields.Number)"}),)
    made = plan(actions, Mutation(0, "joined", {"id": "u"}, {"Number": 5}), Mutation(1, "joined", {"id": "v"}, {"Number": "X"}))
    assert sent(made) == [("Add", 1, {"id": "x"})]
    assert settled(made) == [(0, "Add", "rejected", "mapping_failed")]


def test_a_switched_off_action_skips_its_mutations() -> None:
    assert settled(plan(BY_ID, joined(0, id="u"), Add="skipped")) == [(0, "Add", "skipped", "action_off")]
    off = (action("Add", "joined", ADD, {"id": "user.id"}, enabled=False),)
    assert settled(plan(off, joined(0, id="u"))) == [(0, "Add", "skipped", "action_off")]


@pytest.mark.parametrize(
    ("patterns", "applies"),
    [(None, True), (["a.1"], True), (["Shoes"], True), (["Sho*"], True), (["a.?"], True), (["b*"], False), ([], False)],
)
def test_an_action_can_be_limited_to_audiences_by_id_or_name(patterns: list[str] | None, applies: bool) -> None:
    assert applies_to(patterns, "a.1", "Shoes") is applies


def test_brackets_in_an_audience_pattern_stand_for_themselves() -> None:
    assert applies_to(["Shoes [new]*"], "a.1", "Shoes [new] 2026")
    assert not applies_to(["Shoes [new]"], "a.1", "Shoes n")
