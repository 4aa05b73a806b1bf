"""Who may ask anything at all: decided before a byte of the body is read."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from handlers.headers import all_of, first_of
from handlers.mediarithmics.settings import FeedSettings
from relay.domain.errors import Refusal
from relay.domain.loopback import is_loopback, without_port

_HEADER = b"x-feed-secret"


class Guard:
    """Made once; what can be computed before a request comes is computed here."""

    def __init__(self, settings: FeedSettings) -> None:
        self._access = settings.access
        self._digest = hashlib.sha256(settings.secret.encode()).digest() if settings.secret else None

    def require_admission(self, request: Request) -> None:
        """Refuses strangers: 403 where only this machine's programs are answered, 401 without the secret."""
        if self._access == "" and _is_stranger(request):
            raise Refusal(403, "This function answers only to programs on this machine.", code="stranger")
        if self._access == "secret" and not self._has_secret(request):
            raise Refusal(401, "The header X-Feed-Secret is missing or wrong.", code="bad_secret")

    def _has_secret(self, request: Request) -> bool:
        given = list(all_of(request, _HEADER))
        if self._digest is None or len(given) != 1:
            return False
        # Digests, so that comparing takes the same time whatever the length.
        return hmac.compare_digest(hashlib.sha256(given[0]).digest(), self._digest)


def _is_stranger(request: Request) -> bool:
    """A page in a browser on this machine is one as well: it gives itself away by a name of its own, or by its Origin."""
    host = without_port((first_of(request, b"host") or b"").decode("latin-1"))
    address = request.client.host if request.client else ""
    return not is_loopback(address) or not is_loopback(host) or first_of(request, b"origin") is not None
