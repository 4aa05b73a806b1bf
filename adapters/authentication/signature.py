"""A signature of the body, beside other credentials or alone: the partner sees that nobody has changed what was sent."""

from __future__ import annotations

import base64
import hmac
from typing import Literal

from adapters.authentication import Secret
from adapters.contract import Credentials, HttpRequest
from relay.domain.clock import Clock

Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]


class BodySignature:
    """HMAC of exactly the bytes that are sent (none: of nothing), keyed with the secret's text in UTF-8.

    header            where it goes, after `prefix` (`sha256=`)
    timestamp_header  where the moment goes, in whole seconds since the epoch; then `<moment>.<body>` is signed, so that a
                      captured call cannot be repeated later. Empty: the body alone is signed
    """

    query: tuple[str, ...] = ()
    renewable = False

    def __init__(
        self,
        secret: Secret,
        *,
        header: str,
        clock: Clock,
        digest: Digest = "sha256",
        encoding: Encoding = "hex",
        prefix: str = "",
        timestamp_header: str = "",
    ) -> None:
        self._secret = secret
        self._header = header
        self._clock = clock
        self._digest = digest
        self._encoding = encoding
        self._prefix = prefix
        self._timestamp_header = timestamp_header
        self.headers = (header,)

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """The signature's header, and the timestamp's."""
        from adapters.client import content_of

        key = self._secret.required().encode()
        content = content_of(request) or b""
        headers: dict[str, str] = {}
        if self._timestamp_header:
            moment = str(int(self._clock.now()))
            headers[self._timestamp_header] = moment
            content = moment.encode() + b"." + content
        digest = hmac.digest(key, content, self._digest)
        text = digest.hex() if self._encoding == "hex" else base64.b64encode(digest).decode()
        return Credentials({**headers, self._header: self._prefix + text})
