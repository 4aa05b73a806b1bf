"""`python -m tests.simulation.mutants [WORD…]`: the table, of all mechanisms or of those with one of these words."""

from __future__ import annotations

import sys
import time

from tests.simulation.mutants import MUTANTS, notice


def main() -> int:
    """The table; 1 if a mechanism can be taken away and nobody notices."""
    survived = 0
    chosen = [one for one in MUTANTS if not sys.argv[1:] or any(word in one for word in sys.argv[1:])]
    print(f"{'without':<64} {'noticed by':<70} {'runs':>5}  {'s':>5}  how")
    for mechanism in chosen:
        began = time.monotonic()
        noticed = notice(mechanism)
        took = time.monotonic() - began
        survived += noticed is None
        by, runs, how = noticed or ("NOBODY", 0, "")
        print(f"{mechanism:<64} {by[:70]:<70} {runs:>5}  {took:>5.1f}  {how[:70]}", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
