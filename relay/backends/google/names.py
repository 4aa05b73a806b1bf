"""Names that every Google service takes, made of names that may be anything."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

_LONGEST = 600
"""Bytes. Firestore allows 1,500 for a document's ID, Pub/Sub 1,024 for an ordering key."""


def safe_name(text: str) -> str:
    """A name of letters, digits, '-', '.', '_', '~' and '%' that stands for exactly this text, at most 600 bytes long.

    Everything else is written as percent and two hexadecimal digits; of a text that would become longer, the beginning is
    followed by '%%' and its SHA-256. A document's ID may not hold a slash, be '.' or '..', or be enclosed in double underscores
    (https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields), so underscores at the beginning and a
    name of nothing but dots are written so, too. The empty text is '%'.
    """
    name = quote(text, safe="", errors="surrogatepass")
    if name.startswith("_") or not name.strip("."):
        name = f"%{ord(name[0]):02X}{name[1:]}" if name else "%"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{name[: _LONGEST - len(digest) - 2]}%%{digest}"
