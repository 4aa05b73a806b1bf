"""What creates audiences, as the receiver meets it on Google: on another machine, over TLS and for a token.

The function itself, and the emulator of Firestore behind it, would take the processors of this machine from the receiver beside
them; and over plain HTTP what encryption costs would not be seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi

from tests.unit.google.function_elsewhere import Metadata, secure_function


@contextmanager
def elsewhere(directory: Path, *, answered_after_s: float) -> Iterator[dict[str, str]]:
    """While the context lasts: the environment variables of a receiver that has its audiences created there."""

    def answer(_body: bytes) -> tuple[int, bytes]:
        time.sleep(answered_after_s)
        return 200, b'{"partner_id": "partner-1"}'

    metadata = Metadata()
    try:
        with secure_function(directory) as (function, known):
            function.answer = answer
            trusted = directory / "trusted.pem"  # as many as a receiver trusts
            trusted.write_bytes(Path(certifi.where()).read_bytes() + known.read_bytes())
            yield {
                "CREATE_URL": f"https://127.0.0.1:{function.port}/",
                "REQUESTS_CA_BUNDLE": str(trusted),
                "GCE_METADATA_HOST": metadata.address,
                "GCE_METADATA_IP": metadata.address,
            }
    finally:
        metadata.close()
