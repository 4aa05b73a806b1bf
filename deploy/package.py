#!/usr/bin/env python3
"""Packs what the functions need into a zip, for uploading it in the browser. Standard library only.

    package.py FILE.zip

What goes in is said by .gcloudignore, which `gcloud run deploy --source` follows, too. It is an allow list: everything at the top
is left out but what a line with '!/' names; the other lines leave out names at any depth. The same content gives the same bytes.
"""

import sys
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_EVERYTHING = "/*"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name."""


def files(root: Path = ROOT) -> list[str]:
    """The files that are uploaded, relative to the root, in order."""
    allowed, left_out = _rules((root / ".gcloudignore").read_text())
    found = (path for name in allowed for path in _below(root / name))
    relative = (path.relative_to(root) for path in found)
    return sorted(
        path.as_posix() for path in relative if not any(fnmatch(part, pattern) for part in path.parts for pattern in left_out)
    )


def pack(target: Path, root: Path = ROOT) -> list[str]:
    """Writes the zip and returns the names of the files in it."""
    names = files(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is made: else the rights below mean nothing
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (root / name).read_bytes())
    return names


def _rules(text: str) -> tuple[list[str], list[str]]:
    """What is allowed at the top, and the patterns of names that are left out within it."""
    lines = [line.strip() for line in text.splitlines()]
    rules = [line for line in lines if line and not line.startswith("#")]
    if not rules or rules[0] != _EVERYTHING:
        raise ValueError(f".gcloudignore must begin with {_EVERYTHING!r}: it is an allow list.")
    allowed = [rule.removeprefix("!/").rstrip("/") for rule in rules if rule.startswith("!/")]
    left_out = [rule.rstrip("/") for rule in rules[1:] if not rule.startswith("!/")]
    if wrong := [rule for rule in (*allowed, *left_out) if "/" in rule or rule.startswith("!")]:
        raise ValueError(f"This line of .gcloudignore is neither a name at the top nor a name at any depth: {wrong[0]}")
    return allowed, left_out


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for each in path.rglob("*"):
        if each.is_file():
            yield each


def main(words: list[str]) -> int:
    """The program. Exit code 2: called wrongly."""
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    names = pack(Path(words[0]))
    print(f"{words[0]}: {len(names)} files, {Path(words[0]).stat().st_size / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
