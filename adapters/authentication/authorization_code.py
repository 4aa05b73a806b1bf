"""OAuth2 with the partner's consent page (RFC 6749, 4.1; RFC 7636): somebody allows access in a browser, once, and the refresh
token that comes of it is kept and renewed from then on."""

from __future__ import annotations

from collections.abc import Mapping

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from adapters.authentication.oauth2 import OAuth2, name_of
from adapters.authentication.token_call import Client, TokenAnswer, TokenCall
from adapters.contract import Account
from relay.domain.errors import CredentialsRefused


class OAuth2AuthorizationCode(OAuth2):
    """A token for the person who allowed it with `diy connectors connect NAME`. An adapter that has one offers it as its
    attribute `authorization`; `worker.authorization` leads through the consent.

    scope                 words with blanks between them
    authorize_parameters  added to the address of the consent page, such as `access_type=offline` or `prompt=consent`
    parameters            sent with every call for a token
    """

    def __init__(
        self,
        account: Account,
        client: Client,
        *,
        authorize_url: str,
        token_url: str,
        scope: str = "",
        authorize_parameters: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account)
        self._client = client
        self._call = TokenCall(account, client, token_url, parameters)
        self._authorize_url = authorize_url
        self._scope = scope
        self._authorize_parameters = dict(authorize_parameters or {})

    def token_name(self) -> str:
        """The connector's own. Another client secret changes nothing about what was allowed."""
        return name_of("authorization-code", self._account.connector, self._authorize_url, self._client.id.required())

    def obtain(self, refresh: str) -> TokenAnswer:
        """By the stored refresh token. Raises `CredentialsRefused` (`not_connected`) if there is none."""
        if not refresh:
            name = self._account.connector
            hint = f"Nobody has allowed access for {name} at the partner yet, or it has ended: diy connectors connect {name}"
            raise CredentialsRefused(hint, code="not_connected")
        return self._call.fetch("refresh_token", {"refresh_token": refresh})

    def address(self, *, redirect_uri: str, state: str, verifier: str) -> str:
        """The consent page for this attempt. Raises `CredentialsRefused` while the client's ID or secret is not set."""
        self._call.identity()
        address: str = prepare_grant_uri(
            add_params_to_uri(self._authorize_url, self._authorize_parameters),
            client_id=self._client.id.required(),
            response_type="code",
            redirect_uri=redirect_uri,
            scope=self._scope,
            state=state,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address

    def connect(self, code: str, *, redirect_uri: str, verifier: str) -> bool:
        """Fetches and stores the first tokens, for the code that the partner sent somebody back with. Whether they can be
        renewed. Raises what `TokenCall.fetch` and `TokenSource.replace` raise."""
        grant = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        return self._account.tokens.replace(self.token_name(), lambda: self._call.fetch("authorization_code", grant))
