"""What each reason of a hold means to an operator, and what to do about it."""

from __future__ import annotations

import shlex
from functools import lru_cache

import msgspec

from adapters.contract import Description
from adapters.registry import describe
from relay.connectors.secret_names import partner_secret_names
from relay.domain.audience import NEEDS_SOMEONE, Audience, Hold, HoldReason
from relay.domain.connector import Connector, ConnectorState
from relay.domain.errors import DocumentError


class Advice(msgspec.Struct, frozen=True):
    """meaning: why the batches wait. do: commands and words, with `{connector}`, `{audience}`, `{secrets}`; empty: it passes by
    itself."""

    meaning: str
    do: str = ""


ADVICE: dict[HoldReason, Advice] = {
    "gathering": Advice("it gathers, to be sent in larger calls"),
    "connector_off": Advice("the connector does not run", "see why it does not run: diy status"),
    "partner_unavailable": Advice("the partner cannot take anything just now; it is tried again by itself"),
    "come_back_later": Advice("the partner asked to be called later, or the connector's own rate has no room; it is called then"),
    "credentials_refused": Advice(
        "the partner refuses the credentials",
        "set the right ones, then it is tried at once: {secrets}; or, if the partner was wrong: diy holds resume {connector}",
    ),
    "audience_not_ready": Advice("the partner's audience cannot take members yet; it is tried again by itself"),
    "audience_gone": Advice(
        "the partner no longer has this audience",
        "name the one to use: diy audiences link {connector} {audience} PARTNER_ID; or have another one made, and filled from "
        "the journal: diy audiences resync {connector} {audience} --anew; or drop what waits: "
        "diy holds discard {connector} {audience}",
    ),
    "misconfigured": Advice(
        "nothing that is sent can succeed as the connector, or the partner's account, is set up",
        "correct the document, then it is tried at once: diy connectors apply FILE; or, once the partner's account is right: "
        "diy holds resume {connector}; or, if it is the users themselves that cannot be sent, drop what waits: "
        "diy holds discard {connector} {audience}",
    ),
    "crashed": Advice(
        "handling its first batch ended the worker several times",
        "look at the worker's log, then try again: diy holds resume {connector} {audience}; or drop what waits: "
        "diy holds discard {connector} {audience}",
    ),
    "paused": Advice("it is paused by an operator", "diy holds resume {connector} {audience}"),
    "replaying": Advice("what its journal holds is sent again, in front of what came since"),
}


_NO_ACCESS = Advice(
    "the partner gives no access",
    "allow it, then it is tried at once: diy connectors connect {connector}; or, if the client itself is refused, set what is "
    "right: {secrets}; or, if the partner was wrong: diy holds resume {connector}",
)
"""Of `credentials_refused`, where somebody has to allow the access."""

_NOT_LINKED = Advice(
    "nobody has said yet which audience at the partner this is",
    "make it at the partner unless it is there, then: diy audiences link {connector} {audience} PARTNER_ID; or drop what waits: "
    "diy holds discard {connector} {audience}",
)
"""Of `audience_not_ready`, where audiences are linked by hand."""


def hold_reason(audience: Audience, hold: Hold) -> HoldReason:
    """The reason as it is now: a hold keeps the reason it was set for, even when the audience was paused after that."""
    return "paused" if audience.paused else hold.reason


def needs_someone(audience: Audience, hold: Hold) -> bool:
    """Whether it does not pass without a person."""
    reason = hold_reason(audience, hold)
    if reason != "audience_not_ready":  # others need not be looked at: thousands are for one page
        return reason in NEEDS_SOMEONE
    return _under_the_wrong_id(audience, hold) or _never_announced(audience, hold)


def due_at(audience: Audience, hold: Hold, state: ConnectorState | None = None) -> float | None:
    """When it is tried again by itself; None while it, or the connector, is paused or off, whenever it was due before."""
    stopped = audience.paused or (state is not None and (state.paused or not state.enabled))
    return None if stopped else hold.due_at


def paused_actions(state: ConnectorState, connector: Connector | None) -> list[str]:
    """The connector's actions that are switched off so that everything waits."""
    existing = {action.name for action in connector.actions} if connector else set()
    return [name for name, switch in state.actions.items() if switch == "paused" and name in existing]


def meaning(audience: Audience, hold: Hold, connector: Connector | None = None, state: ConnectorState | None = None) -> str:
    """Why it waits, in words. connector: as it runs; None where no version does. state: its switches."""
    reason = hold_reason(audience, hold)
    if reason == "connector_off" and state is not None and state.enabled and paused_actions(state, connector):
        return "an action of the connector is paused"
    if _under_the_wrong_id(audience, hold):
        return f"the DMP still sends under its own ID; it was answered as {audience.answers_to}"
    return _advice(audience, hold, connector).meaning


def what_to_do(audience: Audience, hold: Hold, connector: Connector | None = None, state: ConnectorState | None = None) -> str:
    """The advice with the names filled in; empty where it passes by itself. connector, state: see `meaning`."""
    template = _template(audience, hold, connector, state)
    names = sorted(partner_secret_names(connector, describe)) if connector and "{secrets}" in template else []
    return template.format(
        connector=shlex.quote(audience.connector),
        audience=shlex.quote(audience.id),
        secrets=", ".join(f"diy secrets set {shlex.quote(name)}" for name in names) or "diy secrets list",
    )


def _template(audience: Audience, hold: Hold, connector: Connector | None, state: ConnectorState | None) -> str:
    reason = hold_reason(audience, hold)
    if reason == "paused" and not audience.paused:
        return "diy holds resume {connector}"
    if reason == "connector_off" and state is not None:
        if not state.enabled:
            return "diy connectors enable {connector}"
        if paused := paused_actions(state, connector):
            ways = (f"diy actions enable {{connector}} {_literal(shlex.quote(name))}" for name in paused)
            return "; and ".join(ways)
    if _under_the_wrong_id(audience, hold):
        return (
            "have the DMP take over that ID, which the answer to CREATE_AUDIENCE carried; and drop what waits here: "
            "diy holds discard {connector} {audience}"
        )
    advice = _advice(audience, hold, connector)
    if _never_announced(audience, hold) and advice is not _NOT_LINKED:
        return (
            "the DMP has not announced this audience: create it there, or say which one it is: "
            "diy audiences link {connector} {audience} PARTNER_ID"
        )
    return advice.do


def _advice(audience: Audience, hold: Hold, connector: Connector | None) -> Advice:
    """By the reason, and by what the connector needs a person for."""
    reason = hold_reason(audience, hold)
    needs = _description(connector) if connector else None
    if needs is not None and needs.connect and reason == "credentials_refused":
        return _NO_ACCESS
    if needs is not None and needs.linked and _never_announced(audience, hold):
        return _NOT_LINKED
    return ADVICE[reason]


def _description(connector: Connector) -> Description | None:
    return _described(connector.adapter, msgspec.json.encode(connector.settings))


@lru_cache(maxsize=1_024)
def _described(adapter: str, settings: bytes) -> Description | None:
    """Remembered, since each of many holds of a connector asks for it anew, and some adapters look long at their settings."""
    try:
        return describe(adapter, msgspec.json.decode(settings))
    except DocumentError:
        return None  # published by a program that understood it


def _under_the_wrong_id(audience: Audience, hold: Hold) -> bool:
    """In mode `partner`, a change under the DMP's own ID: the DMP was told another one, so waiting changes nothing."""
    return bool(audience.answers_to) and hold_reason(audience, hold) == "audience_not_ready"


def _never_announced(audience: Audience, hold: Hold) -> bool:
    """It waits for an audience that nobody has made or is making: that of an ID which the partner never gave out."""
    nobody = audience.partner_id is None and audience.status == "unknown" and not audience.claim_by
    return nobody and hold_reason(audience, hold) == "audience_not_ready"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
