"""How a document says that calls carry a token: one that we sign ourselves (`jwt`), or one that is fetched (`oauth2`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from adapters.authentication import Authentication, Secret
from adapters.contract import Account, Field
from adapters.http.body import Node, read_node
from adapters.http.grammar import Names
from adapters.http.scheme import AUTHORIZATION, Scheme
from adapters.http.scope import general
from relay.domain.errors import Misconfigured
from relay.domain.malformed import Malformed
from relay.reading import values
from relay.reading.section import Section

_CLIENT_ID = Field("client_id", "Client ID", required=True)
_CLIENT_SECRET = Field("client_secret", "Client secret", required=True)
_REFRESH_TOKEN = Field("refresh_token", "Refresh token", required=True)
_KEY = Field("key", "Key of the JSON Web Token", required=True)

TOKEN_KEYS = ("algorithm", "claims", "expires", "header")
OAUTH2_KEYS = (
    "grant", "token_url", "authorize_url", "scope", "client_auth", "token_parameters", "authorize_parameters", "app", "jwt",
)  # fmt: skip
_GRANTS = ("client_credentials", "refresh_token", "authorization_code", "jwt_bearer")
_ONLY_FOR = {
    "authorize_url": "authorization_code",
    "authorize_parameters": "authorization_code",
    "jwt": "jwt_bearer",
}


class _Token(msgspec.Struct, frozen=True):
    """A JSON Web Token as it is described."""

    algorithm: Any
    claims: Node
    expires_s: float
    header: dict[str, Any]


def _read_token(section: Section, names: Names) -> _Token:
    claims = section.values.get("claims")
    if not isinstance(claims, dict | None):
        section.problem("claims", "This must be a mapping of names to values.")
    return _Token(
        section.require("algorithm", values.choice("HS256", "RS256", "ES256"), "HS256"),
        read_node(claims if isinstance(claims, dict) else {}, (*section.path, "claims"), section.problems, names, None),
        section.read("expires", values.duration(10, 86_400), 300.0),
        section.section("header", None).values,
    )


def _options(token: _Token) -> dict[str, Any]:
    return {"algorithm": token.algorithm, "good_for_s": token.expires_s, "header": token.header}


def _claims(token: _Token, account: Account) -> Callable[[], Mapping[str, Any]]:
    def claims() -> Mapping[str, Any]:
        try:
            filled: Mapping[str, Any] = token.claims.fill(general(account.settings.get("parameters") or {}, account.clock))
        except Malformed as problem:
            raise Misconfigured(f"The claims of the token for the partner cannot be made. {problem}", code="bad_claims") from None
        return filled

    return claims


def read_jwt(section: Section, names: Names) -> Scheme:
    """A token for every call."""
    token = _read_token(section, names)

    def make(account: Account) -> Authentication:
        from adapters.authentication.jwt import Jwt

        return Jwt(Secret.of(account, _KEY), clock=account.clock, claims=_claims(token, account), **_options(token))

    return Scheme((_KEY,), AUTHORIZATION, make=make)


def read_oauth2(section: Section, names: Names) -> Scheme:
    """A token from the partner."""
    grant = section.require("grant", values.choice(*_GRANTS), "client_credentials")
    for key, only in _ONLY_FOR.items():
        if section.given(key) and grant != only:
            section.problem(key, f"This has no meaning for the grant {grant}.")
    urls = {"token_url": section.require("token_url", values.url, "")}
    if grant == "authorization_code":
        urls["authorize_url"] = section.require("authorize_url", values.url, "")
    more: dict[str, Any] = {
        **urls,
        "scope": section.read("scope", values.text, ""),
        "parameters": _texts(section, "token_parameters"),
    }
    client_auth = section.read("client_auth", values.choice("basic", "body", "none"), "basic")
    app = section.read("app", values.name, "")
    client = tuple(
        msgspec.structs.replace(field, app=bool(app))
        for field in (_CLIENT_ID, _CLIENT_SECRET)[: 1 if client_auth == "none" else 2]
    )
    token = None
    if grant == "jwt_bearer":
        if not section.given("jwt"):
            section.problem("jwt", "This is missing: what the token says that is given for an access token.")
            return Scheme()
        token = _read_token(section.section("jwt", TOKEN_KEYS), names)
        # Most partners know the client by what the token says.
        client = client if section.given("client_auth") else ()
    more["authorize_parameters"] = _texts(section, "authorize_parameters")

    def make(account: Account) -> Authentication:
        return _oauth2_of(grant, account, client, client_auth, token, more)

    own = {"refresh_token": (_REFRESH_TOKEN,), "jwt_bearer": (_KEY,)}.get(grant, ())
    return Scheme((*client, *own), AUTHORIZATION, app=app, make=make, by_consent=grant == "authorization_code")


def _oauth2_of(
    grant: str,
    account: Account,
    fields: tuple[Field, ...],
    client_auth: str,
    token: _Token | None,
    given: Mapping[str, Any],
) -> Authentication:
    from adapters.authentication import authorization_code, oauth2
    from adapters.authentication.jwt import Jwt
    from adapters.authentication.token_call import Client

    secrets = [Secret.of(account, field) for field in fields]
    client = None
    if secrets:
        secret = secrets[1] if len(secrets) > 1 else None
        client = Client(secrets[0], secret, "body" if client_auth == "body" else "basic")
    more = {key: value for key, value in given.items() if key not in ("authorize_url", "authorize_parameters")}
    if token is not None:
        key = Secret.of(account, _KEY)
        assertion = Jwt(key, clock=account.clock, claims=_claims(token, account), **_options(token))
        return oauth2.OAuth2JwtAssertion(account, assertion, client=client, **more)
    if client is None:
        raise Misconfigured("The grant needs a client.", code="no_client")
    if grant == "refresh_token":
        return oauth2.OAuth2RefreshToken(account, client, refresh_token=Secret.of(account, _REFRESH_TOKEN), **more)
    if grant == "authorization_code":
        return authorization_code.OAuth2AuthorizationCode(account, client, **given)
    return oauth2.OAuth2ClientCredentials(account, client, **more)


def _texts(section: Section, key: str) -> dict[str, str]:
    given = section.section(key, None)
    return {name: given.read(name, values.text, "") for name in given.values if given.given(name)}
