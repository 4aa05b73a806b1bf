"""The adapter for Pangolin, the test platform that comes with this project (`relay/pangolin`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from adapters.answers import AnswerTable, Rule, batch_refused, misconfigured, unreadable
from adapters.contract import (
    Account,
    Delivered,
    Description,
    Field,
    HttpRequest,
    Operation,
    Option,
    Rejected,
    Row,
    RowResult,
    Target,
)
from relay.domain.connector import BatchLimits
from relay.domain.errors import AudienceNotReady, CredentialsRefused, TryAgain, Unsupported

MAX_USERS = 100
"""Most users that Pangolin takes in one call."""

_METHODS = {"add": "POST", "remove": "DELETE"}
_PLACEHOLDER = "{audience}"
_OPTIONS_PAGE = 1_000
_OPTIONS_PAGES = 20

_HINTS = {
    "user_rejected": "Pangolin does not accept this user.",
    "invalid_id": "Pangolin cannot use this user's ID: it is empty or too long.",
}

# Pangolin takes everything that it was documented to take, so a refusal is about what the DMP chose: the name, or an ID.
_CREATION_REFUSED = (
    "Pangolin does not make an audience like this one. Give it another name in the DMP, of at most 1,000 characters, and share "
    "it again; if that does not help, ask whoever runs Pangolin."
)
_CALL_REFUSED = "Pangolin refuses every call with this user. Correct the user's ID at its source; the DMP sends it again."
_TOO_MUCH = (
    "This is more than Pangolin takes in one call. Lower `limits.batch` in the connector's document; if it is a single user, its "
    "ID is too long and is to be corrected at its source."
)

_CREATING = AnswerTable(Rule(batch_refused(_CREATION_REFUSED, code="audience_refused"), (400, 413, 422)))
_CHANGING = AnswerTable(
    Rule(batch_refused(_TOO_MUCH, code="too_large"), (413,)),
    Rule(batch_refused(_CALL_REFUSED, code="call_refused"), (400, 422)),
)
# Nothing that we ask for depends on what the DMP sent.
_ASKING = AnswerTable(
    Rule(misconfigured("Pangolin does not understand the question; check the connector's address."), (400, 413, 422))
)

_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class _RejectedUser(msgspec.Struct, frozen=True):
    index: int
    code: str = ""


class _Taken(msgspec.Struct, frozen=True):
    accepted: int
    rejected: tuple[_RejectedUser, ...]


class _Audience(msgspec.Struct, frozen=True):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    name: str
    size: int
    reference: str | None = None


class _Audiences(msgspec.Struct, frozen=True):
    audiences: tuple[_Audience, ...]
    next: str | None = None


class Pangolin:
    """Fulfils `adapters.contract.Adapter`."""

    description: ClassVar[Description] = Description(
        name="pangolin",
        title="Pangolin",
        summary="The test platform that comes with this project: a partner that behaves like a real one, with faults on demand.",
        settings=(
            Field(
                name="base_url",
                title="Address",
                type="url",
                required=True,
                help="Where Pangolin listens, for example http://127.0.0.1:8082",
            ),
        ),
        secrets=(Field(name="token", title="Token", required=True, help="The token that Pangolin was started with."),),
        operations=(
            Operation(
                name="create_audience",
                title="Create the audience",
                kind="create",
                triggers=("created",),
                max_items=1,
                help="Under our reference, so that the same audience is never made twice.",
            ),
            Operation(
                name="add",
                title="Add users",
                kind="set",
                triggers=("joined",),
                effect="add",
                key_fields=("id",),
                fields=(Field(name="id", title="User ID", required=True),),
                max_items=MAX_USERS,
            ),
            Operation(
                name="remove",
                title="Remove users",
                kind="set",
                triggers=("left",),
                effect="remove",
                key_fields=("id",),
                fields=(Field(name="id", title="User ID", required=True),),
                max_items=MAX_USERS,
            ),
        ),
        required_triggers=("created", "joined", "left"),
        limits=BatchLimits(max_items=MAX_USERS, max_bytes=1_000_000),
        our_page="docs/connectors.md#pangolin",
    )

    def __init__(self, account: Account) -> None:
        self._account = account
        self._base = str(account.settings.get("base_url", "")).rstrip("/") + "/api/audiences"

    def create_audience(self, name: str, reference: str) -> str:
        """See the contract. Pangolin itself finds an audience by its reference before it makes one."""
        return self._read(self._creation(name, reference), _Audience, _CREATING).id

    def is_ready(self, partner_id: str) -> bool:
        """As soon as it exists."""
        self._show(partner_id)
        return True

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """`id`, `name`, `reference` and `size`."""
        described: dict[str, Any] = msgspec.to_builtins(self._show(partner_id))
        return described

    def preview(self, operation: str, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """See the contract. More rows than fit in one call give several requests."""
        if operation == "create_audience":
            return [self._creation(target.name, target.reference)]
        method = _method(operation)
        sent = [row for row in rows if _user_id(row)]
        chunks = [sent[start : start + MAX_USERS] for start in range(0, len(sent), MAX_USERS)]
        return [self._change(method, target, chunk) for chunk in chunks]

    def send(self, operation: str, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """See the contract. Rows without an ID are rejected here, since Pangolin would refuse the whole call for them."""
        if operation == "create_audience":
            raise Unsupported("An audience is created by create_audience, not sent.")
        method = _method(operation)
        if len(rows) > MAX_USERS:
            raise ValueError(f"{len(rows)} rows in one call; Pangolin takes {MAX_USERS}")
        results: list[RowResult] = [
            Delivered() if _user_id(row) else Rejected("no_id", "This user has no ID for Pangolin.") for row in rows
        ]
        places = [place for place, result in enumerate(results) if isinstance(result, Delivered)]
        if not places:
            return results
        if not target.partner_id:
            raise AudienceNotReady("The audience does not exist at Pangolin yet.")
        sent = [rows[place] for place in places]
        taken = self._read(self._change(method, target, sent), _Taken, _CHANGING, audience=True)
        codes = {user.index: user.code for user in taken.rejected if 0 <= user.index < len(sent)}
        if len(codes) != len(taken.rejected) or taken.accepted + len(codes) != len(sent):
            raise TryAgain("Pangolin's answer does not account for all users.", code="unaccounted")
        sent_ids = {_user_id(row) for row in sent}
        for index, code in codes.items():
            results[places[index]] = _rejected(code, sent_ids)
        return results

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:  # noqa: ARG002 - no choice depends on another
        """`audience`: the first 20,000 audiences at Pangolin, to link one by hand. No field of the description is dynamic."""
        if field != "audience":
            raise Unsupported(f"Pangolin has no values to offer for {field!r}.")
        found: list[Option] = []
        after = ""
        for _ in range(_OPTIONS_PAGES):
            page = self._read(self._list(limit=_OPTIONS_PAGE, after=after), _Audiences)
            found.extend(Option(audience.id, audience.name) for audience in page.audiences)
            if not page.next:
                break
            after = page.next
        return found

    def check_credentials(self) -> None:
        """By the cheapest call that needs them."""
        self._read(self._list(limit=1), _Audiences)

    # requests
    def _creation(self, name: str, reference: str) -> HttpRequest:
        return HttpRequest("POST", self._base, body={"name": name, "reference": reference})

    def _change(self, method: str, target: Target, rows: Sequence[Row]) -> HttpRequest:
        audience = quote(target.partner_id, safe="") or _PLACEHOLDER
        body = {"users": [{"id": _user_id(row)} for row in rows]}
        return HttpRequest(method, f"{self._base}/{audience}/users", body=body, batch=len(rows) > 1)

    def _list(self, *, limit: int, after: str = "") -> HttpRequest:
        query = {"limit": str(limit), **({"after": after} if after else {})}
        return HttpRequest("GET", f"{self._base}?{urlencode(query)}")

    def _show(self, partner_id: str) -> _Audience:
        return self._read(HttpRequest("GET", f"{self._base}/{quote(partner_id, safe='')}"), _Audience, audience=True)

    def _read(
        self, request: HttpRequest, shape: type[_Shape], answers: AnswerTable = _ASKING, *, audience: bool = False
    ) -> _Shape:
        token = self._account.secrets.get("token")
        if not token:
            raise CredentialsRefused("The token for Pangolin is not set.", code="secret_missing")
        answer = self._account.client.send(request, auth={"Authorization": f"Bearer {token}"})
        body = answers.read(answer, clock=self._account.clock, audience=audience)
        try:
            return msgspec.convert(body, shape)
        except msgspec.ValidationError:
            raise unreadable("Pangolin's answer is not what its API promises.", status=answer.status) from None


def _method(operation: str) -> str:
    method = _METHODS.get(operation)
    if method is None:
        raise Unsupported(f"Pangolin has no operation named {operation!r}.")
    return method


def _user_id(row: Row) -> str:
    value = row.values.get("id")
    return "" if value is None else str(value)


def _rejected(code: str, sent_ids: set[str]) -> Rejected:
    """With the partner's code if it is one: a short word that is none of the IDs that were sent."""
    if code in sent_ids or not re.fullmatch(r"[A-Za-z][A-Za-z_.]{1,40}", code):
        code = "rejected"
    return Rejected(code, _HINTS.get(code, "Pangolin refused this user."))
