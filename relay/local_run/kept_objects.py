"""What Cloud Storage keeps in one bucket, and its rules, in memory: Google has no emulator of it. `relay.local_run.cloud_storage`
serves it.

Names, contents and their meaning are those of https://cloud.google.com/storage/docs/json_api/v1/objects, in as far as a bucket
without versions of objects and without a time in which deleted ones can be brought back is concerned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import msgspec

_LARGEST_PAGE = 1_000


class Refused(Exception):
    """The service answers with this HTTP status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Shown(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An object as the service describes it: numbers as text."""

    bucket: str
    name: str
    generation: str
    size: str
    time_created: str
    kind: str = "storage#object"
    custom_time: str | None = None


class Listing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One page of a list."""

    items: tuple[Shown, ...]
    next_page_token: str = ""
    kind: str = "storage#objects"


class KeptObjects:
    """The objects of one bucket. Safe for several threads."""

    def __init__(self, bucket: str, now: Callable[[], datetime]) -> None:
        """now: aware of its time zone."""
        self.bucket = bucket
        self._now = now
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Shown, bytes]] = {}
        self._changes = 0

    def list(self, *, prefix: str, start: str, size: int, token: str) -> Listing:
        """By name. token: the last name of the page before."""
        with self._lock:
            names = sorted(name for name in self._kept if name.startswith(prefix) and name >= start and name > token)
            size = min(size or _LARGEST_PAGE, _LARGEST_PAGE)
            page = tuple(self._kept[name][0] for name in names[:size])
            return Listing(page, page[-1].name if len(names) > size else "")

    def get(self, name: str, *, generation: str = "") -> tuple[Shown, bytes]:
        """generation: empty for whatever is there."""
        with self._lock:
            found = self._kept.get(name)
            if found is None or generation not in ("", found[0].generation):
                raise Refused(404, f"No such object: {self.bucket}/{name}")
            return found

    def put(self, name: str, content: bytes, *, if_generation: str = "", custom_time: str | None = None) -> Shown:
        """if_generation: only in place of this one; "0": only where there is none; empty: whatever is there."""
        with self._lock:
            self._expect(name, if_generation)
            self._changes += 1
            shown = Shown(
                bucket=self.bucket,
                name=name,
                generation=str(self._changes),
                size=str(len(content)),
                time_created=self._now().isoformat().replace("+00:00", "Z"),
                custom_time=custom_time,
            )
            self._kept[name] = (shown, content)
            return shown

    def delete(self, name: str, *, if_generation: str = "") -> None:
        """if_generation: only this one; empty: whatever is there."""
        with self._lock:
            if name not in self._kept:
                raise Refused(404, f"No such object: {self.bucket}/{name}")
            self._expect(name, if_generation)
            del self._kept[name]

    def _expect(self, name: str, generation: str) -> None:
        there = self._kept[name][0].generation if name in self._kept else "0"
        if generation not in ("", there):
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")
