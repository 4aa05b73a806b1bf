"""`python -m bench [PART …] [--check | --commit]`: every part beside its floor, in one run.

Prints tables and ratios, and writes `bench/results/PART.json`. `--check` exits with 1 where a ratio is more than 15 % worse than
the committed one (`bench/ratios.json`); `--commit` writes that file. It needs Linux, and for `cold` and half of `edge` Google's
emulators (gcloud with its components, Java); with Node.js and npm there is a peer more.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence

from bench.figures import Found, read_committed, show, write_committed

PARTS = ("edge", "cold", "deliver", "end_to_end", "scale")


def main(given: Sequence[str] | None = None) -> int:
    """See the module. given: the arguments, unless they are the command's own. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures ours beside its floor, part by part.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--rounds", type=int, default=5, help="alternations of ours and the floor; the median counts")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--check", action="store_true", help="exits with 1 where a ratio has dropped by more than 15 percent")
    kept.add_argument("--commit", action="store_true", help="writes the ratios that --check compares with")
    arguments = parser.parse_args(given)
    if arguments.rounds < 1:
        parser.error("there is at least one round")
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    committed = read_committed()
    found: dict[str, Found] = {}
    dropped: list[str] = []
    for part in arguments.parts or PARTS:
        began = time.monotonic()
        print(f"\n== {part}", flush=True)
        found[part] = importlib.import_module(f"bench.{part}").measure(arguments.rounds)
        dropped += show(part, found[part], committed.get(part, {}))
        print(f"  {time.monotonic() - began:.0f} s")
        if arguments.commit:
            write_committed({part: found[part]})  # at once: a later part may not come to its end
    missed = [f"{part}: {ratio.name}" for part, each in found.items() for ratio in each.ratios if not ratio.holds]
    print(f"\n{len(missed)} of {sum(len(each.ratios) for each in found.values())} ratios miss their bar", *missed, sep="\n  ")
    missing = sum(len(committed.get(part, {}).keys() - {one.name for one in each.ratios}) for part, each in found.items())
    if arguments.check and missing:
        print(f"\n{missing} of the committed ratios were not measured")
    if arguments.check and (new := [part for part in found if part not in committed]):
        print(f"\nNothing was committed to compare with: {', '.join(new)}")
    if arguments.check and dropped:
        print("\nDropped by more than 15 percent:", *dropped, sep="\n  ")
    return 1 if arguments.check and dropped else 0


if __name__ == "__main__":
    sys.exit(main())
