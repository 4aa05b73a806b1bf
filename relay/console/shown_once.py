"""A secret that was made here is shown once, on a page of its own: who loads that again neither makes another one nor sees it.

The session says which secret may be shown, by the digest of its value; the value itself stays where secrets are kept.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal, NamedTuple

from flask import request, session

from relay.console.parts import backend, now

_KEY = "made-secret"
_GOOD_FOR_S = 600.0
_TWICE_WITHIN_S = 10.0


class Made(NamedTuple):
    """What the page may show. state: `there`: the value; `gone`: it was shown already, or made too long ago; `not yet`: it is
    stored, and this process does not see it yet; `changed`: the secret has got another value since."""

    state: Literal["there", "gone", "not yet", "changed"]
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
        since = any(info.name == secret and info.changed_at > kept["at"] for info in backend().secrets.all())
        return Made("changed" if since else "not yet")
    if request.method == "GET":  # who asks for the headers alone has seen nothing
        session.pop(_KEY)
    return Made("there", value)


def just_made(changed_at: float) -> bool:
    """Whether somebody who makes a secret that was set then may have clicked twice: the page that shows it knows the rest."""
    return now() < changed_at + _TWICE_WITHIN_S


def _digest(value: str) -> str:
    """The value is 256 bits of chance, so nobody guesses it from this."""
    return hashlib.sha256(value.encode()).hexdigest()
