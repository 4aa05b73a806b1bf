"""A secret that was made here is shown once, on a page of its own: who loads that again neither makes another one nor sees it.

The session says which secret may be shown, by the digest of its value; the value itself stays where secrets are kept.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal, NamedTuple

from flask import session

from relay.console.parts import backend, now

_KEY = "made-secret"
_GOOD_FOR_S = 600.0


class Made(NamedTuple):
    """What the page may show. state: `there`: the value; `gone`: it was shown already, or too long ago; `not yet`: it is stored,
    and this process does not see it yet."""

    state: Literal["there", "gone", "not yet"]
    value: str = ""


def note_made(secret: str, value: str) -> None:
    """This browser may see the value that the secret has just got; what was made before that cannot be shown any more."""
    session[_KEY] = {"secret": secret, "digest": _digest(value), "at": now()}


def take_made(secret: str) -> Made:
    """What there is to be shown of this secret. Raises `StoreUnavailable`."""
    kept = session.get(_KEY)
    if not isinstance(kept, dict) or kept.get("secret") != secret or now() >= kept["at"] + _GOOD_FOR_S:
        return Made("gone")
    value = next(iter(backend().secrets.get(secret)), "")
    if not hmac.compare_digest(_digest(value), str(kept["digest"])):
        return Made("not yet")
    session.pop(_KEY)
    return Made("there", value)


def _digest(value: str) -> str:
    """The value is 256 bits of chance, so nobody guesses it from this."""
    return hashlib.sha256(value.encode()).hexdigest()
