"""`diy connectors preview`: the exact requests that changes would cause, without sending any."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from adapters.contract import Adapter, HttpRequest, Target
from relay.backends.interfaces import Backend
from relay.cli.output import printable, show_json
from relay.cli.session import Session, with_state
from relay.connectors.live import document_of, live
from relay.domain.clock import Clock
from relay.domain.connector import Connector, InboundConnector
from relay.domain.errors import ConfigurationError, NotFound
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.domain.outcome import hash_user

_DIRECTIONS: tuple[Direction, ...] = ("joined", "left")

SAMPLE_AUDIENCE = "a000000000sample.100000000000000001"
"""Has the form of the DMP's, and is none."""

_MASK = "***"

_SAMPLE_EMAIL = "sample@example.com"
_SAMPLE_PHONE = "+15555550100"

SAMPLE_USER = {
    "id": "sample-user",
    "email": _SAMPLE_EMAIL,
    "email_sha256": hash_user(_SAMPLE_EMAIL),
    "phone": _SAMPLE_PHONE,
    "phone_sha256": hash_user(_SAMPLE_PHONE),
    "idfa": "00000000-0000-4000-8000-000000000001",
    "gaid": "00000000-0000-4000-8000-000000000002",
    "cookie_id": "sample-cookie",
}
"""Nobody. Every canonical identifier is there, so that any mapping has something to show."""


@click.command()
@click.argument("name")
@click.option(
    "--mutation",
    default="sample",
    show_default=True,
    metavar="FILE|sample",
    help="A JSON file with a request's body as the DMP sends it, or a made-up audience and user who joins and leaves.",
)
@click.option("--version", "number", type=click.IntRange(1), help="Another version than the one that runs, such as a draft.")
@with_state(json=True)
def preview(session: Session, name: str, mutation: str, number: int | None) -> None:
    """The exact requests that changes would cause. Nothing is sent, and no secret is needed.

    \b
    Examples:
      diy connectors preview pangolin
      diy connectors preview pangolin --mutation request.json --version 4
    """
    from worker.partners import Partners
    from worker.preview import PreviewedCall
    from worker.preview import preview as preview_of

    connector = _connector(session.backend, name, number)
    adapter = Partners(session.backend, session.clock).open(connector)
    calls: list[PreviewedCall] = []
    if mutation == "sample":
        calls += [PreviewedCall(action, request) for action, request in _creation(connector, adapter)]
        batches = [[_sample(connector, direction, session.now)] for direction in _DIRECTIONS]
    else:
        batches = _by_audience(_read(Path(mutation), connector, session.clock))
    previews = []
    for messages in batches:
        known = session.backend.audiences.get(name, messages[0].audience)
        audience_name = (known.name if known else "") or messages[0].audience
        partner_id = (known.partner_id if known else None) or ""
        previews.append(preview_of(connector, adapter, messages, audience_name=audience_name, partner_id=partner_id))
    calls += [call for one in previews for call in one.calls]
    settled = [result for one in previews for result in one.settled]
    if session.as_json:
        show_json(
            {
                "requests": [{"action": call.action, **_as_json(call.request, adapter)} for call in calls],
                "not_sent": [
                    {"index": one.index, "action": one.action, "outcome": one.outcome, "code": one.code, "hint": one.hint}
                    for one in settled
                ],
            }
        )
        return
    for call in calls:
        click.echo(f"# {call.action}")
        click.echo(_as_text(call.request, adapter) + "\n")
    for result in settled:
        action = f" ({result.action})" if result.action else ""
        hint = f": {result.hint}" if result.hint else ""
        click.echo(printable(f"# change {result.index + 1}{action} is not sent: {result.outcome}{hint}"))
    if not calls:
        session.note("No request would be sent.")


def _connector(backend: Backend, name: str, number: int | None) -> Connector:
    """The connector as it runs; in this version; or, where none is published, in the newest."""
    document = document_of(name)
    if number is None and any(state.name == name and state.live for state in backend.connectors.states()):
        return live(backend.connectors, name)
    version = backend.connectors.version(document, number or backend.connectors.versions(document)[-1].number)
    for connector in version.connectors:
        if connector.name == name:
            return connector
    raise NotFound(f"Version {version.number} of '{document}' has no connector '{name}'.")


def _creation(connector: Connector, adapter: Adapter) -> list[tuple[str, HttpRequest]]:
    """The requests that would make the sample's audience, each with its action."""
    target = Target(SAMPLE_AUDIENCE, "Sample audience", "", f"{connector.name}/{SAMPLE_AUDIENCE}")
    return [
        (action.name, request)
        for action in connector.actions
        if action.trigger == "created" and action.enabled
        for request in adapter.preview(action.operation, target, [])
    ]


def _sample(connector: Connector, direction: Direction, now: float) -> Message:
    return Message(
        version=VERSION,
        kind="change",
        connector=connector.name,
        audience=SAMPLE_AUDIENCE,
        request_id="preview",
        received_at=now,
        mutations=(Mutation(index=0, direction=direction, user=SAMPLE_USER),),
    )


def _read(file: Path, connector: Connector, clock: Clock) -> list[Message]:
    """The file as the receiver would read it. Raises the receiver's `Refusal`."""
    from handlers.inbound import CompiledInbound
    from handlers.mapp.arrival import Arrival, BodyFields, Countdown
    from handlers.mapp.body import read_object
    from handlers.mapp.changing import read_changes
    from handlers.mapp.request_log import RequestRecord
    from handlers.mapp.request_type import RequestType, type_of

    try:
        body = read_object(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    fields = BodyFields(body)
    kind = type_of(None, fields)
    directions: dict[RequestType, Direction] = {
        RequestType.ADD_TO_AUDIENCE: "joined",
        RequestType.REMOVE_FROM_AUDIENCE: "left",
    }
    if kind not in directions:
        raise ConfigurationError(f"{file} is a {kind} request; a preview needs one of {' or '.join(directions)}.")
    inbound = CompiledInbound(InboundConnector(connector.name, connector.inbound))
    arrival = Arrival(inbound, fields, RequestRecord("preview"), clock.now(), Countdown(clock))
    return read_changes(arrival, directions[kind])


def _by_audience(messages: Sequence[Message]) -> list[list[Message]]:
    groups: dict[str, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.audience, []).append(message)
    return list(groups.values())


def _headers(request: HttpRequest, adapter: Adapter) -> dict[str, str]:
    """As they are sent, those with credentials masked."""
    from adapters.client import headers_of

    return {**headers_of(request), **dict.fromkeys(adapter.description.credential_headers, _MASK)}


def _as_json(request: HttpRequest, adapter: Adapter) -> dict[str, Any]:
    shown = {"method": request.method, "url": request.url, "headers": _headers(request, adapter), "body": request.body}
    return shown if request.raw is None else {**shown, "raw_base64": base64.b64encode(request.raw).decode()}


def _as_text(request: HttpRequest, adapter: Adapter) -> str:
    headers = _headers(request, adapter)
    lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in headers.items())]
    if request.raw is not None:
        lines += ["", request.raw.decode("utf-8", "backslashreplace")]
    elif request.body is not None:
        lines += ["", msgspec.json.format(msgspec.json.encode(request.body), indent=2).decode()]
    return "\n".join(lines)
