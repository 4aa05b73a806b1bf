"""From POST to member at the partner, at a steady rate, beside the floor: the same user posted straight to the partner.

`python -m bench.end_to_end [--rate 20] [--seconds 15]` prints a table and writes `bench/results/end_to_end.json`.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.tables import print_table, spread, write_results
from tests.end_to_end.stack import Stack, eventually

AUDIENCE = "bench.1"


def measure(rate: float, seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds: `answer` (POST to 200), `member` (POST to member), `floor` (one call straight to the partner)."""
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            stack.start()
            stack.change(AUDIENCE, ["first"])
            eventually(lambda: stack.members(AUDIENCE) == {"first"})
            partner_id = _partner_id(stack)
            began, answered, seen = dict[str, float](), dict[str, float](), dict[str, float]()
            done = threading.Event()

            def watch() -> None:
                after = ""
                while not done.is_set():
                    page = stack.pangolin("GET", f"/api/audiences/{partner_id}/users?limit=10000&after={after}")
                    now = time.monotonic()
                    for user in page["users"]:
                        seen.setdefault(user["id"], now)
                        after = max(after, user["id"])
                    time.sleep(0.002)

            def post(user: str) -> None:
                began[user] = time.monotonic()
                assert stack.change(AUDIENCE, [user]).status_code == 200
                answered[user] = time.monotonic()

            watcher = threading.Thread(target=watch)
            watcher.start()
            start = time.monotonic()
            with ThreadPoolExecutor(16) as pool:
                for number in range(int(rate * seconds)):
                    time.sleep(max(0.0, start + number / rate - time.monotonic()))
                    pool.submit(post, f"user-{number:08d}")
            eventually(lambda: len([user for user in seen if user in answered]) == len(answered))
            done.set()
            watcher.join()
            floor = [_floor(stack, partner_id, number) for number in range(100)]
            return {
                "answer": spread([(answered[user] - began[user]) * 1000 for user in answered]),
                "member": spread([(seen[user] - began[user]) * 1000 for user in answered]),
                "floor": spread(floor),
            }
        finally:
            stack.stop()


def _partner_id(stack: Stack) -> str:
    audience = stack.backend.audiences.get("pangolin", AUDIENCE)
    assert audience is not None
    partner_id: str | None = audience.partner_id
    assert partner_id is not None
    return partner_id


def _floor(stack: Stack, partner_id: str, number: int) -> float:
    began = time.monotonic()
    stack.pangolin("POST", f"/api/audiences/{partner_id}/users", users=[{"id": f"floor-{number}"}])
    return (time.monotonic() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    results = measure(arguments.rate, arguments.seconds)
    print(f"From POST to member, {arguments.rate:g} requests a second for {arguments.seconds:g} s, milliseconds")
    print_table(results)
    print(f"median from POST to member: {results['member']['p50']:.0f} ms (aim: under 250 ms)")
    write_results("end_to_end", results)


if __name__ == "__main__":
    main()
