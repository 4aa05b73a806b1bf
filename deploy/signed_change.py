#!/usr/bin/env python3
"""signed_change.py URL: one test user joins one test audience of the connector at URL, signed as the DMP signs.

The secret is in SIMULATE_HMAC_SECRET, so that it is on no command line. Exit code 1: it was not accepted.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from relay import configuration
from relay.simulator import marked
from relay.simulator.dmp import Change, Dmp


def main(words: list[str]) -> int:
    """The program. Exit code 2: called wrongly."""
    secret = configuration.read().simulate_hmac_secret
    if len(words) != 1 or not secret:
        print(__doc__, file=sys.stderr)
        return 2
    dmp = Dmp(words[0], secret)
    answer = dmp.change("joined", [Change(marked.AUDIENCE.id, marked.users(1)[0])])
    dmp.close()
    if not answer.accepted:
        print(f"It answers {answer.status}: {answer.error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
