"""The step "test": the exact requests that would be sent; and questions to the partner by an unfinished document."""

from __future__ import annotations

from typing import NamedTuple

from flask import request
from werkzeug.wrappers import Response

from adapters.contract import Option
from adapters.registry import describe
from relay.connectors.completeness import in_a_row, missing_secrets
from relay.connectors.drafts import connectors_of
from relay.connectors.secret_names import partner_secret_names
from relay.console.editing.opened import Opened
from relay.console.editing.sampling import Sample, made_up, sample_from
from relay.console.editing.unpublished import addresses, connector_to_ask, partners
from relay.console.pages.edit.blueprint import page
from relay.console.parts import backend, now, parts, visitor
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, DocumentError, PartnerError
from relay.health.asking import require_may_call
from relay.operating.checking import check_credentials
from relay.operating.direct_test import TEST_AUDIENCE_NAME, Tried, send_test, why_not_to_send
from relay.operating.previewing import PreviewedStep, previewed


class Answer(NamedTuple):
    """What the partner said of the credentials. `style`: how the page shows it."""

    sentence: str
    style: str


class Offered(NamedTuple):
    """The values that the partner offers for a field; or why there are none."""

    options: list[Option]
    problem: str = ""


def check(opened: Opened) -> Answer:
    """Asks the partner whether it accepts the credentials that are stored under the draft's names."""
    try:
        return _check(connector_to_ask(opened))
    except DocumentError as error:
        return Answer(f"The partner was not asked: {error}", "warning")


def options(opened: Opened, field: str) -> Offered:
    """Asks the partner what this setting can be, given those that are there."""
    try:
        connector = connector_to_ask(opened, asked=field)
        description = describe(connector.adapter, connector.settings)
        if description and (lacking := list(missing_secrets(connector, description, backend().secrets))):
            return Offered([], f"The partner cannot be asked yet. {in_a_row(lacking)}")
        require_may_call(backend(), connector.name, now())
        _note("ask partner by draft", connector)
        found = partners().open_unfinished(connector).options(field, connector.settings)
    except (DocumentError, Conflict) as error:
        return Offered([], f"The partner was not asked: {error}")
    except PartnerError as error:
        return Offered([], f"The partner did not say: {error.hint}")
    return Offered(found, "" if found else "The partner offers no value.")


def show(
    opened: Opened,
    sample: Sample | None = None,
    *,
    chosen: Connector | None = None,
    answer: Answer | None = None,
    tested: list[Tried] | None = None,
) -> str:
    """sample: the user that was typed. chosen: which of the document's connectors; the first, unless given."""
    user = sample or made_up()
    connectors, problems = connectors_of(opened.unfinished, describe)
    connector = chosen or (connectors[0] if connectors else None)
    found: list[PreviewedStep] = []
    trouble = why_not = ""
    if connector:
        try:
            found = previewed(connector, user.user, partners().open_for_preview(connector), now=now())
        except PartnerError as error:
            trouble = error.hint
        why_not = why_not_to_send(connector, describe(connector.adapter, connector.settings), backend())
    return page(
        "edit_test.html",
        opened,
        "test",
        problems=problems,
        sample=user,
        found=found,
        trouble=trouble,
        valid=connector is not None,
        connectors=[one.name for one in connectors],
        chosen=connector.name if connector else "",
        can_send=bool(connector) and not why_not,
        why_not=why_not,
        test_audience=TEST_AUDIENCE_NAME,
        answer=answer,
        tested=tested,
    )


def take(opened: Opened) -> Response | str:
    """Nothing is kept: the user who was typed is shown again, and what came of it."""
    connectors, _ = connectors_of(opened.unfinished, describe)
    chosen = next((one for one in connectors if one.name == request.form.get("connector")), connectors[0] if connectors else None)
    sample = sample_from(request.form.get("sample", ""), chosen)
    does = request.form.get("do", "preview")
    if chosen is None or sample.problem or does == "preview":
        return show(opened, sample, chosen=chosen)
    if does == "check":
        return show(opened, sample, chosen=chosen, answer=_check(chosen))
    _note("test draft", chosen)
    try:
        tested = send_test(backend(), parts().clock, chosen, sample.user)
    except Conflict as error:
        return show(opened, sample, chosen=chosen, answer=Answer(str(error), "warning"))
    return show(opened, sample, chosen=chosen, tested=tested)


def _note(what: str, connector: Connector) -> None:
    """Before anything is sent: by a draft any stored secret can go to any address, and that must not go unseen."""
    names = ", ".join(sorted(partner_secret_names(connector, describe))) or "none"
    backend().audit.add(
        by=visitor().name, what=what, subject=connector.name, detail=f"to {addresses(connector)}; secrets: {names}"
    )


def _check(connector: Connector) -> Answer:
    _note("ask partner by draft", connector)
    try:
        check_credentials(backend(), parts().clock, connector)
    except Conflict as error:
        return Answer(f"The partner was not asked: {error}", "warning")
    except PartnerError as error:
        return Answer(f"The partner does not accept us: {error.hint}", "danger")
    return Answer("The partner accepts the credentials.", "success")
