"""One test user sent straight to the partner, by a connector that need not be published: what its document can do, seen before it
runs. A connector that runs is tested through its queue and worker (`diy connectors test`)."""

from __future__ import annotations

import uuid

import msgspec
from msgspec.structs import replace

from adapters.contract import Adapter, Delivered, Description, Rejected, Row, RowResult, Target
from adapters.normalisation import email_rule
from adapters.preparing import prepare_one
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing_secrets, missing_settings
from relay.connectors.mapping import MappingError, compile_mapping, mutation_context
from relay.domain.clock import Clock
from relay.domain.connector import Action, Connector
from relay.domain.errors import Conflict, PartnerError, Unsupported
from relay.domain.message import Direction, Message, Mutation
from relay.expressions.expression import Surroundings
from relay.health.asking import require_may_call
from relay.operating.previewing import why_stays
from relay.operating.trial_message import trial_message
from worker.partners import Partners
from worker.plan import applies_to

TEST_AUDIENCE = "diy-relay-draft-test"
"""No message of the queue ever concerns it, so no turn is disturbed."""

TEST_AUDIENCE_NAME = "DIY Relay test of a draft - may be deleted"


class Tried(msgspec.Struct, frozen=True):
    """One thing that was tried. `hint`: what came of it, or why it failed. `sent`: the partner was called with the user, and may
    have taken them whatever came of it."""

    what: str
    well: bool
    hint: str = ""
    sent: bool = False


def lacking_to_send(connector: Connector, description: Description | None, backend: Backend) -> list[str]:
    """Sentences about what must be there before a test can be sent by it."""
    if description is None:
        return []
    return [*missing_secrets(connector, description, backend.secrets), *missing_settings(connector, description)]


def why_not_to_send(connector: Connector, description: Description | None, backend: Backend) -> str:
    """Why no test can be sent by it yet; empty: one can."""
    if description is None:
        return "There is no such adapter."
    if lacking := lacking_to_send(connector, description, backend):
        return f"A test user can be sent once it is complete. {in_a_row(lacking)}"
    if description.linked:
        return (
            "A test user can be sent once it is published: its audiences are made at the partner by hand, and linked on the page "
            "Audiences."
        )
    return ""


def send_test(backend: Backend, clock: Clock, connector: Connector, user: Mutation) -> list[Tried]:
    """The user joins an audience for tests, made at the partner if need be, and leaves it again, also where the joining
    failed or was only half done. Raises `Conflict` where the partner cannot or must not be called, or the user would stay."""
    description = describe(connector.adapter, connector.settings)
    if reason := why_not_to_send(connector, description, backend):
        raise Conflict(reason)
    require_may_call(backend, connector.name, clock.now())
    adapter = Partners(backend, clock).open(connector)
    joining = trial_message(connector, TEST_AUDIENCE, replace(user, direction="joined"), clock.now())
    if stays := why_stays(connector, adapter, joining, audience_name=TEST_AUDIENCE_NAME):
        raise Conflict(f"Nothing was sent. {stays}")
    target, tried = _audience(connector, adapter)
    if target is None:
        return tried

    def send_all(direction: Direction) -> list[Tried]:
        going = replace(user, direction=direction)
        return [
            _send(action, adapter, target, trial_message(connector, TEST_AUDIENCE, going, clock.now()), direction)
            for action in _actions(connector, direction)
        ]

    sent = send_all("joined")
    tried += sent
    if any(one.sent for one in sent) or all(one.well for one in tried):
        leaving = send_all("left")
        tried += leaving
        has_left = any(one.sent for one in leaving) and all(one.well for one in leaving)
        if any(one.sent for one in sent) and not has_left:
            where = target.partner_id or f"“{target.name}”"
            tried.append(Tried("The test user may stay", False, f"in the audience {where} at the partner: remove it there."))
    return tried


def _actions(connector: Connector, direction: Direction) -> list[Action]:
    return [one for one in connector.actions if one.trigger == direction and one.enabled]


def _audience(connector: Connector, adapter: Adapter) -> tuple[Target | None, list[Tried]]:
    reference = f"{connector.name}/{TEST_AUDIENCE}"
    what = f"The audience for tests, “{TEST_AUDIENCE_NAME}”"
    try:
        partner_id = adapter.create_audience(TEST_AUDIENCE_NAME, reference)
        ready = adapter.is_ready(partner_id)
    except Unsupported:
        return Target(TEST_AUDIENCE, TEST_AUDIENCE_NAME, "", reference), []
    except PartnerError as error:
        return None, [Tried(what, False, error.hint)]
    if not ready:
        return None, [Tried(what, False, "The partner is not ready with it yet: try again in some minutes.")]
    made = Tried(what, True, f"is {partner_id} at the partner.")
    return Target(TEST_AUDIENCE, TEST_AUDIENCE_NAME, partner_id, reference), [made]


def _send(action: Action, adapter: Adapter, target: Target, message: Message, direction: Direction) -> Tried:
    what = f"The user {direction}: {action.name}"
    if not applies_to(action.audiences, target.id, target.name):
        return Tried(what, True, "is only for audiences that this one is not among, so nothing was sent.")
    mutation = message.mutations[0]
    context = mutation_context(message, mutation, audience_name=target.name, partner_id=target.partner_id)
    around = Surroundings(message.received_at, message.request_id, email_rule(adapter.description.email_rule))
    sent = False
    try:
        values = compile_mapping(action.mapping).apply(context, around)
        prepared = prepare_one(adapter, action.operation, values)
        if isinstance(prepared, Rejected):
            return Tried(what, False, prepared.hint)
        row = Row(prepared.values, str(uuid.uuid4()), message.received_at)
        sent = True
        (result,) = adapter.send(action.operation, target, [row])
    except MappingError as error:
        return Tried(what, False, str(error), sent)
    except PartnerError as error:
        return Tried(what, False, error.hint, sent)
    return _told(what, result)


def _told(what: str, result: RowResult) -> Tried:
    if isinstance(result, Delivered):
        return Tried(what, True, "The partner took it.", sent=True)
    return Tried(what, False, result.hint, sent=True)
