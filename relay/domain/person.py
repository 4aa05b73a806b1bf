"""Who is meant by an identifier that somebody typed: recognised in mutations and, by their hashes, among rejections."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from relay.domain.message import Mutation
from relay.domain.outcome import hash_user

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHONE = re.compile(r"\+?[0-9 ()./-]{7,30}")
_TRUNK = "(0)"
"""Stands in a phone number behind its country, and is dialled from within it only."""
_NO_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_PLAIN = re.compile(rb"[ !#-\[\]-~]+")
"""Letters that stand in JSON as they are, and of which each is one byte."""


class Person:
    """Whoever carries this identifier: an ID, an e-mail address, a phone number, or the SHA-256 of one of them.

    A mutation is theirs if one of its identifiers, whatever its name,

    - is the typed text itself; an e-mail address, a UUID or a SHA-256 in any case;
    - is the SHA-256 of the typed text, or of it in lower case without spaces around it; of a phone number, of its digits alone,
      or with `+` or `00` in front;
    - has the typed SHA-256, as it is or in one of these forms;
    - is named `phone` and has the digits of the typed phone number, which includes its country, however it is written. Digits
      alone, without `+`, `00` or anything between them, may be another one's ID: they are taken for the phone number only of a
      user whose key it is.

    So is each whose user's key is one of `keys` (see `also`).

    What is typed is in no text of this object: it can be logged by nobody.
    """

    def __init__(self, typed: str) -> None:
        """Raises `ValueError` for an empty text."""
        self._text = typed.strip()
        if not self._text:
            raise ValueError("No identifier is given.")
        self._folded = self._text.lower()
        self._digits = _international(self._text) if _PHONE.fullmatch(self._text) else ""
        self._is_phone = bool(self._digits) and (not self._text.isdecimal() or self._text.startswith("00"))
        self._is_hash = bool(_SHA256.fullmatch(self._folded))
        self._is_uuid = bool(_UUID.fullmatch(self._folded))
        self._any_case = "@" in self._text or self._is_hash or self._is_uuid
        self._hashes = frozenset(hash_user(form) for form in self._forms())
        self._phone_hashes = frozenset(hash_user(form) for form in self._phone_forms())
        self._keys: frozenset[str] = frozenset()
        self._values: frozenset[str] = frozenset()
        self._needles = tuple(self._needed())

    def __repr__(self) -> str:
        return f"Person({self.hash[:12]})"

    @property
    def hash(self) -> str:
        """The SHA-256 of what was typed: by it the person is named."""
        return hash_user(self._text)

    def also(self, keys: Collection[str], values: Collection[str]) -> Person:
        """The same person, of whom it is known which keys their users have, and in which forms the identifier was met."""
        known = Person(self._text)
        known._keys = frozenset(keys)
        known._values = frozenset(values)
        known._needles = (*self._needles, *(msgspec.json.encode(key).lower() for key in sorted(known._keys)))
        return known

    def knows(self, mutation: Mutation) -> bool:
        """Whether it is of a user whose key is known (see `also`): then all that there is of this user is theirs."""
        return mutation.user_key in self._keys

    @property
    def rejection_hashes(self) -> frozenset[str]:
        """Under which of `Rejection.user_hash` their rejections may be, as far as the typed text alone tells: that is the hash of
        the user's key, which may be a hash itself, or another identifier."""
        hashed = {self._folded} if _SHA256.fullmatch(self._folded) else set()
        known = self._hashes | self._phone_hashes | hashed
        return known | {hash_user(one) for one in known} | {hash_user(one.upper()) for one in known}

    @property
    def written(self) -> tuple[bytes, ...]:
        """How the identifier stands in clear in encoded messages, in lower case."""
        forms = [*self._forms(), *self._phone_forms(), *sorted(self._keys | self._values)]
        return tuple(dict.fromkeys(msgspec.json.encode(form).lower() for form in forms if not _SHA256.fullmatch(form.lower())))

    def identifiers(self, mutation: Mutation) -> tuple[str, ...]:
        """By which of its identifiers the mutation is theirs; none if it is not."""
        key = mutation.user_key
        found = tuple(name for name, value in mutation.user.items() if self._is(name, value, key))
        if not found and key in self._keys:
            return tuple(name for name, value in mutation.user.items() if value == key)[:1]
        return found

    def values(self, mutation: Mutation) -> set[str]:
        """The forms in which it carries the identifier."""
        return {mutation.user[name] for name in self.identifiers(mutation)}

    def matches(self, mutation: Mutation) -> bool:
        """Whether the mutation is theirs."""
        key = mutation.user_key
        return (key in self._keys and bool(mutation.user)) or any(
            self._is(name, value, key) for name, value in mutation.user.items()
        )

    def may_be_in(self, body: bytes) -> bool:
        """Whether an encoded message can hold a mutation of theirs. Fast, and never wrong where it says no; of a typed SHA-256
        nothing is known beforehand."""
        if self._is_hash:
            return True
        lowered = body.lower()
        if any(needle in lowered for needle in self._needles):
            return True
        return bool(self._digits) and self._digits.encode() in body.replace(_TRUNK.encode(), b"").translate(None, _NO_DIGITS)

    def _is(self, name: str, value: str, key: str) -> bool:
        if value == self._text:
            return True
        folded = value.strip().lower()
        if (self._any_case and folded == self._folded) or folded in self._hashes:
            return True
        if self._is_hash and self._folded in _hashes_of(name, value, folded):
            return True
        if not self._is_phone and value != key:
            return False
        if folded in self._phone_hashes:
            return True
        return bool(self._digits) and name == "phone" and _international(value) == self._digits

    def _forms(self) -> list[str]:
        return list(dict.fromkeys([self._text, self._folded, *([self._text.upper()] if self._is_uuid else [])]))

    def _phone_forms(self) -> list[str]:
        return _written_as(self._digits) if self._digits else []

    def _needed(self) -> Iterator[bytes]:
        """Of which one is in every message of theirs, in lower case."""
        if self._any_case:
            # What is in no case of its own may be written otherwise; what is plain stands there as it is.
            yield max(_PLAIN.findall(self._folded.encode()), key=len, default=b"")
        else:
            yield msgspec.json.encode(self._text).lower()
        yield from (one.encode() for one in self._hashes | self._phone_hashes)


def _international(phone: str) -> str:
    """The digits of a phone number, without the `00` that stands for a `+`."""
    return re.sub(r"[^0-9]", "", phone.replace(_TRUNK, "")).removeprefix("00")


def _written_as(digits: str) -> list[str]:
    return [digits, f"+{digits}", f"00{digits}"]


def _hashes_of(name: str, value: str, folded: str) -> set[str]:
    phone = _written_as(_international(value)) if name == "phone" else []
    return {hash_user(form) for form in (value, folded, *phone)}
