"""One call to a token endpoint (RFC 6749): asked by Authlib, sent by the connector's client, the answer read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from adapters.answers import AnswerTable, Rule, credentials_refused, misconfigured, try_again, unreadable, value_at
from adapters.authentication import TOKEN_ANSWER_S, Secret
from adapters.contract import Account, Credentials, HttpRequest
from relay.domain.errors import TryAgain


class Client(msgspec.Struct, frozen=True):
    """Whom the partner knows us as (RFC 6749, 2.3). `secret`: None for a public client, which has only its ID. `authentication`:
    whether ID and secret go into `Authorization: Basic` or into the body."""

    id: Secret
    secret: Secret | None = None
    authentication: Literal["basic", "body"] = "basic"


GOOD_FOR_S = 3_600.0
"""How long an access token is taken to be good for whose answer does not say."""

_LONGEST_S = 366 * 86400.0

_METHODS = {"basic": "client_secret_basic", "body": "client_secret_post"}

_CLIENT_REFUSED = credentials_refused(
    "The partner does not accept the client ID or its secret.", code="client_refused", account=True
)
_GRANT_REFUSED = credentials_refused(
    "The partner no longer accepts what tokens are fetched with: connect the connector again, or set its secret anew.",
    code="invalid_grant",
    account=True,
)
_TROUBLE = try_again("The partner's token address has trouble.", code="token_trouble", account=True)
_FEWER = try_again("The partner asks for fewer calls for tokens.", code="rate_limited", account=True)
_NO_ENDPOINT = misconfigured("There are no tokens at this address; check the connector's token address.")
_WRONG_REQUEST = misconfigured("The partner gives no token for such a request; check the connector's settings.")

# https://www.rfc-editor.org/rfc/rfc6749#section-5.2, and two of 4.1.2.1 that partners give here as well. Some give errors with
# other statuses than 400, 200 among them.
_ANSWERS = AnswerTable(
    Rule(_FEWER, (429,)),
    Rule(_TROUBLE, range(500, 600)),
    Rule(_GRANT_REFUSED, body={"error": ("invalid_grant",)}),
    Rule(_CLIENT_REFUSED, body={"error": ("invalid_client", "unauthorized_client")}),
    Rule(_TROUBLE, body={"error": ("temporarily_unavailable", "server_error")}),
    Rule(_CLIENT_REFUSED, (401,)),
    Rule(_NO_ENDPOINT, (404, 405, 410)),
    Rule(_TROUBLE, (400, 403, *range(200, 300)), readable=False),
    Rule(_TROUBLE, (408, 425)),
    Rule(_WRONG_REQUEST, range(400, 500)),
)


class TokenAnswer(NamedTuple):
    """What the partner gave: the access token, for how many seconds it is good, and a new refresh token or nothing. In the order
    of `adapters.contract.TokenSource`."""

    access: str
    good_for_s: float
    refresh: str


class TokenCall:
    """Calls to one token endpoint. `client`: None where the grant alone is enough. `parameters`: sent with every call beside
    those of the grant (`audience`, `resource`)."""

    def __init__(self, account: Account, client: Client | None, url: str, parameters: Mapping[str, str] | None = None) -> None:
        self._account = account
        self._client = client
        self._url = url
        self._parameters = dict(parameters or {})

    def identity(self) -> list[str]:
        """What its tokens depend on, for their names. Raises `CredentialsRefused` while the client's ID or secret is not set."""
        known = [self._url, *(f"{name}={value}" for name, value in sorted(self._parameters.items()))]
        if self._client is not None:
            known.append(self._client.id.required())
            known.append(self._client.secret.required() if self._client.secret else "")
        return known

    def fetch(self, grant_type: str, grant: Mapping[str, str]) -> TokenAnswer:
        """An access token for this grant. Raises `CredentialsRefused` (`invalid_grant`, `client_refused`, `secret_missing`),
        `TryAgain`, `Misconfigured`; never with the partner's words."""
        request, credentials = self._request(grant_type, grant)
        try:
            answer = self._account.client.send(request, auth=credentials)
        except TryAgain as error:
            if not error.applied_unknown:
                raise
            # Nothing that was to be done at the partner has been sent yet.
            hint = "The partner's token address did not answer in time, or broke the connection."
            raise TryAgain(hint, code=error.code, account=True) from None
        return _token(_ANSWERS.read(answer, clock=self._account.clock), answer.status)

    def _request(self, grant_type: str, grant: Mapping[str, str]) -> tuple[HttpRequest, Credentials]:
        url = self._url
        headers: dict[str, str] = {}
        body: str = prepare_token_request(grant_type, body=urlencode(self._parameters), **grant)
        if self._client is not None:
            url, headers, body = _as_client(self._client, url, body)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        request = HttpRequest("POST", url, form, raw=body.encode(), answer_s=TOKEN_ANSWER_S, secret=True)
        return request, Credentials(headers)


def _as_client(client: Client, url: str, body: str) -> tuple[str, dict[str, str], str]:
    """Address, headers and body with the client's authentication."""
    name, secret = client.id.required(), client.secret.required() if client.secret else ""
    method = _METHODS[client.authentication] if client.secret else "none"
    headers: dict[str, str] = {}
    try:
        url, headers, body = ClientAuth(name, secret, method).prepare("POST", url, headers, body)
    except UnicodeEncodeError:
        why = "or the client's ID has characters that Basic authentication cannot send"
        raise (client.secret or client.id).unusable(why) from None
    return url, headers, body


def _token(body: Any, status: int) -> TokenAnswer:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5.1, and numbers written as text."""
    access, good_for, refresh = (value_at(body, name) for name in ("access_token", "expires_in", "refresh_token"))
    seconds = _seconds(good_for)
    if not _is_token(access) or seconds is None or not (refresh in (None, "") or _is_token(refresh)):
        raise unreadable("The partner's answer holds no access token that can be used.", status=status)
    return TokenAnswer(access, seconds, refresh or "")


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _seconds(value: Any) -> float | None:
    if value is None:
        return GOOD_FOR_S
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(min(value, _LONGEST_S))
    return None
