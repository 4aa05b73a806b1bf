"""What can be said about a receiver without sending it any user: it answers the DMP, and nobody else."""

from __future__ import annotations

import hashlib

import msgspec

from relay.simulator.credentials import Credentials
from relay.simulator.dmp import Answer, Dmp, is_loopback, sign


class Finding(msgspec.Struct, frozen=True):
    """One question and its answer. `detail` says what was seen where that is not what it should be."""

    title: str
    passed: bool
    detail: str = ""


def check(url: str, credentials: Credentials, *, timeout_s: float = 10.0) -> list[Finding]:
    """Validates as the DMP does, then as somebody who does not have the secrets. Sends no user and changes nothing.

    If the first request is not answered, there is that one finding only.
    """
    dmp = Dmp(url, credentials.hmac_secret, credentials.basic, timeout_s=timeout_s)
    try:
        first = _accepted("A signed POST VALIDATE is accepted", dmp.validate("POST"))
        if first.detail.startswith("not answered"):
            return [first]
        second = _accepted("A GET VALIDATE is accepted", dmp.validate("GET"))
        return [_encrypted(url), first, second, *_strangers(dmp, credentials)]
    finally:
        dmp.close()


def _strangers(dmp: Dmp, credentials: Credentials) -> list[Finding]:
    right = sign(credentials.hmac_secret, b"")
    findings = [
        _refused("A wrong signature is refused", dmp.send("VALIDATE", b"", signature=sign(credentials.hmac_secret + "x", b""))),
        _refused("A missing signature is refused", dmp.send("VALIDATE", b"", signature=None)),
        _refused(
            "A plain SHA-1 in place of a signature is refused",
            dmp.send("VALIDATE", b"", signature=hashlib.sha1(b"", usedforsecurity=False).hexdigest()),
        ),
        _refused("The signature of another body is refused", dmp.send("VALIDATE", b" ", signature=right)),
    ]
    if credentials.basic:
        findings += [
            _refused("Missing Basic auth is refused", dmp.send("VALIDATE", b"", signature=right, basic="")),
            _refused(
                "A wrong Basic password is refused", dmp.send("VALIDATE", b"", signature=right, basic=credentials.basic + "x")
            ),
        ]
    return findings


def _encrypted(url: str) -> Finding:
    fine = url.startswith("https://") or is_loopback(url)
    detail = "" if fine else "the address begins with http://: whoever is on the way can read the users and replay the requests"
    return Finding("The connection is encrypted", fine, detail)


def _accepted(title: str, answer: Answer) -> Finding:
    return Finding(title, answer.accepted, "" if answer.accepted else seen(answer))


def _refused(title: str, answer: Answer) -> Finding:
    return Finding(title, answer.status == 401, "" if answer.status == 401 else f"{seen(answer)}, where 401 is right")


def seen(answer: Answer) -> str:
    """An answer in words."""
    if answer.status == 0:
        return f"not answered: {answer.error}"
    return f"answered {answer.status}" + (f": {answer.error}" if answer.error else "")
