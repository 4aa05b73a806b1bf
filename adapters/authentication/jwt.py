"""JSON Web Tokens that we sign ourselves (RFC 7519): sent as a bearer token, or given for an access token (`oauth2`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from adapters.authentication import Secret, bearer
from adapters.authentication.private_key import hmac_key, p256_key, rsa_key
from adapters.contract import Credentials, HttpRequest
from relay.domain.clock import Clock
from relay.domain.errors import Misconfigured

Algorithm = Literal["HS256", "RS256", "ES256"]
Claims = Mapping[str, Any] | Callable[[], Mapping[str, Any]]

ALGORITHMS: Mapping[Algorithm, Callable[[Secret], OctKey | RSAKey | ECKey]] = {
    "HS256": hmac_key,
    "RS256": rsa_key,
    "ES256": p256_key,
}

_GOOD_FOR_S = 300.0


class Jwt:
    """A token for every call, of our own making.

    key         the shared secret of HS256, or the private key of RS256 and ES256: PEM in one line, see `private_key.pem_of`
    claims      what it says, or what to ask for it at every call; `iat` (now) and `exp` (`good_for_s` later) are added unless
                they are among them
    header      beside `alg` and `typ`, such as `kid`
    """

    headers: tuple[str, ...] = ("Authorization",)
    query: tuple[str, ...] = ()
    renewable = False

    def __init__(
        self,
        key: Secret,
        *,
        algorithm: Algorithm,
        claims: Claims,
        clock: Clock,
        good_for_s: float = _GOOD_FOR_S,
        header: Mapping[str, Any] | None = None,
    ) -> None:
        self._key = key
        self._algorithm = algorithm
        self._claims = claims
        self._clock = clock
        self._good_for_s = good_for_s
        self._header = {**(header or {}), "alg": algorithm}

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """`Authorization: Bearer …`."""
        return bearer(self.token())

    def identity(self) -> str:
        """What stands for its key where something depends on it. Raises `CredentialsRefused` while the key is not set."""
        return f"{self._algorithm} {self._header.get('kid', '')} {self._key.required()}"

    def token(self) -> str:
        """A new one. Raises `CredentialsRefused` for a key that is missing or cannot be one, `Misconfigured` for claims that
        cannot be written."""
        key = ALGORITHMS[self._algorithm](self._key)
        now = int(self._clock.now())
        own = self._claims() if callable(self._claims) else self._claims
        claims = {"iat": now, "exp": now + int(self._good_for_s), **own}
        registry = JWSRegistry(algorithms=[self._algorithm], strict_check_header=False)
        try:
            return jwt.encode(self._header, claims, key, algorithms=[self._algorithm], registry=registry)
        except (JoseError, TypeError, ValueError):
            hint = "The token for the partner cannot be made: its claims or its header hold what JSON Web Tokens cannot."
            raise Misconfigured(hint, code="unusable_claims") from None
