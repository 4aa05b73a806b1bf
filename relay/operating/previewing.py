"""The exact requests that one user would cause, trigger by trigger; nothing is sent, and no secret is needed."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from adapters.contract import Adapter
from relay.domain.connector import TRIGGERS, Connector, Trigger
from relay.domain.message import VERSION, Message, Mutation
from relay.operating.given_user import SAMPLE_AUDIENCE, SAMPLE_NAME, SAMPLE_USER
from relay.operating.shapes import masked_request
from relay.operating.shown_request import as_text
from worker.preview import Preview, preview, preview_creation


class PreviewedCall(msgspec.Struct, frozen=True):
    """One request as text, with `***` for what is secret."""

    action: str
    text: str


class NotSent(msgspec.Struct, frozen=True):
    """What would be settled without a request, and why."""

    action: str
    outcome: str
    hint: str


class PreviewedStep(msgspec.Struct, frozen=True):
    """What a trigger would cause."""

    trigger: Trigger
    calls: tuple[PreviewedCall, ...]
    not_sent: tuple[NotSent, ...]


def previewed(
    connector: Connector, user: Mutation, adapter: Adapter, *, now: float, is_somebody: bool = False
) -> list[PreviewedStep]:
    """For a made-up audience. is_somebody: the user is a person, of whom only the shapes of values are shown. Raises the
    `PartnerError` of what cannot be sent at all."""
    steps = []
    nobody = Mutation(index=0, user=SAMPLE_USER)
    for trigger in TRIGGERS:
        if trigger == "created":
            found = preview_creation(connector, adapter, SAMPLE_AUDIENCE, audience_name=SAMPLE_NAME)
        else:
            found = _of_user(connector, adapter, replace(user, direction=trigger), now)
            if is_somebody:
                found = _masked(found, _of_user(connector, adapter, replace(nobody, direction=trigger), now))
        steps.append(_step(trigger, found, adapter))
    return steps


def why_stays(connector: Connector, adapter: Adapter, joining: Message, *, audience_name: str, partner_id: str = "") -> str:
    """Why the one user of this message would join a set at the partner and stay there: nothing would be sent of the leaving.
    Empty: they would leave, or would not join one."""
    mutations = tuple(replace(one, direction="left") for one in joining.mutations)
    changes = (joining, replace(joining, mutations=mutations))
    joined, left = (
        preview(connector, adapter, [change], audience_name=audience_name, partner_id=partner_id) for change in changes
    )
    if not _changes_a_set(connector, adapter, joined) or _changes_a_set(connector, adapter, left):
        return ""
    reasons = " ".join(dict.fromkeys(one.hint or one.code for one in left.settled))
    return f"The user would stay at the partner, since nothing would be sent of the leaving. {reasons}".strip()


def _changes_a_set(connector: Connector, adapter: Adapter, found: Preview) -> bool:
    sent = {call.action for call in found.calls}
    operations = (adapter.description.operation(one.operation) for one in connector.actions if one.name in sent)
    return any(one is not None and one.kind == "set" for one in operations)


def _of_user(connector: Connector, adapter: Adapter, user: Mutation, now: float) -> Preview:
    message = Message(
        version=VERSION, kind="change", connector=connector.name, audience=SAMPLE_AUDIENCE, request_id="preview",
        received_at=now, mutations=(user,),
    )  # fmt: skip
    return preview(connector, adapter, [message], audience_name=SAMPLE_NAME, partner_id="")


def _masked(found: Preview, of_nobody: Preview) -> Preview:
    """What the requests for nobody have as well is not of this user."""
    others = of_nobody.calls if [one.action for one in of_nobody.calls] == [one.action for one in found.calls] else ()
    calls = tuple(
        replace(call, request=masked_request(call.request, others[place].request if others else None))
        for place, call in enumerate(found.calls)
    )
    return replace(found, calls=calls)


def _step(trigger: Trigger, found: Preview, adapter: Adapter) -> PreviewedStep:
    return PreviewedStep(
        trigger,
        tuple(PreviewedCall(call.action, as_text(call.request, adapter.description)) for call in found.calls),
        tuple(NotSent(one.action, one.outcome, one.hint or one.code) for one in found.settled),
    )
