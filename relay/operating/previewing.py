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
