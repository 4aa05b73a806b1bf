"""What travels with a browser through a partner's login: signed, so that nothing has to be stored for it."""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec

from handlers.mediarithmics.trouble import Trouble, for_operator

VALID_S = 3600.0
"""So long somebody has to log in and to allow the access."""

_PURPOSE = b"diy-relay: state of a login"
_VERIFIER = b"verifier:"


class LoginState(msgspec.Struct, frozen=True):
    """connector, and under which login what comes of it is stored. exp: seconds since the epoch."""

    connector: str
    key: str
    exp: float


class Signer:
    """Signs states with a key of its own, derived from the plugin's authentication token."""

    def __init__(self, token: str) -> None:
        self._key = hmac.digest(token.encode(), _PURPOSE, hashlib.sha256) if token else b""

    def sign(self, state: LoginState) -> str:
        """The state as it travels in an address. Raises `Trouble`."""
        payload = _encode(msgspec.json.encode(state))
        return f"{payload}.{_encode(self._digest(payload.encode()))}"

    def read(self, text: str, *, now: float) -> LoginState:
        """The state that was signed. Raises `Trouble` for any other, and for one that has expired."""
        payload, _, signature = text.partition(".")
        expected = _encode(self._digest(payload.encode("utf-8", "surrogatepass")))
        if not hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), expected.encode()):
            raise Trouble("The login was not begun here: its state is not ours. Please begin it again.", code="bad_state")
        state = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=LoginState)
        if now > state.exp:
            raise Trouble("The login took too long. Please begin it again.", code="expired_state")
        return state

    def verifier(self, text: str) -> str:
        """The code verifier (RFC 7636) that belongs to this state."""
        return _encode(self._digest(_VERIFIER + text.encode("utf-8", "surrogatepass")))

    def _digest(self, content: bytes) -> bytes:
        if not self._key:
            raise for_operator("PLUGIN_AUTHENTICATION_TOKEN is not set.", code="no_worker")
        return hmac.digest(self._key, content, hashlib.sha256)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
