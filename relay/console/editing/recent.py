"""A user of whom a change is kept, to try a mapping with: mapped here as they are, and shown by shapes only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from relay.connectors.live import live
from relay.console.editing.opened import Opened
from relay.console.editing.sampling import Sample, made_up, sample_from
from relay.console.parts import backend, configuration, now, visitor
from relay.console.wording import relative
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError, Conflict, NotFound
from relay.operating.kept_changes import KeptChange, Place, kept_change, the_same_change

_MADE_UP = "The made-up user is shown."


def chosen_sample(opened: Opened, form: Mapping[str, str], connector: Connector | None, *, name: str = "") -> Sample:
    """The user that the form asks for: one that was typed, one of whom a change is kept, or the made-up one. name: of the running
    connector whose changes are meant; the document's own, unless given."""
    name = name or opened.document
    if form.get("do") == "recent":
        return _newest(name)
    if form.get("sample", "").strip() or not form.get("recent") or form.get("do") == "made_up":
        return sample_from("" if form.get("do") == "made_up" else form.get("sample", ""), connector)
    return _again(name, form["recent"])


def _newest(name: str) -> Sample:
    try:
        if not name:
            raise Conflict("Nothing of this connector has run yet, so no change of it is kept.")
        found = kept_change(backend(), live(backend().connectors, name), now=now(), journal=configuration().backend != "google")
    except NotFound:
        return _none(f"No version of {name} runs, so no change of it is kept.")
    except (Conflict, ConfigurationError) as error:
        return _none(str(error))
    backend().audit.add(by=visitor().name, what="try with a kept change", subject=name, detail=f"from the {found.where}, masked")
    return _sample(found)


def _again(name: str, place: str) -> Sample:
    try:
        found = the_same_change(backend(), live(backend().connectors, name), msgspec.json.decode(place, type=Place))
    except (NotFound, ConfigurationError, msgspec.MsgspecError):
        found = None
    return _sample(found) if found else _none("The change that was shown is not kept any more.")


def _sample(found: KeptChange) -> Sample:
    way = "joined" if found.mutation.direction == "joined" else "left"
    kept = "waits in a hold" if found.where == "hold" else "is in the journal"
    about = f"Somebody who {way} an audience {relative(found.at, now())}; the change {kept}. Shown masked, and mapped as it is."
    return Sample(found.mutation, place=msgspec.json.encode(found.place).decode(), about=about)


def _none(why: str) -> Sample:
    return Sample(made_up().user, problem=f"{why} {_MADE_UP}")
