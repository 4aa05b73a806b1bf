"""One POST of 50,000 mutations (about 5 MB), beside the floor: the same bytes hashed and parsed in this process.

`python -m bench.bulk [--rounds 5]` prints a table and writes `bench/results/bulk.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import tempfile
import time
from pathlib import Path

import msgspec

from bench.tables import print_table, spread, write_results
from tests.end_to_end.stack import HMAC_SECRET, Stack, eventually

MUTATIONS = 50_000


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds: `answer` (POST to 200), `delivered` (POST to the last member at the partner), `floor`."""
    answer, delivered, floor = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            stack.start()
            for number in range(rounds):
                audience = f"bulk.{number}"
                users = [f"user-{one:08d}-{'x' * 30}" for one in range(MUTATIONS)]
                body = {"Mutations": [{"Audience": audience, "User": user} for user in users]}
                raw = msgspec.json.encode(body)
                began = time.monotonic()
                hmac.new(HMAC_SECRET.encode(), raw, hashlib.sha1).hexdigest()
                msgspec.json.decode(raw)
                floor.append((time.monotonic() - began) * 1000)
                began = time.monotonic()
                assert stack.post("ADD_TO_AUDIENCE", body, timeout=60).status_code == 200
                answer.append((time.monotonic() - began) * 1000)
                eventually(stack.drained, within_s=300)
                delivered.append((time.monotonic() - began) * 1000)
                assert stack.size(audience) == MUTATIONS
        finally:
            stack.stop()
    return {"answer": spread(answer), "delivered": spread(delivered), "floor": spread(floor)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    results = measure(parser.parse_args().rounds)
    print(f"One POST of {MUTATIONS:,} mutations, milliseconds")
    print_table(results)
    print(f"median answer: {results['answer']['p50']:.0f} ms (aim: within 1,000 ms on an idle machine)")
    write_results("bulk", results)


if __name__ == "__main__":
    main()
