"""Programs that other processes run against the place that their environment names:
`python -m tests.contract.backends.processes NAME …`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from relay.backends import open_backend
from relay.backends.interfaces import Backend, PullQueue
from relay.configuration import read
from relay.domain.audience import Waiting
from relay.domain.connector import RateLimits
from relay.domain.errors import NotFound, StoreUnavailable, TurnLost
from relay.domain.outcome import Rejection
from tests.contract.backends.given import message, request


def publish(backend: Backend, name: str, number: str, keys: str) -> None:
    """Publishes so many messages over so many keys, each confirmed before the next."""
    for index in range(int(number)):
        backend.queue.publish([message(f"a.{index % int(keys)}", request_id=f"{name}-{index}")])


def publish_until_killed(backend: Backend, name: str) -> None:
    """Publishes as the receiver does, and prints what was confirmed."""

    async def run() -> None:
        publisher = backend.publisher()

        async def requests(lane: int) -> None:
            index = 0
            while True:
                request_id = f"{name}-{lane}-{index}"
                await publisher.publish([message(f"a.{lane}", request_id=request_id)])
                os.write(1, f"{request_id}\n".encode())
                index += 1

        await asyncio.gather(*(requests(lane) for lane in range(8)))

    asyncio.run(run())


def handle(backend: Backend, journal: str, total: str) -> None:
    """Handles messages and notes begin and end of each in the journal, until it has so many ends."""
    assert isinstance(backend.queue, PullQueue)
    with open(journal, "ab", buffering=0) as file:
        while Path(journal).read_bytes().count(b"end ") < int(total):
            leased = backend.queue.take()
            if leased is None:
                time.sleep(0.002)
                continue
            file.write(f"begin {leased.key} {leased.position}\n".encode())
            file.write(f"end {leased.key} {leased.position}\n".encode())
            assert backend.queue.acknowledge(leased)


def take_and_wait(backend: Backend) -> None:
    """Takes one message, says so, and never ends."""
    assert isinstance(backend.queue, PullQueue)
    leased = backend.queue.take()
    assert leased is not None
    os.write(1, b"taken\n")
    time.sleep(3_600)


def join(backend: Backend, name: str, number: str) -> None:
    """Begins so many turns of one audience, and joins a batch in each."""
    for index in range(int(number)):
        turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id=f"{name}-{index}")
        try:
            backend.audiences.join(turn, message("a.1", f"{name}-{index}"), request())
        except Exception as error:
            print("lost", type(error).__name__, flush=True)
        else:
            print("joined", turn.number, flush=True)


def admit(backend: Backend, number: str) -> None:
    """Asks so many times for a call, at most 10 a day, and prints how many were admitted."""
    rate = RateLimits(calls=10, per_s=86_400)
    print(sum(backend.connectors.admit("pangolin", rate, items=1) == 0 for _ in range(int(number))), flush=True)


def hold_and_lift(backend: Backend, name: str, number: str) -> None:
    """So many times one of: a batch joins the hold, a turn settles what waits, an operator drops some of it. Prints each batch
    with what became of it, once that is certain."""
    chance = random.Random(name)
    for index in range(int(number)):
        time.sleep(chance.uniform(0, 0.2))  # no queue hands out one audience's messages all the time to everybody
        what = chance.choice(["join", "join", "join", "settle", "drop"])
        message_id = f"{name}-{index}"
        taken: list[Waiting] = []
        try:
            if what == "drop":
                dropped: list[str] = []

                def reject(batches: Sequence[Waiting], into: list[str] = dropped) -> list[Rejection]:
                    into[:] = [batch.message_id for batch in batches]
                    return []

                if backend.audiences.drop("pangolin", "a.1", older_than=None, limit=2, reject=reject):
                    print(*(f"dropped {one}" for one in dropped), sep="\n", flush=True)
                continue
            turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id=message_id)
            if what == "join":
                print("joining", message_id, flush=True)
                backend.audiences.join(turn, message("a.1", message_id), request())
                print("joined", message_id, flush=True)
                continue
            taken = backend.audiences.waiting(turn, max_items=3, max_bytes=10**9)
            rest = taken[1:2] if chance.random() < 0.3 else []
            backend.audiences.settle(turn, taken=taken, rest=rest, request=None, progress=True)
            for batch in taken:
                if batch not in rest:
                    print("settled", batch.message_id, flush=True)
        except (TurnLost, NotFound):
            continue
        except StoreUnavailable:
            # Too many wanted the same record: a message comes again, an operator tries again. What was being settled may be.
            print(*(f"unsure {batch.message_id}" for batch in taken), sep="\n", flush=True)


PROGRAMS = {
    program.__name__: program
    for program in (publish, publish_until_killed, handle, take_and_wait, join, hold_and_lift, admit)
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](open_backend(read()), *sys.argv[2:])
