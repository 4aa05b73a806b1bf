"""Who is meant by an identifier that somebody typed: recognised in mutations and, by their hashes, among rejections."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from relay.domain.message import Mutation
from relay.domain.outcome import hash_user

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PHONE = re.compile(r"\+?[0-9 ()./-]{7,30}")
_NO_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_PLAIN = re.compile(rb"[ !#-\[\]-~]+")
"""Letters that stand in JSON as they are, and of which each is one byte."""


class Person:
    """Whoever carries this identifier: an ID, an e-mail address, a phone number, or the SHA-256 of one of them.

    A mutation is theirs if one of its identifiers, whatever its name,

    - is the typed text itself; an e-mail address or a SHA-256 in any case;
    - is the SHA-256 of the typed text, or of it in lower case without spaces around it; of a phone number, of its digits alone,
      or with `+` or `00` in front;
    - is named `phone` and has the digits of the typed phone number, which includes its country, however it is written.

    What is typed is in no text of this object: it can be logged by nobody.
    """

    def __init__(self, typed: str) -> None:
        """Raises `ValueError` for an empty text."""
        self._text = typed.strip()
        if not self._text:
            raise ValueError("No identifier is given.")
        self._folded = self._text.lower()
        self._digits = _international(self._text) if _PHONE.fullmatch(self._text) else ""
        self._any_case = "@" in self._text or bool(_SHA256.fullmatch(self._folded))
        self._hashes = frozenset(hash_user(form) for form in self._forms())
        self._needles = tuple(self._needed())

    def __repr__(self) -> str:
        return f"Person({self.hash[:12]})"

    @property
    def hash(self) -> str:
        """The SHA-256 of what was typed: by it the person is named."""
        return hash_user(self._text)

    @property
    def rejection_hashes(self) -> frozenset[str]:
        """Under which of `Rejection.user_hash` their rejections may be, as far as the typed text alone tells: that is the hash of
        the user's key, which may be a hash itself, or another identifier."""
        hashed = {self._folded} if _SHA256.fullmatch(self._folded) else set()
        known = self._hashes | hashed
        return known | {hash_user(one) for one in known} | {hash_user(one.upper()) for one in known}

    @property
    def written(self) -> tuple[bytes, ...]:
        """How the identifier stands in clear in encoded messages, in lower case."""
        forms = [form for form in self._forms() if not _SHA256.fullmatch(form)]
        return tuple(dict.fromkeys(msgspec.json.encode(form).lower() for form in forms))

    def identifiers(self, mutation: Mutation) -> tuple[str, ...]:
        """By which of its identifiers the mutation is theirs; none if it is not."""
        return tuple(name for name, value in mutation.user.items() if self._is(name, value))

    def matches(self, mutation: Mutation) -> bool:
        """Whether the mutation is theirs."""
        return any(self._is(name, value) for name, value in mutation.user.items())

    def may_be_in(self, body: bytes) -> bool:
        """Whether an encoded message can hold a mutation of theirs. Fast, and never wrong where it says no."""
        lowered = body.lower()
        if any(needle in lowered for needle in self._needles):
            return True
        return bool(self._digits) and self._digits.encode() in body.translate(None, _NO_DIGITS)

    def _is(self, name: str, value: str) -> bool:
        if value == self._text:
            return True
        folded = value.strip().lower()
        if (self._any_case and folded == self._folded) or folded in self._hashes:
            return True
        return bool(self._digits) and name == "phone" and _international(value) == self._digits

    def _forms(self) -> list[str]:
        forms = [self._text, self._folded]
        if self._digits:
            forms += [self._digits, f"+{self._digits}", f"00{self._digits}"]
        return list(dict.fromkeys(forms))

    def _needed(self) -> Iterator[bytes]:
        """Of which one is in every message of theirs, in lower case."""
        if self._any_case:
            # What is in no case of its own may be written otherwise; what is plain stands there as it is.
            yield max(_PLAIN.findall(self._folded.encode()), key=len, default=b"")
        else:
            yield msgspec.json.encode(self._text).lower()
        yield from (one.encode() for one in self._hashes)


def _international(phone: str) -> str:
    """The digits of a phone number, without the `00` that stands for a `+`."""
    return re.sub(r"[^0-9]", "", phone).removeprefix("00")
