"""OAuth2 (RFC 6749): access tokens that a partner gives for a client's own credentials, a refresh token or a signed assertion.

Tokens are shared by all workers through `Account.tokens`. The name of a token holds a hash of all that it depends on, so that one
that was stored for other credentials is never used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from adapters.authentication import Secret, bearer
from adapters.authentication.jwt import Jwt
from adapters.authentication.token_call import Client, TokenAnswer, TokenCall
from adapters.contract import Account, Credentials, HttpRequest

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""https://www.rfc-editor.org/rfc/rfc7523#section-2.1"""


class OAuth2:
    """A bearer token that workers share, renewed by one of them when it is time or was refused. Base of the kinds below."""

    headers: tuple[str, ...] = ("Authorization",)
    query: tuple[str, ...] = ()
    renewable = True

    def __init__(self, account: Account) -> None:
        self._account = account

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - the protocol's
        """`Authorization: Bearer …`."""
        not_token = refused.token if refused else ""
        return bearer(self._account.tokens.get(self.token_name(), self.obtain, not_token=not_token), renewable=True)

    def token_name(self) -> str:
        """Under which it is shared. Raises `CredentialsRefused` while a secret that it depends on is not set."""
        raise NotImplementedError

    def obtain(self, refresh: str) -> TokenAnswer:
        """A new one from the partner; `refresh`: the refresh token that came with the one before, or empty."""
        raise NotImplementedError


class OAuth2ClientCredentials(OAuth2):
    """A token for the client itself (RFC 6749, 4.4). Connectors with the same client share it.

    scope       words with blanks between them; empty: what the partner gives unasked
    parameters  sent with every call for a token, such as `audience`
    """

    def __init__(
        self,
        account: Account,
        client: Client,
        *,
        token_url: str,
        scope: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account)
        self._call = TokenCall(account, client, token_url, parameters)
        self._scope = scope

    def token_name(self) -> str:
        """Shared by all connectors for which all of this is the same."""
        return name_of("client-credentials", "", *self._call.identity(), self._scope)

    def obtain(self, refresh: str) -> TokenAnswer:  # noqa: ARG002 - the credentials themselves serve as well
        """By the client's ID and secret."""
        return self._call.fetch("client_credentials", {"scope": self._scope})._replace(refresh="")


class OAuth2RefreshToken(OAuth2):
    """A token for somebody who allowed it elsewhere and brought a refresh token (RFC 6749, 6). That may be good for one use: the
    one that comes with an answer takes its place, and whoever has been given the same one shares what became of it."""

    def __init__(
        self,
        account: Account,
        client: Client,
        *,
        token_url: str,
        refresh_token: Secret,
        scope: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account)
        self._call = TokenCall(account, client, token_url, parameters)
        self._client = client
        self._token_url = token_url
        self._refresh_token = refresh_token
        self._scope = scope

    def token_name(self) -> str:
        """Another one after the refresh token was set anew: what was stored under the old one may be dead. The same one whatever
        else is changed, for all connectors: the secret's may have had its only use, and only the stored one is good then."""
        self._call.identity()
        return name_of("refresh-token", "", self._token_url, self._client.id.required(), self._refresh_token.required())

    def obtain(self, refresh: str) -> TokenAnswer:
        """By the newest refresh token, the secret's where there is none yet."""
        newest = refresh or self._refresh_token.required()
        return self._call.fetch("refresh_token", {"refresh_token": newest, "scope": self._scope})


class OAuth2JwtAssertion(OAuth2):
    """A token for an assertion that we sign (RFC 7523, 2.1), a new one for every token.

    client  only where the partner wants to know it beside the assertion
    """

    def __init__(
        self,
        account: Account,
        assertion: Jwt,
        *,
        token_url: str,
        client: Client | None = None,
        scope: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account)
        self._assertion = assertion
        self._call = TokenCall(account, client, token_url, parameters)
        self._scope = scope

    def token_name(self) -> str:
        """The connector's own, since its claims may depend on the connector."""
        return name_of(
            "jwt-bearer", self._account.connector, *self._call.identity(), self._scope, self._assertion.identity()
        )

    def obtain(self, refresh: str) -> TokenAnswer:  # noqa: ARG002 - a new assertion serves as well
        """By a new assertion."""
        grant = {"assertion": self._assertion.token(), "scope": self._scope}
        return self._call.fetch(JWT_BEARER, grant)._replace(refresh="")


def name_of(kind: str, connector: str, *depends_on: str) -> str:
    """`oauth2.<kind>.<connector>.<hash>`: a name for a token that tells nothing of the secrets that it depends on."""
    digest = hashlib.sha256(msgspec.json.encode(depends_on)).hexdigest()[:32]
    return ".".join(part for part in ("oauth2", kind, connector, digest) if part)
