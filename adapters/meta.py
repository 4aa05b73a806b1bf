"""The adapter for Meta: custom audiences by the Marketing API.

https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec.structs import replace

from adapters.answers import value_at
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
from adapters.meta_answers import ASKING, CHANGING, CREATING, FLAGGED
from adapters.partner import AUDIENCE, Partner
from relay.domain.connector import BatchLimits
from relay.domain.errors import BatchRefused, DocumentError, Misconfigured, TryAgain

API_VERSION = "v25.0"
"""Meta withdraws a version about two years after it came out: https://developers.facebook.com/docs/graph-api/changelog/versions"""

MAX_USERS = 10_000
_PAGE, _PAGES = 500, 20
_SHOWN, _LISTED = "id,name,operation_status,approximate_count_lower_bound", "id,name,description"
_UPDATING, _UNUSABLE = 300, (471, 500)
"""Of `operation_status`: being updated; flagged by Meta, or in need of the advertiser. Others do not stand in the way."""

_FIELDS = {
    "EMAIL": Field("email", "E-mail address", normalise="email", form="auto", hashed=True),
    "PHONE": Field("phone", "Phone number, with its country code", normalise="phone_digits", form="auto", hashed=True),
    "EXTERN_ID": Field("external_id", "Your own ID of the user", normalise="trim"),
    "MADID": Field("advertising_id", "Mobile advertising ID", normalise="advertising_id"),
    "FN": Field("first_name", "First name", normalise="name", form="auto", hashed=True),
    "LN": Field("last_name", "Last name", normalise="name", form="auto", hashed=True),
    "COUNTRY": Field("country", "Country, two letters", normalise="country", form="auto", hashed=True),
}
"""Meta's key → the field. Left out: keys whose form depends on the country (ZIP, ST, CT) or the source (GEN, dates of birth)."""


_WORDS = (
    *_FIELDS, "usersofanyaudience", "customaudiences", "session_id", "batch_seq", "last_batch_flag", "num_invalid_entries",
    "invalid_entry_samples", "subtype", "customer_file_source", "CUSTOM", "BOTH_USER_AND_PARTNER_PROVIDED", "operation_status",
    "approximate_count_lower_bound", "approximate_count_upper_bound", "error_user_msg", "error_user_title", "error_data",
    "fbtrace_id", "OAuthException", "GraphMethodException",
)  # fmt: skip
"""Of Meta's API; see `Description.words`."""


class _Taken(msgspec.Struct, frozen=True):
    num_received: Annotated[int, msgspec.Meta(ge=0)]
    num_invalid_entries: Annotated[int, msgspec.Meta(ge=0)] = 0
    invalid_entry_samples: Any = None


class _Status(msgspec.Struct, frozen=True):
    code: int
    description: str = ""


class _Listed(msgspec.Struct, frozen=True):
    """An audience, an ad account, or whose token it is."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    name: str = ""
    account_id: str = ""
    description: str | None = None
    operation_status: _Status | None = None
    approximate_count_lower_bound: int | None = None


class _Page(msgspec.Struct, frozen=True):
    data: tuple[_Listed, ...]
    paging: Any = None


_INVALID = Rejected("invalid_entry", "Meta cannot use this user's identifiers. Correct them at their source.")
_TOKEN = Field("access_token", "Access token", required=True, help="A system user's, with ads_management for the ad account.")
_KEYS = ("email", "phone", "external_id", "advertising_id")
_SET = Operation("", "", "set", (), key_fields=_KEYS, fields=tuple(_FIELDS.values()), max_items=MAX_USERS)


class Meta(Partner):
    """Fulfils `adapters.contract.Adapter`."""

    description = Description(
        name="meta",
        title="Meta",
        api_version=API_VERSION,
        summary=f"Custom audiences for Facebook and Instagram, by version {API_VERSION} of Meta's Marketing API.",
        settings=(
            Field("account_id", "Ad account", required=True, dynamic=True, help="Its number, with or without `act_` in front."),
            Field("base_url", "Address", "url", default="https://graph.facebook.com", help="Another for a gateway or a test."),
            Field("allow_private_network", "Private addresses, HTTP", "boolean", default=False, help="For a gateway or a test."),
        ),
        secrets=(_TOKEN,),
        operations=(
            Operation("create_audience", "Create the audience", "create", ("created",), max_items=1),
            replace(_SET, name="add", title="Add users", triggers=("joined",), effect="add"),
            replace(_SET, name="remove", title="Remove users", triggers=("left",), effect="remove"),
            replace(
                _SET,
                name="opt_out",
                title="Remove users from every audience of the ad account",
                triggers=("joined", "left"),
                effect="remove",
                set_name="opt_out",
                touches=("members",),
                named_only=True,
                help="For audiences that say who has objected.",
            ),
        ),
        required_triggers=("created", "joined", "left"),
        limits=BatchLimits(max_items=MAX_USERS, max_bytes=4 * 1024 * 1024),
        our_page="docs/connectors.md#meta",
        partner_page="https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences",
        words=_WORDS,
    )
    answers = CHANGING

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.authentication = Bearer(Secret.of(account, _TOKEN))
        self._base = f"{str(account.settings.get('base_url', '')).rstrip('/')}/{API_VERSION}"
        self._account = _account(account.settings)

    @classmethod
    def describe(cls, settings: Mapping[str, Any]) -> Description:
        """See the contract."""
        if settings.get("account_id") and not _account(settings):
            raise DocumentError([("account_id", "An ad account is a number, with or without act_ in front.")])
        return cls.description

    def concerns_audience(self, operation: Operation) -> bool:
        """See the base."""
        return operation.name in ("add", "remove")

    def request(self, operation: Operation, target: Target, rows: Sequence[Row]) -> HttpRequest:
        """See the base. Columns are what the call's rows have. Each call is a session of its own, complete in one batch: how many
        belong together is not known, since any may be halved, held or sent later. A call that is repeated keeps its session."""
        columns = {key: field.name for key, field in _FIELDS.items() if any(field.name in row.values for row in rows)}
        data = [[str(row.values.get(name, "")) for name in columns.values()] for row in rows]
        body: dict[str, Any] = {"payload": {"schema": list(columns), "data": data}}
        url = f"{self._base}/{self._account}/usersofanyaudience"
        if self.concerns_audience(operation):
            url = f"{self._base}/{quote(target.partner_id, safe='') or AUDIENCE}/users"
            body["session"] = {"session_id": _session_id(rows), "batch_seq": 1, "last_batch_flag": True}
        return HttpRequest("POST" if operation.effect == "add" else "DELETE", url, body=body, batch=len(rows) > 1)

    def requests(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[HttpRequest]:
        """See the base. Before an audience is made, it is looked for."""
        if operation.kind == "create":
            return [self._list(f"{self._account}/customaudiences", _LISTED), self._creation(target.name, target.reference)]
        return super().requests(operation, target, rows)

    def results(self, operation: Operation, rows: Sequence[Row], body: Any) -> list[RowResult]:
        """See the base. `num_received` counts the session, which a repeated call goes on with."""
        if operation.name == "opt_out" and value_at(body, "success") is True:
            return [DELIVERED] * len(rows)
        taken = self.shaped(body, _Taken)
        if not taken.num_received or taken.num_received % len(rows):
            raise TryAgain("Meta's answer does not account for all users.", code="unaccounted", applied_unknown=True)
        if not taken.num_invalid_entries:
            return [DELIVERED] * len(rows)
        if len(rows) == 1:
            return [_INVALID]
        named = _named(_samples(taken.invalid_entry_samples), rows)
        if len(named) != taken.num_invalid_entries:
            raise BatchRefused("Meta cannot use some of these users, and does not say which.", code=_INVALID.code)
        return [_INVALID if place in named else DELIVERED for place in range(len(rows))]

    def create_audience(self, name: str, reference: str) -> str:
        """See the contract. One whose description carries our reference is ours."""
        for audience in self._all(f"{self._account}/customaudiences", _LISTED):
            if _mark(reference) in (audience.description or ""):
                return audience.id
        return self.shaped(self.call(self._creation(name, reference), CREATING), _Listed).id

    def is_ready(self, partner_id: str) -> bool:
        """By its `operation_status`; one that waits for a person is `Misconfigured`."""
        status = self._show(partner_id).operation_status
        if status and status.code in _UNUSABLE:
            raise Misconfigured(FLAGGED, code="audience_restricted")
        return status is None or status.code != _UPDATING

    def describe_audience(self, partner_id: str) -> dict[str, Any]:
        """`id`, `name`, `status`, `approximate_size` (at least so many) and `api_version`."""
        audience = self._show(partner_id)
        status = audience.operation_status
        return {
            "id": audience.id,
            "name": audience.name,
            "status": f"{status.code} {status.description}".strip() if status else None,
            "approximate_size": audience.approximate_count_lower_bound,
            "api_version": API_VERSION,
        }

    def options(self, field: str, chosen: Mapping[str, Any]) -> list[Option]:
        """`account_id`: the ad accounts that the token may see; `audience`: those of the account chosen, to link one by hand."""
        if field == "account_id":
            return [Option(one.account_id or one.id, one.name) for one in self._all("me/adaccounts", "account_id,name")]
        if field == "audience":
            account = _account(chosen) or self._account
            if not account:
                raise Misconfigured("Choose the ad account first (account_id).", code="setting_missing")
            return [Option(one.id, one.name) for one in self._all(f"{account}/customaudiences", _LISTED)]
        return super().options(field, chosen)

    def check_credentials(self) -> None:
        """By asking whose token it is."""
        self.shaped(self.call(HttpRequest("GET", f"{self._base}/me?fields=id"), ASKING), _Listed)

    def _creation(self, name: str, reference: str) -> HttpRequest:
        about = {"name": name[:200], "description": f"Kept by DIY Relay {_mark(reference)}"}
        kind = {"subtype": "CUSTOM", "customer_file_source": "BOTH_USER_AND_PARTNER_PROVIDED"}
        return HttpRequest("POST", f"{self._base}/{self._account}/customaudiences", body={**about, **kind})

    def _list(self, edge: str, fields: str, after: str = "") -> HttpRequest:
        query = {"fields": fields, "limit": _PAGE, **({"after": after} if after else {})}
        return HttpRequest("GET", f"{self._base}/{edge}?{urlencode(query, safe=',')}")

    def _all(self, edge: str, fields: str) -> Iterator[_Listed]:
        after = ""
        for _ in range(_PAGES):
            page = self.shaped(self.call(self._list(edge, fields, after), ASKING), _Page)
            yield from page.data
            following = value_at(page.paging, "cursors.after")
            if not isinstance(following, str) or following in ("", after):
                return
            after = following
        raise Misconfigured(f"Meta lists more than {_PAGE * _PAGES:,}, too many to look through.", code="too_many")

    def _show(self, partner_id: str) -> _Listed:
        request = HttpRequest("GET", f"{self._base}/{quote(partner_id, safe='')}?fields={_SHOWN}")
        return self.shaped(self.call(request, ASKING, audience=True), _Listed)


def _account(settings: Mapping[str, Any]) -> str:
    """The ad account as Meta writes it, `act_` and its number; empty if there is none."""
    found = re.fullmatch(r"(?:act_)?([0-9]+)", str(settings.get("account_id", "")))
    return f"act_{found[1]}" if found else ""


def _mark(reference: str) -> str:
    """What the description carries of our reference: itself if it is short and comes back as it is, else its hash."""
    plain = re.fullmatch(r"[A-Za-z0-9_./@:-]{1,60}", reference)
    return f"[{reference if plain else hashlib.sha256(reference.encode()).hexdigest()[:40]}]"


def _session_id(rows: Sequence[Row]) -> int:
    """A positive number that no reader of JSON rounds."""
    return 1 + int.from_bytes(hashlib.sha256("\n".join(row.event_id for row in rows).encode()).digest()[:6])


def _samples(found: Any) -> list[str | frozenset[str]]:
    """A value that stands alone, or the values of a row. They come as a list or as a mapping, whose keys are places or reasons;
    a row can be JSON inside a text."""
    read = _unquoted(found)
    if isinstance(read, Mapping):
        read = list(read.values())
    each = [_unquoted(one) for one in read] if isinstance(read, list) else [read]
    return [frozenset(_texts(one)) if isinstance(one, list | Mapping) else str(one) for one in each]


def _unquoted(found: Any) -> Any:
    """What a text holds as JSON, if that is a structure; anything else as it is."""
    if isinstance(found, str) and found.lstrip()[:1] in ("[", "{"):
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(found)
    return found


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            yield from _texts(one)
    elif found not in ("", None):
        yield str(found)


def _named(samples: Sequence[str | frozenset[str]], rows: Sequence[Row]) -> set[int]:
    """The places of the rows that the samples name beyond doubt. They are only samples, and users share names and countries: a
    row is named by all of its values, and a value that stands alone names a row whose key it is and no other's."""
    sent = [frozenset(str(value) for value in row.values.values() if value != "") for row in rows]
    having: dict[str, list[int]] = {}
    for place, values in enumerate(sent):
        for value in values:
            having.setdefault(value, []).append(place)
    named: set[int] = set()
    for sample in samples:
        if isinstance(sample, str):
            places = having.get(sample, [])
            keys = [place for place in places if any(str(rows[place].values.get(key, "")) == sample for key in _KEYS)]
            named.update(keys if len(places) == 1 else ())
            continue
        whole = {place for value in sample for place in having.get(value, ()) if sent[place] <= sample}
        # One whose values are a part of another's is meant by neither.
        largest = frozenset[str]().union(*(sent[place] for place in whole))
        named.update(place for place in whole if sent[place] == largest)
    return named
