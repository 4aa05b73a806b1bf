"""The step "mapping": fields of a sample beside those of the partner, and what each becomes."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response as FlaskResponse
from flask import flash, jsonify, request
from msgspec.structs import replace
from werkzeug.wrappers import Response

from relay.console.editing.acting import actions_of
from relay.console.editing.fields import field_id
from relay.console.editing.mapping_form import (
    ShownActionMapping,
    asked_field,
    direction_of,
    mapping_of,
    shown_mappings,
    with_mappings,
    with_same_mapping,
)
from relay.console.editing.opened import Opened, open_draft, save
from relay.console.editing.recent import chosen_sample
from relay.console.editing.sampling import Sample, made_up, results_of, row_of, sources_of
from relay.console.editing.steps import of_step
from relay.console.editing.unpublished import connector_to_ask, pure_adapter
from relay.console.pages.edit import trying
from relay.console.pages.edit.blueprint import following, page, pages, to_step
from relay.console.parts import now
from relay.console.roles import needs
from relay.domain.connector import Connector
from relay.domain.errors import DocumentError


def show(
    opened: Opened, sample: Sample | None = None, *, asked_options: tuple[str, trying.Offered] | None = None
) -> str:
    """asked_options: the beginning of a field's inputs, and the values that the partner offers for it."""
    chosen = sample or made_up()
    return page(
        "edit_mapping.html",
        opened,
        "mapping",
        actions=tried(opened, chosen),
        sample=chosen,
        sources=sources_of(chosen),
        asked_options=asked_options,
    )


def take(opened: Opened) -> Response | str:
    opened = save(opened, with_mappings(opened, request.form))
    does, _, what = request.form.get("do", "next").partition(":")
    if does == "options" and (field := asked_field(opened, what)):
        found = trying.options(opened, field.name, is_setting=False)
        return show(opened, _sample(opened, request.form), asked_options=(what, found))
    if does == "same" and what.isascii() and what.isdigit():
        unfinished, like = with_same_mapping(opened, int(what))
        if like:
            flash(f"It is mapped as {like} is.")
        return to_step(save(opened, unfinished), "mapping", anchor=field_id(f"actions[{what}].mapping"))
    if does in ("try", "recent", "made_up"):
        return show(opened, _sample(opened, request.form))
    if does == "next" and not of_step("mapping", opened.problems()):
        return to_step(opened, following("mapping"))
    return to_step(opened, "mapping", checked=True)


@pages.post("/edit/<draft>/mapping/try")
@needs("admin")
def tried_mapping(draft: str) -> FlaskResponse:
    """What is typed at this moment gives for the sample, for the page's script; nothing is kept."""
    opened = open_draft(draft)
    opened = opened._replace(unfinished=with_mappings(opened, request.form))
    sample = _sample(opened, request.form)
    actions = tried(opened, sample)
    fields = {
        one.id: {"value": one.result.value, "problem": one.result.problem or " ".join(one.problems), "note": one.result.note}
        for action in actions
        for one in action.fields
    }
    rows = {action.id: {"sent": action.row.sent, "problem": action.row.problem} for action in actions}
    return jsonify({"fields": fields, "rows": rows, "sample": sample.problem})


def tried(opened: Opened, sample: Sample) -> list[ShownActionMapping]:
    """All mappings, with what they make of the sample."""
    adapter = pure_adapter(opened)
    written = actions_of(opened.unfinished)
    rule = opened.description.email_rule if opened.description else ""
    shown = []
    for action in shown_mappings(opened):
        one = written[action.index]
        mapping, direction = mapping_of(one), direction_of(one)
        results = results_of(mapping, action.operation, sample, rule, direction, now=now())
        fields = tuple(replace(field, result=results.get(field.name, field.result)) for field in action.fields)
        row = row_of(mapping, action.operation, sample, adapter, direction, now=now()) if adapter else action.row
        shown.append(replace(action, fields=fields, row=row))
    return shown


def _sample(opened: Opened, form: Mapping[str, str]) -> Sample:
    return chosen_sample(opened, form, connector_or_none(opened))


def connector_or_none(opened: Opened) -> Connector | None:
    """With its inbound part, by which a user is read."""
    try:
        return connector_to_ask(opened)
    except DocumentError:
        return None
