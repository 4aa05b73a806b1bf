"""The contract that every adapter fulfils. `tests/contract/adapters` runs it against each of them.

An adapter speaks one partner's API. It is constructed for one connector with an `Account` and holds no state of its own: the
client, the clock and the tokens are given to it. What it cannot do raises `Unsupported`, and its description says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from relay.domain.clock import Clock
from relay.domain.connector import BatchLimits, Trigger

FieldType = Literal["text", "url", "number", "boolean", "choice", "list"]


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One setting, secret or partner field, described well enough to ask a person for it.

    choices   the values that are allowed, if they are few and known
    dynamic   the values are asked of the partner: `Adapter.options`
    """

    name: str
    title: str
    type: FieldType = "text"
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that can be done at the partner with the users of a batch.

    kind        `create`: makes the audience (trigger `created` only); `set`: adds to or removes from a set, so that a repeat is
                harmless and only the last mutation of a row is sent; `event`: happens, every mutation is sent
    effect      of a set operation: which way
    set_name    set operations with the same name act on the same set: their rows replace each other
    key_fields  partner fields that together say which row it is (set operations): decided after mapping
    fields      partner fields that can be mapped
    max_items   most rows in one call, whatever the connector's limits say; 1: one user a call
    """

    name: str
    title: str
    kind: Literal["create", "set", "event"]
    triggers: tuple[Trigger, ...]
    effect: Literal["add", "remove"] | None = None
    set_name: str = "members"
    key_fields: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    max_items: int = 1_000
    help: str = ""


class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person or a program must know to configure a connector with this adapter.

    required_triggers  a connector without an action on one of these is incomplete
    limits             defaults of the connector's batch limits
    our_page           address or path of our page about it; partner_page: of the partner's own about its API
    credential_headers headers that carry credentials: sent with every call, shown without their values
    unsupported        what the partner does not offer → a sentence about it
    """

    name: str
    title: str
    summary: str
    settings: tuple[Field, ...]
    secrets: tuple[Field, ...]
    operations: tuple[Operation, ...]
    required_triggers: tuple[Trigger, ...]
    limits: BatchLimits
    our_page: str = ""
    partner_page: str = ""
    credential_headers: tuple[str, ...] = ("Authorization",)
    unsupported: dict[str, str] = {}

    def operation(self, name: str) -> Operation | None:
        """The operation of that name."""
        return next((operation for operation in self.operations if operation.name == name), None)


class HttpRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to a partner, before authentication: what `preview` shows is what is sent.

    url      whole, with the query; never holds an identifier or a secret
    body     encoded as JSON, unless `raw` is given
    batch    carries several users: the longer time-out applies
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    raw: bytes | None = None
    batch: bool = False


class HttpAnswer(msgspec.Struct, frozen=True):
    """The partner's answer, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    duration_ms: float


class HttpClient(Protocol):
    """Sends one request. Raises `TryAgain` if no whole answer came in time; any answer that came is returned."""

    def send(self, request: HttpRequest, *, auth: Mapping[str, str]) -> HttpAnswer:
        """`auth`: headers that must not be shown."""
        ...


class TokenSource(Protocol):
    """Tokens from OAuth, shared by all workers."""

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        """An access token that is still good. `obtain(refresh_token)` → (access token, good for seconds, refresh token or
        empty) makes one call to the partner, and is called by one worker at a time. `not_token`: one that the partner has just
        refused."""
        ...


class Account(msgspec.Struct, frozen=True):
    """Everything an adapter is given: settings with defaults filled in, secrets by field name, and its surroundings."""

    connector: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    client: HttpClient
    clock: Clock
    tokens: TokenSource


class Target(msgspec.Struct, frozen=True):
    """The audience that an operation concerns. `partner_id` is empty where the partner has none (or in a preview)."""

    id: str
    name: str
    partner_id: str
    reference: str


class Row(msgspec.Struct, frozen=True):
    """One user for one operation, mapped: partner field → value. `event_id`: the same at every retry; `at`: when the mutation
    was received, seconds since the epoch."""

    values: dict[str, Any]
    event_id: str
    at: float


class Delivered(msgspec.Struct, frozen=True):
    """The partner took the row."""


class Rejected(msgspec.Struct, frozen=True):
    """The partner refused this row for good."""

    code: str
    hint: str


class NotYet(msgspec.Struct, frozen=True):
    """This row is to be sent again."""

    hint: str
    after_s: float | None = None


RowResult = Delivered | Rejected | NotYet


class Option(msgspec.Struct, frozen=True):
    """One value that a dynamic field can take."""

    value: str
    label: str


class Adapter(Protocol):
    """One partner. Methods that call the partner raise the `PartnerError`s of `relay.domain.errors`."""

    description: ClassVar[Description]

    def __init__(self, account: Account) -> None: ...

    def create_audience(self, name: str, reference: str) -> str:
        """The partner's ID of the audience with this reference, made if it is not there yet (looked up by our reference first
        where the partner allows it). The same reference twice gives the same ID."""
        ...

    def is_ready(self, partner_id: str) -> bool:
        """Whether members can be sent. Raises `AudienceGone`."""
        ...

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """What the partner says of it (name, size, …), for display. Raises `AudienceGone`."""
        ...

    def preview(self, operation: str, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """The exact requests that `send` would make for these rows; calls nobody and needs no secret."""
        ...

    def send(self, operation: str, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """One call. One result per row, in order. Raises a `PartnerError` when the answer concerns the call as a whole."""
        ...

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """The values that a dynamic field can take, given the values chosen so far."""
        ...

    def check_credentials(self) -> None:
        """Returns if the partner accepts them, else raises."""
        ...
