"""Somebody allows a connector's access to the partner in a browser: the way to the consent page, and back from it.

The one who leads through it (a command, a page of the console) shows `Pending.url`, keeps the `Pending` to itself, and hands over
the query that the partner sends the browser back with.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec

from adapters.authentication.authorization_code import OAuth2AuthorizationCode
from adapters.contract import Adapter
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, CredentialsRefused, Misconfigured, PartnerError, Refusal, TryAgain, Unsupported

GOOD_FOR_S = 600.0
"""So long somebody has for the partner's pages."""

# https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
_ERRORS: Mapping[str, tuple[type[PartnerError], str]] = {
    "access_denied": (CredentialsRefused, "Access was not allowed at the partner."),
    "unauthorized_client": (Misconfigured, "The partner does not let this client ask for access in a browser."),
    "invalid_scope": (Misconfigured, "The partner does not know the scope that is asked for; check the connector's settings."),
    "invalid_request": (Misconfigured, "The partner does not understand what it is asked for; check the connector's settings."),
    "unsupported_response_type": (Misconfigured, "The partner does not give access in this way."),
    "server_error": (TryAgain, "The partner has trouble; try again."),
    "temporarily_unavailable": (TryAgain, "The partner has trouble; try again."),
}


class Pending(msgspec.Struct):
    """One attempt. Of all this only `url` may be shown. `expires_at`: seconds since the epoch. `used`: it has had its answer."""

    url: str
    state: str
    verifier: str
    redirect_uri: str
    expires_at: float
    used: bool = False


@runtime_checkable
class Connectable(Protocol):
    """An adapter whose access somebody can allow. `authorization`: None where this connector authenticates otherwise."""

    @property
    def authorization(self) -> OAuth2AuthorizationCode | None: ...


def begin(adapter: Adapter, *, redirect_uri: str, clock: Clock) -> Pending:
    """A new attempt; `redirect_uri`: where the partner sends the browser back to, which it may have to know beforehand. Raises
    `Unsupported` where nobody has to allow anything, `CredentialsRefused` while the client's ID or secret is not set."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    url = _authorization(adapter).address(redirect_uri=redirect_uri, state=state, verifier=verifier)
    return Pending(url, state, verifier, redirect_uri, clock.now() + GOOD_FOR_S)


def finish(adapter: Adapter, pending: Pending, query: Mapping[str, str], *, clock: Clock) -> bool:
    """The partner has sent the browser back with this query: fetches the tokens and stores them. Whether the access lasts:
    without a refresh token it ends with the access token.

    Raises `Refusal` (400) for a query that does not belong to the attempt, which goes on; anything else ends it: `Conflict` if it
    is over, a `PartnerError` if the partner did not allow the access or gives no tokens, `StoreUnavailable`.
    """
    if not hmac.compare_digest(query.get("state", "").encode(), pending.state.encode()):
        raise Refusal(400, "This address does not belong to the attempt that is under way.", code="wrong_state")
    if pending.used:
        raise Conflict("This attempt has had its answer already; begin again.")
    pending.used = True
    if clock.now() >= pending.expires_at:
        raise Conflict("The partner's pages took longer than 10 minutes; begin again.")
    if "error" in query:
        error, hint = _ERRORS.get(query["error"], (Misconfigured, "The partner ended it with an error that is not known."))
        raise error(hint, code=query["error"] if query["error"] in _ERRORS else None)
    if not query.get("code"):
        raise Misconfigured("The partner sent the browser back without a code.", code="no_code")
    return _authorization(adapter).connect(query["code"], redirect_uri=pending.redirect_uri, verifier=pending.verifier)


def _authorization(adapter: Adapter) -> OAuth2AuthorizationCode:
    if isinstance(adapter, Connectable) and adapter.authorization is not None:
        return adapter.authorization
    raise Unsupported("Nobody has to allow this connector's access in a browser: its secrets are all that it needs.")
