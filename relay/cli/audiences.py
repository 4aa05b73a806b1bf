"""`diy audiences`: what the DMP's audiences are at the partner."""

from __future__ import annotations

from typing import Any

import click

from relay.cli.hold_record import Setups, hold_as_json
from relay.cli.known import known_audience
from relay.cli.output import iso, moment, show_fields, show_json, show_table
from relay.cli.resync import resync
from relay.cli.sending_again import progress_as_json
from relay.cli.session import Session, with_state
from relay.domain.audience import Audience
from relay.domain.outcome import Report
from relay.health.advice import hold_reason, needs_someone, what_to_do
from relay.health.wording import count
from relay.operating import audiences as by_hand
from relay.operating.sending_again import progress

_ATTEMPTS = 10


@click.group()
def audiences() -> None:
    """Audiences: the DMP's ID, the partner's ID, and how they stand."""


@audiences.command("list")
@click.argument("connector", required=False)
@with_state(json=True)
def list_(session: Session, connector: str | None) -> None:
    """All audiences, or those of one connector.

    \b
    Example:
      diy audiences list pangolin --json
    """
    if connector is not None:
        session.backend.connectors.state(connector)
    found = session.backend.audiences.all(connector)
    if session.as_json:
        setups = Setups(session.backend)
        show_json([_as_json(audience, setups) for audience in found])
        return
    show_table(
        ["connector", "audience", "name", "partner id", "status", "waiting", "updated"],
        [
            [
                audience.connector,
                audience.id,
                audience.name,
                audience.partner_id or (f"see {audience.answers_to}" if audience.answers_to else None),
                audience.status,
                f"{count(audience.hold.batches, 'batch', 'batches')}: {hold_reason(audience, audience.hold)}"
                if audience.hold
                else None,
                moment(audience.updated_at, session.now),
            ]
            for audience in found
        ],
        empty="No audiences yet: the DMP announces them, or diy audiences create makes one.",
    )


@audiences.command()
@click.argument("connector")
@click.argument("audience_id", metavar="AUDIENCE")
@with_state(json=True)
def show(session: Session, connector: str, audience_id: str) -> None:
    """One audience, its hold, and the last attempts to deliver to it.

    \b
    Example:
      diy audiences show pangolin a5940e473cea659.356693871497425011
    """
    audience = known_audience(session.backend, connector, audience_id)
    recent = [one for one in session.backend.reports.attempts(connector, limit=1_000) if one.audience == audience_id]
    recent = recent[:_ATTEMPTS]
    if session.as_json:
        show_json({**_as_json(audience, Setups(session.backend)), "attempts": [_attempt_as_json(report) for report in recent]})
        return
    _show(session, audience)
    click.echo()
    show_table(
        ["attempt", "kind", "outcomes", "calls", "problem", "hint"],
        [
            [
                moment(report.at, session.now),
                report.kind,
                ", ".join(f"{number:,} {outcome}" for outcome, number in report.counts.items() if number),
                len(report.calls),
                report.problem,
                report.hint,
            ]
            for report in recent
        ],
        empty="No attempt is on record.",
    )


@audiences.command()
@click.argument("connector")
@click.argument("audience_id", metavar="ID")
@click.option("--name", required=True, help="Its name at the partner.")
@click.option("--customer", help="The DMP's customer that it belongs to.")
@with_state(json=True)
def create(session: Session, connector: str, audience_id: str, name: str, customer: str | None) -> None:
    """Makes an audience at the partner, as the DMP would. ID is the DMP's; repeating it makes no second one.

    \b
    Example:
      diy audiences create pangolin a5940e473cea659.356693871497425011 --name "Buyers"
    """
    audience = by_hand.create(
        session.backend, connector, audience_id, name=name, customer=customer, by=session.by, clock=session.clock
    )
    _result(session, audience)


@audiences.command()
@click.argument("connector")
@click.argument("audience_id", metavar="ID")
@click.argument("partner_id", metavar="PARTNER_ID")
@click.option("--name", help="Its name, to be shown.")
@with_state(json=True)
def link(session: Session, connector: str, audience_id: str, partner_id: str, name: str | None) -> None:
    """Says by hand which audience of the partner it is. Whatever was recorded before is replaced, and what waits is tried now.

    Members that were sent to another audience of the partner stay there. No two audiences of a connector can be the same one.

    \b
    Example:
      diy audiences link pangolin a5940e473cea659.356693871497425011 1042
    """
    audience = by_hand.link(session.backend, connector, audience_id, partner_id=partner_id, name=name, by=session.by)
    _result(session, audience)


@audiences.command()
@click.argument("connector")
@click.argument("audience_id", metavar="AUDIENCE")
@with_state(json=True)
def describe(session: Session, connector: str, audience_id: str) -> None:
    """Asks the partner about an audience, such as its size.

    \b
    Example:
      diy audiences describe pangolin a5940e473cea659.356693871497425011
    """
    audience = known_audience(session.backend, connector, audience_id)
    said = by_hand.described(session.backend, audience, session.clock)
    if session.as_json:
        show_json(said)
    else:
        show_fields(list(said.items()) or [("partner id", audience.partner_id)])


audiences.add_command(resync)


def _result(session: Session, audience: Audience) -> None:
    if session.as_json:
        show_json(_as_json(audience, Setups(session.backend)))
    else:
        _show(session, audience)


def _show(session: Session, audience: Audience) -> None:
    fields: list[tuple[str, object]] = [
        ("connector", audience.connector),
        ("audience", audience.id),
        ("name", audience.name),
        ("partner id", audience.partner_id),
        ("status", audience.status),
        ("error", audience.error),
        ("customer", audience.customer),
        ("paused", audience.paused),
        ("created", moment(audience.created_at, session.now)),
        ("updated", moment(audience.updated_at, session.now)),
    ]
    if audience.use is not None:
        fields.append(("feed", audience.use.in_words))
    if audience.answers_to:
        fields.append(("answered to the DMP as", audience.answers_to))
    if hold := audience.hold:
        waiting = f"{count(hold.batches, 'batch', 'batches')}, {count(hold.items, 'mutation')}: {hold_reason(audience, hold)}"
        fields += [("waiting", waiting), ("detail", hold.detail)]
        if needs_someone(audience, hold):
            fields.append(("what to do", what_to_do(audience, hold, *Setups(session.backend).of(audience.connector))))
    if audience.replayed is not None:
        fields.append(("replay", progress(audience.replayed, session.now)))
    show_fields(fields)


def _as_json(audience: Audience, setups: Setups) -> dict[str, Any]:
    return {
        "connector": audience.connector,
        "id": audience.id,
        "name": audience.name,
        "partner_id": audience.partner_id,
        "status": audience.status,
        "error": audience.error,
        "customer": audience.customer,
        "paused": audience.paused,
        "answers_to": audience.answers_to or None,
        "feed": audience.use.in_words if audience.use else None,
        "hold": hold_as_json(audience, audience.hold, setups.of(audience.connector)) if audience.hold else None,
        "replay": progress_as_json(audience.replayed),
        "created_at": iso(audience.created_at),
        "updated_at": iso(audience.updated_at),
    }


def _attempt_as_json(report: Report) -> dict[str, Any]:
    return {
        "attempt_id": report.attempt_id,
        "at": iso(report.at),
        "kind": report.kind,
        "counts": report.counts,
        "calls": len(report.calls),
        "duration_ms": report.duration_ms,
        "problem": report.problem,
        "hint": report.hint,
        "held": report.held,
    }
