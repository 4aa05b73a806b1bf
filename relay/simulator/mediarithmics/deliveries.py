"""What the platform does with what updates return: rows collected to batches by their grouping key, lines assembled to files."""

from __future__ import annotations

import csv
import io
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from relay.domain.clock import Clock
from relay.simulator.mediarithmics.case_file import Feed
from relay.simulator.mediarithmics.platform import PlatformAnswer

LARGEST_BATCH = 100
OLDEST_S = 0.5
"""A batch is sent when so many rows are together, or so long after the first of them came."""

_LOOK_S = 0.05


class Row(msgspec.Struct, frozen=True):
    """What one update returned for one grouping key. settle: called with the answer to the batch that it was in."""

    contents: tuple[Any, ...]
    settle: Callable[[PlatformAnswer], None]


class Batches:
    """Collects rows, each grouping key's in a thread of its own, so that one that has to be repeated holds up no other.

    send: the platform's call with all of its repetitions
    """

    def __init__(self, send: Callable[[Feed, str, Sequence[Any]], PlatformAnswer], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._lock = threading.Lock()
        self._collectors: dict[tuple[str, str], tuple[queue.Queue[Row | None], threading.Thread]] = {}

    def add(self, feed: Feed, grouping_key: str, row: Row) -> None:
        """To be sent within `OLDEST_S`."""
        with self._lock:
            found = self._collectors.get((feed.id, grouping_key))
            if found is None:
                rows: queue.Queue[Row | None] = queue.Queue()
                thread = threading.Thread(target=self._collect, args=(feed, grouping_key, rows), name="batches", daemon=True)
                found = self._collectors[feed.id, grouping_key] = (rows, thread)
                thread.start()
        found[0].put(row)

    def close(self) -> None:
        """Sends what is together, and returns when all is answered."""
        with self._lock:
            collectors = list(self._collectors.values())
        for rows, _ in collectors:
            rows.put(None)
        for _, thread in collectors:
            thread.join()

    def _collect(self, feed: Feed, grouping_key: str, rows: queue.Queue[Row | None]) -> None:
        while (first := rows.get()) is not None:
            together = [first]
            over = self._clock.monotonic() + OLDEST_S
            last = False
            while not last and sum(len(row.contents) for row in together) < LARGEST_BATCH and self._clock.monotonic() < over:
                try:
                    row = rows.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                if row is None:
                    last = True
                else:
                    together.append(row)
            answer = self._send(feed, grouping_key, [content for row in together for content in row.contents])
            for row in together:
                row.settle(answer)
            if last:
                return


class Files:
    """Lines in the order in which they came, by grouping key: a file each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self.tokens: dict[str, set[str]] = defaultdict(set)
        """Grouping key → the destination tokens that came with its lines."""

    def add(self, grouping_key: str, content: str, destination_token: str) -> None:
        """One line, as it is."""
        with self._lock:
            self._lines[grouping_key].append(content)
            self.tokens[grouping_key].add(destination_token)

    @property
    def contents(self) -> dict[str, bytes]:
        """Grouping key → the whole file."""
        with self._lock:
            return {key: "".join(lines).encode() for key, lines in self._lines.items()}

    @property
    def torn(self) -> list[str]:
        """Files that do not hold exactly one record for each line that came, as a reader of CSV sees them."""
        with self._lock:
            return sorted(
                key
                for key, lines in self._lines.items()
                if sum(1 for _ in csv.reader(io.StringIO("".join(lines), newline=""))) != len(lines)
            )

    def write(self, directory: Path) -> list[Path]:
        """A file for each grouping key; its name is the key with what no file's name can hold left out."""
        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for key, content in sorted(self.contents.items()):
            name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in key)
            path = directory / f"{name}.csv"
            path.write_bytes(content)
            written.append(path)
        return written
