"""Programs that other processes run against the place that their environment names:
`python -m tests.contract.backends.processes NAME …`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import read
from relay.domain.connector import RateLimits
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


PROGRAMS = {program.__name__: program for program in (publish, publish_until_killed, handle, take_and_wait, join, admit)}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](open_backend(read()), *sys.argv[2:])
