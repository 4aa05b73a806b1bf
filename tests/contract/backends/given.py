"""Values that the suite begins with, each with the details that matter to a test left to it."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.domain.audience import HoldReason, HoldRequest, Waiting
from relay.domain.connector import (
    Action,
    BatchLimits,
    Connector,
    DocumentVersion,
    Inbound,
    Limits,
    Retention,
)
from relay.domain.message import Kind, Message, Mutation
from relay.domain.outcome import Rejection, Report

BEGINNING = 1_800_000_000.0
"""The moment at which a turned clock stands at first: the beginning of a minute."""

MINUTE = 60.0
DAY = 86400.0


def message(
    audience: str = "a.1",
    *users: str,
    connector: str = "pangolin",
    request_id: str = "request-1",
    received_at: float = BEGINNING,
    kind: Kind = "change",
    version: int = 1,
) -> Message:
    """A batch in which these users joined."""
    return Message(
        version=version,
        kind=kind,
        connector=connector,
        audience=audience,
        request_id=request_id,
        received_at=received_at,
        mutations=tuple(Mutation(index=index, user={"id": user}) for index, user in enumerate(users)),
    )


def request(reason: HoldReason = "partner_unavailable", *, due_at: float | None = None, probe: bool = False) -> HoldRequest:
    """A hold that a turn asks for."""
    return HoldRequest(reason=reason, due_at=due_at, detail=f"because of {reason}", probe=probe)


def connector(name: str = "pangolin", *, retention: Retention | None = None) -> Connector:
    """A connector as it runs."""
    return Connector(
        name=name,
        document=name.partition("@")[0],
        document_version=1,
        adapter="pangolin",
        inbound=Inbound(hmac_secret="pangolin-hmac"),
        actions=(Action(name="Add", trigger="joined", operation="add", mapping={"id": "user.id"}),),
        limits=Limits(batch=BatchLimits(max_items=100, max_bytes=1_000_000)),
        retention=retention or Retention(),
    )


def document(*connectors: Connector, text: str = "name: pangolin", version: int = 1) -> DocumentVersion:
    """A version that was not stored yet, so without a number."""
    expanded = connectors or (connector(),)
    return DocumentVersion(
        version=version,
        document=expanded[0].document,
        number=0,
        text=text,
        by="somebody",
        at=BEGINNING,
        connectors=expanded,
    )


def published(backend: Backend, *connectors: Connector) -> int:
    """Stores a document and publishes it; its number."""
    stored = backend.connectors.add_version(document(*connectors))
    backend.connectors.publish(stored.document, stored.number)
    return stored.number


def held(
    backend: Backend,
    audience: str = "a.1",
    *batches: Message,
    connector: str = "pangolin",
    why: HoldRequest | None = None,
) -> None:
    """An audience that holds these batches (one if none is given)."""
    for position, batch in enumerate(batches or (message(audience, "u1", connector=connector),), 1):
        turn = backend.audiences.begin_turn(connector, audience, position=position, message_id=f"m{position}")
        backend.audiences.join(turn, batch, why or request())


def ask(backend: Backend, audience: str, connector: str = "pangolin") -> bool:
    """A resume is asked for, for the hold as it stands."""
    record = backend.audiences.get(connector, audience)
    return record is not None and backend.audiences.mark_asked(record)


def drop_all(backend: Backend, connector: str, audience: str = "a.1") -> None:
    """Empties a hold."""
    backend.audiences.drop(connector, audience, older_than=None, limit=1_000, reject=lambda _batches: [])


def users(batches: list[Waiting]) -> list[list[str]]:
    """Who is in each of them."""
    return [[mutation.user["id"] for mutation in batch.message.mutations] for batch in batches]


def report(
    connector: str = "pangolin",
    *,
    number: int = 1,
    at: float = BEGINNING,
    lag_ms: float = 100,
    problem: str = "",
    version: int = 1,
    **counts: int,
) -> Report:
    """An attempt with these outcomes."""
    return Report(
        version=version,
        attempt_id=f"attempt-{number}",
        connector=connector,
        connector_version=1,
        audience="a.1",
        kind="change",
        request_ids=("request-1",),
        at=at,
        duration_ms=12.5,
        counts=counts,
        problem=problem,
        lag_ms=lag_ms,
    )


def rejection(
    connector: str = "pangolin",
    *,
    audience: str = "a.1",
    index: int = 0,
    user_hash: str = "f00d",
    at: float = BEGINNING,
    version: int = 1,
) -> Rejection:
    """A mutation that was refused."""
    return Rejection(
        version=version,
        connector=connector,
        audience=audience,
        request_id="request-1",
        index=index,
        direction="joined",
        user_hash=user_hash,
        action="Add",
        code="invalid_id",
        hint="The partner does not know this ID.",
        at=at,
    )
