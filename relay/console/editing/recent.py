"""A user of whom a change is kept, to try a mapping with: mapped here as they are, and shown by shapes only."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

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
        return _newest(opened, name)
    if form.get("sample", "").strip() or not form.get("recent") or form.get("do") == "made_up":
        return sample_from("" if form.get("do") == "made_up" else form.get("sample", ""), connector)
    return _again(opened, name, form["recent"])


def _newest(opened: Opened, name: str) -> Sample:
    try:
        if not name:
            raise Conflict("Nothing of this connector has run yet, so no change of it is kept.")
        found = kept_change(backend(), live(backend().connectors, name), now=now(), journal=_journal())
    except NotFound:
        return _none(f"No version of {name} runs, so no change of it is kept.")
    except (Conflict, ConfigurationError) as error:
        return _none(str(error))
    detail = f"{found.place.request}, change {found.place.index}, from the {found.where}, masked"
    backend().audit.add(by=visitor().name, what="try with a kept change", subject=name, detail=detail)
    return _sample(opened, name, found)


def _again(opened: Opened, name: str, offered: str) -> Sample:
    try:
        place = _offers(opened, name).loads(offered)
        found = the_same_change(
            backend(), live(backend().connectors, name), msgspec.convert(place, Place), journal=_journal()
        )
    except (NotFound, ConfigurationError, BadData):
        found = None
    return _sample(opened, name, found) if found else _none("The change that was shown is not kept any more.")


def _offers(opened: Opened, name: str) -> URLSafeSerializer:
    """Signs the place of a change, so that only one whose offer is in the audit log is tried again, by whom it was offered to, in
    the same draft: who could name any place would learn of anybody what an expression tells, and leave no trace."""
    offered = msgspec.json.encode(["kept change", opened.draft.key, name, visitor().name])
    return URLSafeSerializer(current_app.secret_key or "", salt=offered)


def _journal() -> bool:
    """Whether it can be read while somebody waits."""
    return configuration().backend != "google"


def _sample(opened: Opened, name: str, found: KeptChange) -> Sample:
    way = "joined" if found.mutation.direction == "joined" else "left"
    kept = "waits in a hold" if found.where == "hold" else "is in the journal"
    about = f"Somebody who {way} an audience {relative(found.at, now())}; the change {kept}. Shown masked, and mapped as it is."
    place = _offers(opened, name).dumps(msgspec.to_builtins(found.place))
    return Sample(found.mutation, place=place if isinstance(place, str) else place.decode(), about=about)


def _none(why: str) -> Sample:
    return Sample(made_up().user, problem=f"{why} {_MADE_UP}")
