"""Half an hour of traffic in bad weather: nothing is lost, and nothing grows.

`python -m bench.soak [--minutes 30] [--seed 1]` prints tables and writes `bench/results/soak.json`. It exits with 1 when anything
is lost or anything is not flat at the end.

The time is divided into three parts, each with random trouble (the partner's faults, processes that are killed, ended and frozen,
switches) and a calm at its end, in which everything that waits is delivered. What the processes hold then is compared: the end of
the third part with the end of the second. One receiver and one worker live from the first part to the end, so that whatever they
keep shows; a second worker is ended again and again.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.processes import use_of
from bench.tables import print_table, write_results
from bench.weather import STEADY, Weather
from tests.end_to_end.changing_dmp import ChangingDmp
from tests.end_to_end.stack import Stack, eventually

AUDIENCES = [f"soak.{number}" for number in range(6)]
USERS = 10
PAUSE_S = 0.15
"""Of each of the DMP's threads between its requests: some fifteen requests a second in all."""

CALM_S = 10.0
CALM_WITHIN_S = 180.0
WATCHED = ("receiver", STEADY)

ROWS_KEPT_BY_AGE = ("attempts", "counters", "latencies", "daily_counters", "daily_latencies", "audit")
"""They grow until their age is reached, whatever happens; their number is shown, and their room is not held against the rest."""


class Limit(msgspec.Struct, frozen=True):
    """How much more than at the end of the second part something may be: by a share of it, and by an amount."""

    share: float
    amount: float


LIMITS: dict[str, Limit] = {
    "MiB": Limit(0.10, 4.0),
    "handles": Limit(0.0, 6.0),
    "threads": Limit(0.0, 3.0),
    "queue": Limit(0.0, 0.0),
    "database MiB": Limit(0.10, 1.0),
    "log of writes MiB": Limit(0.10, 4.0),
}


class Soak:
    """One run."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._seed = seed

    def run(self, minutes: float) -> tuple[dict[str, dict[str, float]], list[str]]:
        """What there was at the end of each part, by what was measured; and what is wrong."""
        self._stack.start()
        self._stack.start_second_worker()
        dmp = ChangingDmp(self._stack, AUDIENCES, self._seed, users=USERS, pause_s=PAUSE_S)
        weather = Weather(self._stack, AUDIENCES, self._seed)
        parts: list[dict[str, float]] = []
        began = time.monotonic()
        try:
            for number in (1, 2, 3):
                weather.bad(began + number * minutes * 20, receiver_too=number == 1)
                print(f"part {number} of 3: {dmp.accepted:,} requests accepted", flush=True)
                parts.append(self._calm())
        finally:
            dmp.stop()
        for audience in AUDIENCES:
            dmp.send(audience, ["the-last-one"], joins=True)
        wrong = self._lost(dmp)
        rows = {name: {f"part {number}": part[name] for number, part in enumerate(parts, 1)} for name in parts[0]}
        self._show(dmp, weather, rows)
        return rows, wrong + not_flat(rows)

    def _calm(self) -> dict[str, float]:
        """The traffic goes on, and nothing disturbs it. What waits is asked for, as an operator may, since a probe can be minutes
        away."""
        give_up_at = time.monotonic() + CALM_WITHIN_S
        while self._stack.backend.audiences.held() or self._queued():
            self._stack.backend.audiences.make_due("pangolin")
            time.sleep(1.0)
            assert time.monotonic() < give_up_at, f"Something still waits after {CALM_WITHIN_S:g} s of calm."
        samples = []
        ends_at = time.monotonic() + CALM_S
        while time.monotonic() < ends_at:
            samples.append(self._sample())
            time.sleep(0.5)
        return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}

    def _sample(self) -> dict[str, float]:
        sample: dict[str, float] = {}
        for name, shown in zip(WATCHED, ("receiver", "worker"), strict=True):
            use = use_of(self._stack.processes[name].pid)
            sample |= {f"{shown}: MiB": use.memory_mib, f"{shown}: handles": use.handles, f"{shown}: threads": use.threads}
        database = self._stack.state / "relay.db"
        sample["queue"] = self._queued()
        sample["database MiB"] = _used_mib(database)
        sample["log of writes MiB"] = database.with_name("relay.db-wal").stat().st_size / 2**20
        return sample

    def _queued(self) -> int:
        """Messages beyond the one that each audience may have in hand."""
        depth = self._stack.backend.queue.depth()
        return max(0, (depth.messages if depth else 0) - len(AUDIENCES))

    def _lost(self, dmp: ChangingDmp) -> list[str]:
        """What is not at the partner as it was accepted, or waits where it should not."""
        stack = self._stack
        eventually(lambda: all("the-last-one" in stack.members(audience) for audience in AUDIENCES), within_s=CALM_WITHIN_S)
        eventually(stack.drained, within_s=CALM_WITHIN_S)
        wrong = [
            f"{audience}: {len(differing)} users differ at the partner"
            for audience in AUDIENCES
            if (differing := stack.members(audience) ^ dmp.members(audience))
        ]
        if rejections := stack.backend.reports.rejections():
            wrong.append(f"{len(rejections)} rejections, though the partner refused nobody")
        events = ("message_crashed", "turn_failed", "turn_ended")
        wrong += [f"the log has {event}" for event in events if f'"{event}"' in stack.outputs()]
        return wrong

    def _show(self, dmp: ChangingDmp, weather: Weather, rows: dict[str, dict[str, float]]) -> None:
        print(f"\n{dmp.accepted:,} requests accepted, {dmp.changes_of_mind:,} changes of mind")
        print("; ".join(f"{number} x {what}" for what, number in sorted(weather.happened.items())))
        print("\nAt the end of each part")
        print_table(rows)
        with sqlite3.connect(self._stack.state / "relay.db") as connection:
            kept = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for table in ROWS_KEPT_BY_AGE
            }
        print("\nrows kept by their age: " + ", ".join(f"{number:,} {table}" for table, number in kept.items()))


def not_flat(rows: dict[str, dict[str, float]]) -> list[str]:
    """What is more at the end of the third part than it may be, by the second."""
    wrong = []
    for name, row in rows.items():
        limit = LIMITS[name.rpartition(": ")[2]]
        most = row["part 2"] * (1 + limit.share) + limit.amount
        if row["part 3"] > most:
            wrong.append(f"{name} grows: {row['part 2']:.1f} at the end of part 2, {row['part 3']:.1f} at the end")
    return wrong


def _used_mib(database: Path) -> float:
    """What is in use of the file, and not only free for what comes."""
    with sqlite3.connect(database) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    connection.close()
    return float((pages - free) * size / 2**20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            rows, wrong = Soak(stack, arguments.seed).run(arguments.minutes)
        finally:
            stack.stop()
    write_results("soak", rows)
    for sentence in wrong:
        print(sentence)
    print("not fine" if wrong else "nothing lost, nothing grows")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
