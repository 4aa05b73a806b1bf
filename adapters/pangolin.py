"""The adapter for Pangolin, the test platform that comes with this project (`relay/pangolin`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec

from adapters.answers import AnswerTable, Rule, batch_refused, misconfigured
from adapters.authentication import Secret
from adapters.authentication.static import Bearer
from adapters.contract import (
    DELIVERED,
    Account,
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
from adapters.partner import AUDIENCE, Partner
from adapters.quoting import with_words
from relay.domain.connector import BatchLimits
from relay.domain.errors import TryAgain

MAX_USERS = 100
"""Most users that Pangolin takes in one call."""

_METHODS = {"add": "POST", "remove": "DELETE"}
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


class _RejectedUser(msgspec.Struct, frozen=True):
    index: int
    code: str = ""
    message: str = ""


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


class Pangolin(Partner):
    """Fulfils `adapters.contract.Adapter`."""

    description = Description(
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
        words=tuple(_HINTS),
    )

    answers = _CHANGING

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.authentication = Bearer(Secret("token for Pangolin", account.secrets.get("token", "")))
        self._base = str(account.settings.get("base_url", "")).rstrip("/") + "/api/audiences"

    def request(self, operation: Operation, target: Target, rows: Sequence[Row]) -> HttpRequest:
        """See the base."""
        if operation.kind == "create":
            return self._creation(target.name, target.reference)
        audience = quote(target.partner_id, safe="") or AUDIENCE
        # A row is the user as Pangolin takes it, unless the mapping gives a number.
        users = [row.values if row.values["id"].__class__ is str else {"id": str(row.values["id"])} for row in rows]
        return HttpRequest(_METHODS[operation.name], f"{self._base}/{audience}/users", body={"users": users}, batch=len(rows) > 1)

    def results(self, operation: Operation, rows: Sequence[Row], body: Any) -> list[RowResult]:  # noqa: ARG002 - both the same
        """See the base. What was taken and what was refused must be all of them."""
        taken = self.shaped(body, _Taken)
        results: list[RowResult] = [DELIVERED] * len(rows)
        refused = {user.index: user for user in taken.rejected if 0 <= user.index < len(rows)}
        if len(refused) != len(taken.rejected) or taken.accepted + len(refused) != len(rows):
            raise TryAgain("Pangolin's answer does not account for all users.", code="unaccounted", applied_unknown=True)
        sent_ids = {str(row.values["id"]) for row in rows} if refused else set()
        for index, user in refused.items():
            results[index] = _rejected(user, sent_ids, rows[index])
        return results

    def create_audience(self, name: str, reference: str) -> str:
        """See the contract. Pangolin itself finds an audience by its reference before it makes one."""
        return self.shaped(self.call(self._creation(name, reference), _CREATING), _Audience).id

    def is_ready(self, partner_id: str) -> bool:
        """As soon as it exists."""
        self._show(partner_id)
        return True

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """`id`, `name`, `reference` and `size`."""
        described: dict[str, Any] = msgspec.to_builtins(self._show(partner_id))
        return described

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """`audience`: the first 20,000 audiences at Pangolin, to link one by hand. No field of the description is dynamic."""
        if field != "audience":
            return super().options(field, chosen)
        found: list[Option] = []
        after = ""
        for _ in range(_OPTIONS_PAGES):
            page = self.shaped(self.call(self._list(limit=_OPTIONS_PAGE, after=after), _ASKING), _Audiences)
            found.extend(Option(audience.id, audience.name) for audience in page.audiences)
            if not page.next:
                break
            after = page.next
        return found

    def check_credentials(self) -> None:
        """By the cheapest call that needs them."""
        self.shaped(self.call(self._list(limit=1), _ASKING), _Audiences)

    def _creation(self, name: str, reference: str) -> HttpRequest:
        return HttpRequest("POST", self._base, body={"name": name, "reference": reference})

    def _list(self, *, limit: int, after: str = "") -> HttpRequest:
        query = {"limit": str(limit), **({"after": after} if after else {})}
        return HttpRequest("GET", f"{self._base}?{urlencode(query)}")

    def _show(self, partner_id: str) -> _Audience:
        request = HttpRequest("GET", f"{self._base}/{quote(partner_id, safe='')}")
        return self.shaped(self.call(request, _ASKING, audience=True), _Audience)


def _rejected(user: _RejectedUser, sent_ids: set[str], row: Row) -> Rejected:
    """With the partner's code if it is one: a short word that is none of the IDs that were sent."""
    code = user.code
    if code in sent_ids or not re.fullmatch(r"[A-Za-z][A-Za-z_.]{1,40}", code):
        code = "rejected"
    return Rejected(code, with_words(_HINTS.get(code, "Pangolin refused this user."), user.message, [row.values]))
