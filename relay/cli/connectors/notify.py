"""`diy connectors notify`: whether whoever is to be told of trouble can be told."""

from __future__ import annotations

import click

from relay.cli.connectors.chosen import chosen_connector
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import printable
from relay.cli.session import Session, with_state
from relay.domain.errors import Conflict, NotTaken


@click.command()
@click.argument("name")
@with_state()
def notify(session: Session, name: str) -> None:
    """Sends a test to whom the document's `notify` names, now. Says what the receiver answered.

    The worker sends what is the matter; with its own SMTP_URL and SMTP_FROM. Where no version of the connector is published, the
    newest draft counts.

    \b
    Example:
      diy connectors notify pangolin
    """
    from worker.notice_sending import NoticeSending, channels_of
    from worker.notice_text import trial_notice

    connector = chosen_connector(session.backend, name)
    channels = channels_of(connector.notify)
    if not channels:
        raise Conflict(f"The document of {name} names nobody to be told: `notify` (docs/connectors.md).")
    sending = NoticeSending(session.backend.secrets, session.configuration, session.clock)
    all_taken = True
    for channel in channels:
        try:
            said = sending.send(channel, connector.notify, trial_notice(name, session.now), test=True)
        except NotTaken as error:
            all_taken, said = False, f"NOT TAKEN. {error}"
        click.echo(printable(f"{channel}: {said}"))
    if not all_taken:
        raise click.exceptions.Exit(SOMEONE_MUST_ACT)
