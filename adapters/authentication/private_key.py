"""Keys to sign with, from secrets, which are one line each."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from adapters.authentication import Secret

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", re.DOTALL)
_LINE = 64

Key = TypeVar("Key", RSAKey, ECKey)


def hmac_key(secret: Secret) -> OctKey:
    """The secret's text, in UTF-8, as a key of HS256."""
    return OctKey.import_key(secret.required().encode())


def rsa_key(secret: Secret) -> RSAKey:
    """A private key of RS256; see `pem_of` for how it may be written. Raises `CredentialsRefused`."""
    return _private(secret, RSAKey, "RSA key")


def p256_key(secret: Secret) -> ECKey:
    """A private key of ES256, on the curve P-256. Raises `CredentialsRefused`."""
    key = _private(secret, ECKey, "EC key")
    if key.curve_name != "P-256":
        raise secret.unusable("is a key on another curve than P-256, which ES256 needs")
    return key


def pem_of(text: str) -> bytes | None:
    """The PEM (RFC 7468) that a line stands for: with `\\n` as two characters or blanks instead of its line breaks, with the line
    breaks themselves, or the base64 of any of these; of several parts the private key. None if it is none of them."""
    written = text if "-----BEGIN" in text else _decoded(text)
    parts = list(_PEM.finditer(written.replace("\\r", "").replace("\\n", "\n")))
    if not parts:
        return None
    # What `openssl ecparam -genkey` writes begins with the parameters of the curve.
    found = next((part for part in parts if part.group(1).endswith("PRIVATE KEY")), parts[0])
    label, content = found.group(1), "".join(found.group(2).split())
    lines = [content[start : start + _LINE] for start in range(0, len(content), _LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _private(secret: Secret, kind: type[Key], name: str) -> Key:
    pem = pem_of(secret.required())
    if pem is None:
        raise secret.unusable("is no private key in the format PEM")
    try:
        key = kind.import_key(pem)
    except (JoseError, ValueError, TypeError):
        raise secret.unusable(f"is no private {name} in the format PEM, without a passphrase") from None
    if not key.is_private:
        raise secret.unusable("is a public key; calls are signed with the private one")
    return key
