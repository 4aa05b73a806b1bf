"""Runs gcloud so that it makes its parser once, and not twice for each command that `gcloud meta lint-gcloud-commands` judges.

Run by gcloud's own Python, in front of gcloud.py: CLOUDSDK_PYTHON_ARGS names it. One parser takes many commands in `gcloud
interactive` as well.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> int:
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    gcloud: Any = import_module("gcloud")
    parsers: Any = import_module("googlecloudsdk.gcloud_main")
    make = parsers.CreateCLI
    made: list[Any] = []

    def create(*words: Any, **named: Any) -> Any:
        if len(made) < 2:  # the first one takes the command that asks
            made.append(make(*words, **named))
        return made[-1]

    parsers.CreateCLI = create
    code: int = gcloud.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
