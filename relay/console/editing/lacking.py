"""What a draft lacks before it can run, said for the console: where it is mended, and no command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from relay.console.editing.steps import ENVIRONMENTS, anchor_of

_COMMAND = re.compile(r": diy [a-z]+ .*$")
_PLACE = re.compile(r"\(`((?:settings|secrets)\.[A-Za-z0-9_.-]+)`\)")


class Lacking(NamedTuple):
    """Something that is missing.

    names        the connectors that miss it
    step         where it is mended, with the place in that page; empty: elsewhere
    environment  of the page of environments
    """

    sentence: str
    names: tuple[str, ...]
    step: str
    anchor: str
    environment: str = ""


def lacking_of(sentences: Mapping[str, Iterable[str]]) -> list[Lacking]:
    """Of sentences of `connectors.completeness`, with the names of the connectors that each is about."""
    return [_lacking(sentence, tuple(names)) for sentence, names in sentences.items()]


def without_command(sentence: str) -> str:
    """The same without the command that helps at the command line, which it may end with."""
    without = _COMMAND.sub("", sentence)
    return sentence if without == sentence else f"{without.removesuffix('.')}."


def _lacking(sentence: str, names: tuple[str, ...]) -> Lacking:
    said = without_command(sentence)
    found = _PLACE.search(sentence)
    of_secret = bool(_COMMAND.search(sentence)) or (found is not None and found[1].startswith("secrets."))
    if not of_secret and found is None:
        return Lacking(said, names, "actions" if sentence.startswith("No action") else "", "")
    anchor = "secrets" if of_secret or found is None else anchor_of(found[1])
    if all("@" in name for name in names) and of_secret:
        return Lacking(said, names, ENVIRONMENTS, anchor, names[0].partition("@")[2])
    return Lacking(said, names, "configure", anchor)
