"""`diy connectors preview`: the exact requests that changes would cause, without sending any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from msgspec.structs import replace

from adapters.contract import Description
from relay.backends.interfaces import Backend
from relay.cli.connectors.chosen import chosen_connector
from relay.cli.connectors.given_user import read_user, user_option
from relay.cli.connectors.shown_request import as_json, as_text
from relay.cli.output import printable, show_json
from relay.cli.session import Session, with_state
from relay.domain.clock import Clock
from relay.domain.connector import TRIGGERS, Connector, InboundConnector, Trigger
from relay.domain.errors import ConfigurationError, Refusal
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.health.wording import duration_in_words
from relay.operating.given_user import SAMPLE_AUDIENCE, SAMPLE_NAME, SAMPLE_USER

if TYPE_CHECKING:
    from worker.preview import Preview

_SAMPLE = "sample"


@click.command()
@click.argument("name")
@user_option
@click.option("--trigger", type=click.Choice(TRIGGERS), help="What becomes of the user. With --user: joined, unless told.")
@click.option("--audience", metavar="ID", help="The audience, by the DMP's ID; a made-up one, unless told.")
@click.option("--audience-name", metavar="NAME", help="Its name, where it is not known yet.")
@click.option(
    "--mutation",
    default=_SAMPLE,
    show_default=True,
    metavar="FILE|sample",
    help="A JSON file with a request's body as the DMP sends it, or a made-up audience and user who joins and leaves.",
)
@click.option("--version", "number", type=click.IntRange(1), help="Another version than the one that runs, such as a draft.")
@with_state(json=True)
def preview(
    session: Session,
    name: str,
    given: dict[str, Any] | None,
    trigger: Trigger | None,
    audience: str | None,
    audience_name: str | None,
    mutation: str,
    number: int | None,
) -> None:
    """The exact requests that changes would cause. Nothing is sent, and no secret is needed.

    {audience} stands where the partner's ID of an audience will be that is not there yet, *** for what is secret.

    \b
    Examples:
      diy connectors preview pangolin
      diy connectors preview pangolin --user '{"Id": "u1", "Email": "ann@example.com"}' --trigger left
      diy connectors preview pangolin --mutation request.json --version 4
    """
    if mutation != _SAMPLE and (given is not None or trigger or audience):
        raise click.UsageError("The file of --mutation says itself who joins or leaves which audience.")
    from relay.connectors.completeness import missing_settings
    from worker.partners import Partners
    from worker.preview import preview as preview_of
    from worker.preview import preview_creation

    connector = chosen_connector(session.backend, name, number)
    adapter = Partners(session.backend, session.clock).open_for_preview(connector)
    for sentence in missing_settings(connector, adapter.description):
        session.note(f"Before {name} can run: {sentence}")
    found = []
    if mutation != _SAMPLE:
        batches = _by_audience(_read(Path(mutation), connector, session.clock))
    else:
        who = _who(connector, given, trigger, audience)
        batches = [[_message(connector, who, one, session.now)] for one in who.triggers if one != "created"]
        if "created" in who.triggers:
            if given is not None:
                session.note("When an audience is created, the user plays no part.")
            known = _audience(session.backend, name, who.audience, audience_name)
            made = preview_creation(connector, adapter, who.audience, audience_name=known.name)
            found.append(_Found(made, {0: "created"}))
    for messages in batches:
        known = _audience(session.backend, name, messages[0].audience, audience_name)
        sent = preview_of(connector, adapter, messages, audience_name=known.name, partner_id=known.partner_id)
        found.append(_Found(sent, {one.index: one.direction for message in messages for one in message.mutations}))
    _show(session, connector, adapter.description, found, numbered=mutation != _SAMPLE)


class _Found(NamedTuple):
    """What was found out of some changes, and their triggers by index."""

    preview: Preview
    triggers: Mapping[int, Trigger]


class _Who(NamedTuple):
    """The user, what becomes of them, and the audience."""

    user: Mutation
    triggers: tuple[Trigger, ...]
    audience: str


class _Audience(NamedTuple):
    """As it is known, or as it will be. `partner_id`: empty if it has none yet."""

    name: str
    partner_id: str


def _who(connector: Connector, given: dict[str, Any] | None, trigger: Trigger | None, audience: str | None) -> _Who:
    if given is None:
        return _Who(Mutation(index=0, user=SAMPLE_USER), (trigger,) if trigger else TRIGGERS, audience or SAMPLE_AUDIENCE)
    user = read_user(given, connector)
    if audience and user.audience and audience != user.audience:
        raise click.UsageError("--user names another audience than --audience.")
    own = user.mutation.direction if user.own_direction else None
    if own and trigger in ("joined", "left") and trigger != own:
        raise click.UsageError(f"--user says itself that the user {own} the audience, and --trigger says {trigger}.")
    return _Who(user.mutation, (trigger or own or "joined",), audience or user.audience or SAMPLE_AUDIENCE)


def _audience(backend: Backend, connector: str, audience_id: str, name: str | None) -> _Audience:
    known = backend.audiences.get(connector, audience_id)
    usual = SAMPLE_NAME if audience_id == SAMPLE_AUDIENCE else audience_id
    return _Audience(name or (known.name if known else "") or usual, (known.partner_id if known else None) or "")


def _message(connector: Connector, who: _Who, direction: Direction, now: float) -> Message:
    return Message(
        version=VERSION,
        kind="change",
        connector=connector.name,
        audience=who.audience,
        request_id="preview",
        received_at=now,
        mutations=(replace(who.user, direction=direction),),
    )


def _read(file: Path, connector: Connector, clock: Clock) -> list[Message]:
    """The file as the receiver would read it. Raises `ConfigurationError` where the receiver would refuse it."""
    from handlers.inbound import CompiledInbound
    from handlers.mapp.arrival import Arrival, BodyFields, Countdown
    from handlers.mapp.body import read_object
    from handlers.mapp.changing import read_changes
    from handlers.mapp.request_log import RequestRecord
    from handlers.mapp.request_type import RequestType, type_of

    directions: dict[RequestType, Direction] = {
        RequestType.ADD_TO_AUDIENCE: "joined",
        RequestType.REMOVE_FROM_AUDIENCE: "left",
    }
    try:
        fields = BodyFields(read_object(file.read_bytes()))
        kind = type_of(None, fields)
        if kind not in directions:
            raise ConfigurationError(f"{file} is a {kind} request; a preview needs one of {' or '.join(directions)}.")
        inbound = CompiledInbound(InboundConnector(connector.name, connector.inbound))
        arrival = Arrival(inbound, fields, RequestRecord("preview"), clock.now(), Countdown(clock))
        return read_changes(arrival, directions[kind])
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except Refusal as refusal:
        raise ConfigurationError(f"{file} would be refused: {refusal.sentence}") from None


def _by_audience(messages: Sequence[Message]) -> list[list[Message]]:
    groups: dict[str, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.audience, []).append(message)
    return list(groups.values())


def _show(session: Session, connector: Connector, description: Description, found: Sequence[_Found], *, numbered: bool) -> None:
    """`numbered`: changes are told by their number, since there may be many."""
    calls = [call for one in found for call in one.preview.calls]
    settled = [(one.triggers[result.index], result) for one in found for result in one.preview.settled]
    gathering_s = connector.limits.batch.max_age_s
    later = f"members arrive up to {duration_in_words(gathering_s)} later" if gathering_s > 0 else ""
    if session.as_json:
        show_json(
            {
                "requests": [{"action": call.action, **as_json(call.request, description)} for call in calls],
                "not_sent": [
                    {
                        "index": one.index,
                        "trigger": trigger,
                        "action": one.action,
                        "outcome": one.outcome,
                        "code": one.code,
                        "hint": one.hint,
                    }
                    for trigger, one in settled
                ],
                "gathering": {"max_age_s": gathering_s, "sentence": later} if later else None,
            }
        )
        return
    for call in calls:
        click.echo(printable(f"# {call.action}"))
        click.echo(as_text(call.request, description) + "\n")
    for trigger, result in settled:
        who = f"change {result.index + 1}" if numbered else trigger
        action = f" ({result.action})" if result.action else ""
        hint = f": {result.hint}" if result.hint else ""
        click.echo(printable(f"# {who}{action} is not sent: {result.outcome}{hint}"))
    if later and any(trigger != "created" for one in found for trigger in one.triggers.values()):
        click.echo(f"# {later}: the connector gathers for larger calls (limits.batch.max_age)")
    if not calls:
        session.note("No request would be sent.")
