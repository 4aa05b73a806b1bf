"""What each reason of a hold means to an operator, and what to do about it."""

from __future__ import annotations

import shlex

import msgspec

from relay.domain.audience import NEEDS_SOMEONE, Audience, Hold, HoldReason
from relay.domain.connector import Connector


class Advice(msgspec.Struct, frozen=True):
    """meaning: why the batches wait. do: commands and words, with `{connector}`, `{audience}`, `{secrets}`; empty: it passes by
    itself."""

    meaning: str
    do: str = ""


ADVICE: dict[HoldReason, Advice] = {
    "gathering": Advice("it gathers, to be sent in larger calls"),
    "connector_off": Advice("the connector does not run", "diy connectors enable {connector}; if it is on: diy status"),
    "partner_unavailable": Advice("the partner cannot be reached; it is tried again by itself"),
    "come_back_later": Advice("the partner asked to be called later; it is called then"),
    "credentials_refused": Advice(
        "the partner refuses the credentials",
        "set the right ones, then it is tried at once: {secrets}; or, if the partner was wrong: diy holds resume {connector}",
    ),
    "audience_not_ready": Advice("the partner's audience cannot take members yet; it is tried again by itself"),
    "audience_gone": Advice(
        "the partner no longer has this audience",
        "name the one to use: diy audiences link {connector} {audience} PARTNER_ID; or drop what waits: "
        "diy holds discard {connector} {audience}",
    ),
    "misconfigured": Advice(
        "nothing that is sent can succeed as the connector, or the partner's account, is set up",
        "correct the document, then it is tried at once: diy connectors apply FILE; or, once the partner's account is right: "
        "diy holds resume {connector}",
    ),
    "crashed": Advice(
        "handling its first batch ended the worker several times",
        "look at the worker's log, then try again: diy holds resume {connector} {audience}; or drop what waits: "
        "diy holds discard {connector} {audience}",
    ),
    "paused": Advice("it is paused by an operator", "diy holds resume {connector} {audience}"),
}


def hold_reason(audience: Audience, hold: Hold) -> HoldReason:
    """The reason as it is now: a hold keeps the reason it was set for, even when the audience was paused after that."""
    return "paused" if audience.paused else hold.reason


def needs_someone(audience: Audience, hold: Hold) -> bool:
    """Whether it does not pass without a person."""
    return hold_reason(audience, hold) in NEEDS_SOMEONE or _never_announced(audience, hold)


def _never_announced(audience: Audience, hold: Hold) -> bool:
    """It waits for an audience that nobody has made or is making: that of an ID which the partner never gave out."""
    nobody = audience.partner_id is None and audience.status == "unknown" and not audience.claim_by
    return nobody and hold_reason(audience, hold) == "audience_not_ready"


def what_to_do(audience: Audience, hold: Hold, connector: Connector | None = None) -> str:
    """The advice with the names filled in; empty where it passes by itself."""
    reason = hold_reason(audience, hold)
    template = ADVICE[reason].do
    if reason == "paused" and not audience.paused:
        template = "diy holds resume {connector}"
    if _never_announced(audience, hold):
        template = (
            "the DMP has not announced this audience: create it there, or say which one it is: "
            "diy audiences link {connector} {audience} PARTNER_ID"
        )
    names = sorted(connector.secrets.values()) if connector else []
    return template.format(
        connector=shlex.quote(audience.connector),
        audience=shlex.quote(audience.id),
        secrets=", ".join(f"diy secrets set {shlex.quote(name)}" for name in names) or "diy secrets list",
    )
