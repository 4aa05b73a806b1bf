"""The exact requests that one user would cause, trigger by trigger; nothing is sent, and no secret is needed."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from adapters.contract import Adapter
from relay.domain.connector import TRIGGERS, Connector, Trigger
from relay.domain.message import VERSION, Message, Mutation
from relay.operating.given_user import SAMPLE_AUDIENCE, SAMPLE_NAME
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


def previewed(connector: Connector, user: Mutation, adapter: Adapter, *, now: float) -> list[PreviewedStep]:
    """For a made-up audience. Raises the `PartnerError` of what cannot be sent at all."""
    steps = []
    for trigger in TRIGGERS:
        if trigger == "created":
            found = preview_creation(connector, adapter, SAMPLE_AUDIENCE, audience_name=SAMPLE_NAME)
        else:
            message = Message(
                version=VERSION, kind="change", connector=connector.name, audience=SAMPLE_AUDIENCE, request_id="preview",
                received_at=now, mutations=(replace(user, direction=trigger),),
            )  # fmt: skip
            found = preview(connector, adapter, [message], audience_name=SAMPLE_NAME, partner_id="")
        steps.append(_step(trigger, found, adapter))
    return steps


def _step(trigger: Trigger, found: Preview, adapter: Adapter) -> PreviewedStep:
    return PreviewedStep(
        trigger,
        tuple(PreviewedCall(call.action, as_text(call.request, adapter.description)) for call in found.calls),
        tuple(NotSent(one.action, one.outcome, one.hint or one.code) for one in found.settled),
    )
