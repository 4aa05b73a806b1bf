"""The adapter for ROKT: users in custom audiences, and events, by version 1 or 2 of its APIs.

https://docs.rokt.com/developers/api-reference/custom-audience-import
https://docs.rokt.com/developers/api-reference/event-api
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from adapters.answers import AnswerTable, Rule, batch_refused, credentials_refused, misconfigured, try_again
from adapters.authentication import Authentication, Secret
from adapters.authentication.static import ApiKey, Basic
from adapters.contract import (
    DELIVERED,
    Account,
    Description,
    Field,
    HttpAnswer,
    HttpRequest,
    Mapped,
    NotYet,
    Operation,
    Prepared,
    Rejected,
    Row,
    RowResult,
    Target,
)
from adapters.lists import ListNames, is_one_list
from adapters.partner import Partner
from adapters.rokt_events import EventsAnswer, places_of, prepare_event, repeatable_uuid, sent_event, why_unprocessed
from relay.domain.connector import BatchLimits, Trigger
from relay.domain.errors import BatchRefused, DocumentError, PartnerError
from relay.domain.malformed import Malformed

_URLS = {
    ("V1", "members"): "https://data.rokt.com/api/1.0/import/suppression",
    ("V1", "events"): "https://api.rokt.com/v1/events",
    ("V1", "token"): "https://api.rokt.com/auth/oauth2/token",
    ("V2", "members"): "https://data.rokt.com/v3/import/suppression",
    ("V2", "events"): "https://api.rokt.com/v2/events",
    ("V2", "check"): "https://data.rokt.com/v3/auth-check",
}
_EVENT_HEADERS = {"Charset": "utf-8", "Rokt-Version": "2020-05-21"}
_REPETITION = "Idempotency-Key"
_ACTIONS = {"add": "include", "remove": "exclude"}
_LIST = "audience.name"
_DEFAULT_LIST = "AdvertiserDatabase"
_LONGEST_ACCOUNT, _LONGEST_LIST = 64, 255

_KEYS = "ROKT does not accept the keys. Check that they are for `settings.account_id` and `settings.version`, and set them anew."
_DATA = "ROKT refuses every call with this user. Check the user's data at their source, and what the mapping makes of them."
_REFUSED = Rule(credentials_refused(_KEYS), (401, 403))
_NOTHING = Rule(misconfigured("ROKT has nothing here. Check `settings.version` and `settings.base_url`."), (404, 405, 410))
_ANSWERS = AnswerTable(
    _REFUSED,
    _NOTHING,
    Rule(try_again("ROKT could not read the call.", code="partner_trouble"), (400,), {"data.code": ("RequestBodyReadError",)}),
    Rule(batch_refused("This is more than ROKT takes in one call. Lower `limits.batch`.", code="too_large"), (413,)),
    Rule(batch_refused(_DATA, code="call_refused"), (400, 422)),
    Rule(
        try_again("What ROKT means by this status is not known.", code="unreadable_answer", applied_unknown=True),
        (203, *range(205, 300)),
    ),
    words=("data.message", "message"),
    named="data.code",
)
_UNKNOWN = Rule(misconfigured("ROKT cannot check the keys. Is `settings.account_id` right?"), (400, 422))
_CHECKING = AnswerTable(_REFUSED, _NOTHING, _UNKNOWN)


_TROUBLE = Rejected("unprocessed", "ROKT had trouble with this event twice, and V1 takes the same call no third time.")


def _prepare_member(values: dict[str, Any]) -> Prepared:
    if digest := values.get("email_sha256"):
        return Prepared({"sha256s": digest}, (digest,), "sha256s")
    email = values["email"]
    return Prepared({"emails": email}, (hashlib.sha256(email.encode()).hexdigest(),), "emails")


def _all_not_yet(results: Sequence[RowResult]) -> bool:
    return all(isinstance(result, NotYet) for result in results)


def _email(name: str, about: str = "") -> Field:
    return Field(name, "E-mail", help=about, normalise="email_no_blanks", form="raw")


def _hash(name: str) -> Field:
    about = "The hash, or an e-mail in clear text that is hashed before it is sent."
    return Field(name, "SHA-256 of the e-mail", help=about, normalise="email_no_blanks", form="auto", hashed=True)


def _members(name: str, title: str, trigger: Trigger, effect: Literal["add", "remove"]) -> Operation:
    keys = (_email("email", "In clear text. Of a user with both, only the hash is sent."), _hash("email_sha256"))
    # ROKT takes 100,000 users and more; 10,000 hashes fill a call of 1 MB, the most that is known to be sent.
    return Operation(name, title, "set", (trigger,), effect, "members", ("email", "email_sha256"), keys, max_items=10_000)


_EVENT = (
    Field("eventType", "Event type", required=True, normalise="trim", help="`conversion` is attributed to advertisements."),
    Field("clientEventId", "Event ID", normalise="trim", help="Unless mapped, a UUID that a retry repeats."),
    Field("eventTime", "Event time", normalise="trim", help="Unless mapped, when the DMP's request was received."),
    _email("email"),
    _hash("emailSha256"),
    Field("roktTrackingId", "ROKT tracking ID", normalise="trim"),
    Field("objectData.*", "Data of the event", help="`objectData.amount`, `objectData.currency`, …", reserved=("rokt.",)),
    Field("metaData.*", "Data about the event", reserved=("rokt.",)),
)
_WHO = "Of a user with an e-mail, its SHA-256 or a ROKT tracking ID."
_SETTINGS = (
    Field("account_id", "Account ID", required=True, help="Of the account at ROKT, as One Platform shows it."),
    Field("version", "API version", "choice", "V2 with keys that begin with rpub- and rsec-, V1 with App ID and App Secret.",
          default="V2", choices=("V1", "V2")),
    Field("list", "List", default=_LIST, help="Expression over `audience.id` and `audience.name`: the list's name at ROKT."),
    Field("base_url", "Address", "url", "In the place of ROKT's own hosts, for a gateway or a test."),
    Field("allow_private_network", "Private network", "boolean", "The address may be in your own network and unencrypted.",
          default=False),
)  # fmt: skip
_DESCRIPTION = Description(
    name="rokt",
    title="ROKT",
    api_version="V2, or V1 where that is set",
    summary="Keeps custom audiences, which ROKT calls lists, and sends events such as conversions.",
    settings=_SETTINGS,
    secrets=(
        Field("client_id", "Public key or App ID", required=True, help="V2: the public key (rpub-…). V1: App ID."),
        Field("client_secret", "Secret key or App Secret", required=True, help="V2: the secret key (rsec-…). V1: App Secret."),
        Field("audience_api_key", "API key for audiences", help="Required with V1, not used with V2."),
    ),
    operations=(
        _members("add", "Add users to the list", "joined", "add"),
        _members("remove", "Remove users from the list", "left", "remove"),
        Operation("send_event", "Send an event", "event", ("joined", "left"), fields=_EVENT, max_items=100, help=_WHO),
    ),
    required_triggers=("joined",),
    limits=BatchLimits(max_items=100, max_bytes=1_000_000, max_age_s=600.0),
    our_page="docs/connectors.md#rokt",
    partner_page="https://docs.rokt.com/developers/api-reference/event-api",
    unsupported={"describe_audience": "ROKT says nothing about a list by its API; look at it in One Platform."},
    email_rule="email_no_blanks",
    words=(
        "import", "suppression", "auth-check", "oauth2", "token", "accountId", *_ACTIONS.values(), "emails", "sha256s",
        "clientEventId", "eventTime", "eventType", "objectData", "metaData", "email", "emailsha256", "unprocessedRecords",
        "passbackconversiontrackingid",
        "ValidationError", "InternalServerError", "ServiceUnavailableError", "RequestBodyReadError",
    ),
)  # fmt: skip
_V1_DESCRIPTION = replace(_DESCRIPTION, secrets=tuple(replace(secret, required=True) for secret in _DESCRIPTION.secrets))


class Rokt(Partner):
    """Fulfils `adapters.contract.Adapter`. A list is made by naming it: its name is the partner's ID of the audience."""

    description = _DESCRIPTION
    answers = _ANSWERS

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        settings = account.settings
        self._version = str(settings.get("version", "V2"))
        self._account = {"accountId": str(settings.get("account_id", ""))}
        self._lists = ListNames(str(settings.get("list", _LIST)), _LONGEST_LIST, _DEFAULT_LIST)
        client_id, client_secret, api_key = (Secret.of(account, field) for field in self.description.secrets)
        self.authentication: Authentication = Basic(client_id, client_secret)
        if self._version == "V1":
            from adapters.authentication.oauth2 import OAuth2ClientCredentials
            from adapters.authentication.token_call import Client

            self.authentication = ApiKey(api_key, header="Authorization")
            self._token = OAuth2ClientCredentials(account, Client(client_id, client_secret), token_url=self._url("token"))

    @classmethod
    def describe(cls, settings: Mapping[str, Any]) -> Description:
        """See the contract. With V1 a third secret is required; every audience can be given the same list."""
        problems, one_list = [], False
        if len(str(settings.get("account_id", ""))) > _LONGEST_ACCOUNT:
            problems.append(("account_id", f"An account ID has at most {_LONGEST_ACCOUNT} characters."))
        try:
            one_list = is_one_list(str(settings.get("list", _LIST)))
        except Malformed as problem:
            problems.append(("list", str(problem)))
        if problems:
            raise DocumentError(problems)
        return replace(_V1_DESCRIPTION if settings.get("version") == "V1" else _DESCRIPTION, one_audience=one_list)

    def authentication_of(self, operation: Operation) -> Authentication:
        """See the base."""
        return self._token if operation.kind == "event" and self._version == "V1" else self.authentication

    def prepare(self, operation: str, users: Mapped) -> list[Prepared | Rejected]:
        """See the contract. A member is known by the hash, also where the e-mail is sent in clear text."""
        prepare = self._prepare_event if operation == "send_event" else _prepare_member
        prepared = super().prepare(operation, users)
        return [one if isinstance(one, Rejected) else prepare(one.values) for one in prepared]

    def _prepare_event(self, values: dict[str, Any]) -> Prepared | Rejected:
        event = prepare_event(values, self.account.clock.now())
        return event if isinstance(event, Rejected) else Prepared(event)

    def request(self, operation: Operation, target: Target, rows: Sequence[Row]) -> HttpRequest:
        """See the base."""
        if operation.kind == "event":
            headers = {**_EVENT_HEADERS, **({_REPETITION: repeatable_uuid(rows)} if self._version == "V1" else {})}
            body = {**self._account, "events": [sent_event(row) for row in rows]}
            return HttpRequest("POST", self._url("events"), headers, body, batch=len(rows) > 1)
        (kind,) = rows[0].values
        name = target.partner_id or self._lists.of(target.id, target.name)
        body = {"action": _ACTIONS[operation.name], "list": name, kind: [row.values[kind] for row in rows]}
        body = body if self._version == "V1" else {**self._account, **body}
        return HttpRequest("POST", self._url("members"), body=body, batch=len(rows) > 1)

    def carry_out(self, operation: Operation, target: Target, rows: Sequence[Row]) -> list[RowResult]:
        """See the base. Of events of which V1 has taken some, the rest is another call with another key. Of the same events it
        would say that it has them, so where it had trouble with all of them they are sent once more at once, by a key of their
        own, and then no more."""
        results = super().carry_out(operation, target, rows)
        if self._version != "V1" or not _all_not_yet(results):
            return results
        request = self.request(operation, target, rows)
        request = replace(request, headers={**request.headers, _REPETITION: repeatable_uuid(rows, "once more")})
        try:
            body = self.call(request, authentication=self.authentication_of(operation))
            results = self.results(operation, rows, body)
        except BatchRefused:
            raise
        except PartnerError:
            return [_TROUBLE for _ in rows]
        return [_TROUBLE for _ in rows] if _all_not_yet(results) else results

    def exchange(self, request: HttpRequest, authentication: Authentication | None = None) -> HttpAnswer:
        """See the base. By 409 V1 says that it has taken this very call before."""
        answer = super().exchange(request, authentication)
        repeated = answer.status == 409 and _REPETITION in request.headers
        return HttpAnswer(200, {}, b"", answer.duration_ms) if repeated else answer

    def results(self, operation: Operation, rows: Sequence[Row], body: Any) -> list[RowResult]:
        """See the base. What a successful answer says of members is not documented, and not looked at."""
        results: list[RowResult] = [DELIVERED] * len(rows)
        if operation.kind == "event" and body is not None:
            for entry in self.shaped(body, EventsAnswer).unprocessed:
                places = places_of(entry, rows)
                if not places:
                    raise BatchRefused("ROKT did not process one of these events, and does not say which.", code="unprocessed")
                for place in places:
                    results[place] = why_unprocessed(entry, rows[place])
        return results

    def create_audience(self, name: str, reference: str) -> str:
        """The name of its list, which comes into being with its first user; calls nobody. Raises `Misconfigured`."""
        return self._lists.of(reference.partition("/")[2], name)

    def check_credentials(self) -> None:
        """See the contract. V1 has no call for this: a token is fetched, and the key for audiences stays unchecked."""
        if self._version == "V1":
            self._token.obtain("")
        else:
            self.call(HttpRequest("POST", self._url("check"), body=self._account), _CHECKING)

    def _url(self, what: str) -> str:
        url, base = _URLS[self._version, what], self.account.settings.get("base_url")
        return str(base).rstrip("/") + urlsplit(url).path if base else url
