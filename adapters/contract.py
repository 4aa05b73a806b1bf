"""The contract that every adapter fulfils. `tests/contract/adapters` runs each of them against it, by a case file.

An adapter speaks one partner's API. It is constructed for one connector with an `Account` and holds no state of its own: the
client, the clock and the tokens are given to it. What it cannot do raises `Unsupported`, and its description says so.

How one is written, from the first line to a green suite: docs/adding-a-partner.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from relay.domain.clock import Clock
from relay.domain.connector import BatchLimits, Trigger

FieldType = Literal["text", "url", "number", "boolean", "choice", "list", "object"]
ANY = ".*"
"""How the name of a field ends that stands for any name with its beginning: `objectData.*` for `objectData.amount`."""


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One setting, secret or partner field, described well enough to ask a person for it.

    choices    the values that are allowed, if they are few and known
    dynamic    the values are asked of the partner: `Adapter.options`
    app        a secret that may come from the installation's app (see `Description.app`) instead of the connector
    normalise  of a partner field: name of the rule in `adapters.normalisation` that the partner applies to it; empty: none
    form       of a partner field: what it may be given. `raw`: clear text, `sha256`: a hash, `auto`: either, told apart by its
               look; empty: anything. A value that contradicts it is rejected
    hashed     of a partner field: the partner wants its SHA-256, which is made of what is not hashed yet
    reserved   of a field that stands for any name: beginnings that the name behind the dot must not have, in any case
    """

    name: str
    title: str
    type: FieldType = "text"
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False
    app: bool = False
    normalise: str = ""
    form: Literal["", "raw", "sha256", "auto"] = ""
    hashed: bool = False
    reserved: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that can be done at the partner with the users of a batch.

    kind        `create`: makes the audience (trigger `created` only); `set`: adds to or removes from a set, so that a repeat is
                harmless and only the last mutation of a row is sent; `event`: happens, every mutation is sent
    effect      of a set operation: which way
    set_name    set operations with the same name act on the same set: their rows replace each other
    key_fields  partner fields by which the partner knows a user (set operations); at least one of them must be mapped
    fields      partner fields that can be mapped
    max_items   most rows in one call, whatever the connector's limits say; 1: one user a call
    named_only  only for actions that are limited to audiences by name or ID: it does more than concern the one audience
    takes_s     seconds that it may take beyond the time of one call, where it makes several
    touches     further sets that it changes the same way: rows of theirs are not replaced, and come before or after
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
    named_only: bool = False
    takes_s: float = 0.0
    touches: tuple[str, ...] = ()

    def field(self, name: str) -> Field | None:
        """The partner field of that name, or the one whose `.*` stands for it."""
        exact = next((field for field in self.fields if field.name == name and not name.endswith(ANY)), None)
        return exact or next(
            (
                field
                for field in self.fields
                if field.name.endswith(ANY) and name.startswith(field.name[:-1]) and name != field.name[:-1]
            ),
            None,
        )


class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person or a program must know to configure a connector with this adapter.

    required_triggers  a connector without an action on one of these is incomplete
    limits             defaults of the connector's batch limits
    our_page           address or path of our page about it; partner_page: of the partner's own about its API
    credential_headers headers that carry credentials: shown without their values
    credential_query   parameters of the query that do
    unsupported        what the partner does not offer → a sentence about it
    app                the installation's app, which connectors can share: its secrets are `app-<app>-<field>`; empty: none
    email_rule         the rule in `adapters.normalisation` that `email()` in a mapping stands for
    one_audience       with these settings every audience becomes one and the same at the partner, where two would undo each
                       other's removals: the document must limit its set operations to one audience
    connect            somebody has to allow the access in a browser: the adapter has an `authorization`
    api_version        of the partner's API that it speaks, in the partner's words; empty: the API has none
    linked             nothing makes audiences at the partner from here: a person does, and then links each by its ID
    words              names and fixed values of the partner's API, as they stand in requests and answers: of what is kept of
                       calls all else is masked, see `adapters.masking`
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
    credential_query: tuple[str, ...] = ()
    unsupported: dict[str, str] = {}
    app: str = ""
    email_rule: str = "email"
    one_audience: bool = False
    connect: bool = False
    linked: bool = False
    api_version: str = ""
    words: tuple[str, ...] = ()

    def operation(self, name: str) -> Operation | None:
        """The operation of that name."""
        return next((operation for operation in self.operations if operation.name == name), None)


class HttpRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to a partner, before authentication: what `preview` shows is what is sent.

    url      whole, with the query; the HTTP adapter may put a user there: shown to nobody but masked
    body     encoded as JSON, unless `raw` is given
    batch    carries several users: the longer time-out applies
    answer_s seconds for the answer of a call with bounds of its own, such as one for a token; 0: the connector's time-outs
    secret   what is sent and answered are credentials: nothing of it is kept, not even masked
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    raw: bytes | None = None
    batch: bool = False
    answer_s: float = 0.0
    secret: bool = False


class Credentials(msgspec.Struct, frozen=True):
    """What proves to the partner who calls: headers, and parameters added to the query. Never shown, never logged. `token`: the
    one among them that can be renewed; empty: none."""

    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({', '.join([*self.headers, *self.query])})"


class HttpAnswer(msgspec.Struct, frozen=True):
    """The partner's answer. `cut`: it is longer than what is kept of an answer, and `content` is only its beginning."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    duration_ms: float
    cut: bool = False


class HttpClient(Protocol):
    """Sends one request. Raises `TryAgain` if no whole answer came in time; any answer that came is returned."""

    def send(self, request: HttpRequest, *, auth: Credentials) -> HttpAnswer: ...


class TokenSource(Protocol):
    """Tokens from OAuth, shared by all workers."""

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        """An access token that is still good. `obtain(refresh_token)` → (access token, good for seconds, refresh token or
        empty) makes one call to the partner, and is called by one worker at a time. `not_token`: one that the partner has just
        refused."""
        ...

    def replace(self, name: str, obtain: Callable[[], tuple[str, float, str]]) -> bool:
        """What `obtain()` gives takes the place of whatever there is, which nobody renews in the meantime; if it has no refresh
        token, the one that is there stays. Whether there is one now. Raises what `obtain` raises, `TryAgain` if somebody is
        renewing that just now, `StoreUnavailable`."""
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


class Row(msgspec.Struct, frozen=True, gc=False):
    """One user for one operation, mapped and prepared: partner field → value.

    event  its `event_id`, or what computes it of the row when it is asked for: few partners ask
    at     when the mutation was received, seconds since the epoch
    """

    values: dict[str, Any]
    event: str | Callable[[Any], str]
    at: float

    @property
    def event_id(self) -> str:
        """A UUID, the same at every retry."""
        return self.event if isinstance(self.event, str) else self.event(self)


class Delivered(msgspec.Struct, frozen=True):
    """The partner took the row."""


DELIVERED = Delivered()
"""One for all rows: where nothing else became of them, that is seen at a glance."""


class Rejected(msgspec.Struct, frozen=True):
    """The partner refused this row for good."""

    code: str
    hint: str


class NotYet(msgspec.Struct, frozen=True):
    """This row is to be sent again."""

    hint: str
    after_s: float | None = None


RowResult = Delivered | Rejected | NotYet


class Mapped(msgspec.Struct, frozen=True):
    """Users as a mapping made them, by column: what is done alike for all of them is then done in a fraction of its time.

    number   of users
    columns  partner field → its value for each of them, in order; None where there is none
    """

    number: int
    columns: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, users: Sequence[Mapping[str, Any]], fields: Iterable[str]) -> Mapped:
        """Those with these values of these fields."""
        return cls(len(users), {name: [values.get(name) for values in users] for name in fields})


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """The values of a row as the partner wants them.

    keys   by what the partner knows the user. Rows with the same keys are one row, of which only the last is sent; rows that have
           only some in common may be one member, so those that go opposite ways are sent one after the other
    group  rows of different groups never share a call
    """

    values: dict[str, Any]
    keys: tuple[str, ...] = ()
    group: str = ""


class Option(msgspec.Struct, frozen=True):
    """One value that a dynamic field can take."""

    value: str
    label: str


class Adapter(Protocol):
    """One partner, for one connector. Methods that call the partner raise the `PartnerError`s of `relay.domain.errors`."""

    @property
    def description(self) -> Description:
        """What this connector needs and offers."""
        ...

    def prepare(self, operation: str, users: Mapped) -> list[Prepared | Rejected]:
        """For each user, in order, the values normalised as the partner wants them, before the net effect; or why they cannot be
        sent. Pure."""
        ...

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
        """One call, or the few that belong together. One result per row, in order. Raises a `PartnerError` when the answer
        concerns the call as a whole."""
        ...

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """The values that a dynamic field can take, given the values chosen so far."""
        ...

    def check_credentials(self) -> None:
        """Returns if the partner accepts them, else raises."""
        ...


class AdapterClass(Protocol):
    """How an adapter is made."""

    def __call__(self, account: Account) -> Adapter: ...

    def called(self, settings: Mapping[str, Any]) -> str:
        """What the partner is called for a connector with these settings, which need not be right otherwise."""
        ...

    def describe(self, settings: Mapping[str, Any]) -> Description:
        """What is needed to configure it, given these settings (none: in general). Raises `DocumentError`, with paths inside the
        settings, where they cannot be understood."""
        ...
