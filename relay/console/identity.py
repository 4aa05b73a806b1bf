"""Who is there, as Identity-Aware Proxy says: on Google it lets only those in who may see the console, and signs who it was.

The signature is checked in case somebody finds a way around the proxy (https://cloud.google.com/iap/docs/signed-headers-howto).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import google.auth.jwt
import requests
from google.auth.exceptions import GoogleAuthError

from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable
from relay.wide_log import log

KEYS_URL = "https://www.gstatic.com/iap/verify/public_key"

_jwt: Any = google.auth.jwt
"""It does not say its types."""

_ISSUER = "https://cloud.google.com/iap"
_SKEW_S = 30
_KEYS_GOOD_FOR_S = 3_600.0
_NOT_ASKED_AGAIN_FOR_S = 60.0
_TIMEOUT_S = 5.0


class ProxyIdentity:
    """Reads the proxy's assertions. audience: of this service, as the proxy writes it. keys_url: where its public keys are."""

    def __init__(self, audience: str, clock: Clock, *, keys_url: str = KEYS_URL) -> None:
        self._audience = audience
        self._clock = clock
        self._keys_url = keys_url
        self._lock = threading.Lock()
        self._keys: Mapping[str, str] = {}
        self._asked_at = float("-inf")

    def email(self, assertion: str) -> str | None:
        """Whose address a valid assertion names; None for any other. Raises `StoreUnavailable` while no keys can be had."""
        try:
            key_id = _jwt.decode_header(assertion).get("kid", "")
            claims: Mapping[str, Any] = _jwt.decode(
                assertion, certs=self._keys_with(key_id), audience=self._audience, clock_skew_in_seconds=_SKEW_S
            )
        except (GoogleAuthError, ValueError):
            return None  # its text would name who was refused
        email = claims.get("email")
        return email if claims.get("iss") == _ISSUER and isinstance(email, str) and email else None

    def _keys_with(self, key_id: str) -> Mapping[str, str]:
        """The proxy's keys by ID, asked for again when they are old, or when this one is not among them: it changes them."""
        with self._lock:
            age_s = self._clock.monotonic() - self._asked_at
            if age_s >= _KEYS_GOOD_FOR_S or (key_id not in self._keys and age_s >= _NOT_ASKED_AGAIN_FOR_S):
                self._ask()
            return self._keys

    def _ask(self) -> None:
        self._asked_at = self._clock.monotonic()
        try:
            answer = requests.get(self._keys_url, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            self._keys = {str(name): str(key) for name, key in answer.json().items()}
        except (requests.RequestException, ValueError, AttributeError) as error:
            log("proxy_keys_unreadable", "ERROR", error=type(error).__name__, keys_kept=len(self._keys))
            if not self._keys:
                self._asked_at = float("-inf")
                raise StoreUnavailable("Who is there cannot be checked: the proxy's keys could not be read.") from error
