"""How partners want identifiers written before they compare or hash them: the rules, and what becomes of one value.

A rule takes text and gives what is left of it in the partner's alphabet; empty where nothing usable is left. Applied twice, it
changes nothing more. White space around a value never matters, nor do invisible characters there.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from adapters.contract import Field, Rejected
from relay.expressions.phone import digits_of, e164

_INVISIBLE = "\u00ad\u200b\u200e\u200f\u2060\ufeff"
_BLANK = _INVISIBLE + "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() or unicodedata.category(sign) == "Cc")
"""White space, control characters, and what is neither seen nor meant in a pasted value."""

_BLANKS = re.compile(f"[{re.escape(_BLANK)}]+")
_ADDRESS = re.compile(f"[^{re.escape(_BLANK)}]+@[^{re.escape(_BLANK)}@]+")
_COUNTRY = re.compile(r"[a-z]{2}")
_ADVERTISING_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def _trim(text: str) -> str:
    return text.strip(_BLANK)


def _lower(text: str) -> str:
    return _trim(text).lower()


def _email(text: str) -> str:
    address = _lower(text)
    return address if _ADDRESS.fullmatch(address) else ""


def _email_no_blanks(text: str) -> str:
    return _email(_BLANKS.sub("", text))


def _phone_digits(text: str) -> str:
    digits = (str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())
    return "".join(digits).lstrip("0")


def _e164(text: str) -> str:
    number = _trim(text)
    return e164(f"+{number[2:]}" if number.startswith("00") else number, None) or ""


def _name(text: str) -> str:
    kept = "".join(sign for sign in _BLANKS.sub(" ", text) if sign == " " or unicodedata.category(sign)[0] not in "PSCZ")
    return " ".join(kept.lower().split())


def _country(text: str) -> str:
    letters = _lower(text)
    return letters if _COUNTRY.fullmatch(letters) else ""


def _advertising_id(text: str) -> str:
    identifier = _lower(text)
    return identifier if _ADVERTISING_ID.fullmatch(identifier) and identifier.strip("0-") else ""


RULES: Mapping[str, Callable[[str], str]] = {
    "email": _email,
    "email_no_blanks": _email_no_blanks,
    "phone_digits": _phone_digits,
    "e164": _e164,
    "name": _name,
    "lower": _lower,
    "trim": _trim,
    "country": _country,
    "advertising_id": _advertising_id,
}
"""Name of a rule (`Field.normalise`) → the rule:

email            no white space at the ends, lower case; what has no @ between two parts is no address
email_no_blanks  the same, with the white space inside taken out first
phone_digits     digits only, no zeros in front
e164             `+` and digits; only what begins with + or 00 says which country it is of
name             lower case, no punctuation, single blanks between words
lower, trim      no white space at the ends; `lower`: lower case as well
country          two letters, lower case
advertising_id   a UUID in lower case; the one of zeros, which devices give when asked not to be tracked, is nobody's
"""


def normalised(field: Field, value: Any) -> str | Rejected:
    """The value as the partner wants this field: by its rule, then hashed where it wants a hash; empty where nothing usable is
    left. `Rejected` where the value is no text or number, or contradicts the form that the field is said to have."""
    if isinstance(value, bool) or not (isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        return Rejected("not_text", f"{field.title} must be text or a number; the mapping gives something else.")
    text = digits_of(value)
    bare = _trim(text)
    if not bare:
        return ""
    is_hash = _SHA256.fullmatch(bare) is not None
    if field.form == "raw" and is_hash:
        return Rejected("already_hashed", f"{field.title} must come in clear text, not as a hash of 64 hexadecimal characters.")
    if field.form == "sha256" and not is_hash:
        return Rejected("not_sha256", f"{field.title} must come as a SHA-256 hash, of 64 hexadecimal characters.")
    if is_hash and field.form in ("sha256", "auto"):
        return bare.lower()
    usable = RULES[field.normalise](text) if field.normalise else text
    return hashlib.sha256(usable.encode()).hexdigest() if usable and field.hashed else usable


def email_rule(name: str) -> Callable[[str], str | None]:
    """What `email()` does in a mapping for a partner with this rule: None where it is no address. What is hashed already passes
    in lower case, for the field to take or refuse."""
    rule = RULES[name]

    def email(text: str) -> str | None:
        bare = _trim(text)
        return bare.lower() if _SHA256.fullmatch(bare) else rule(text) or None

    return email
