"""The step "test": the exact requests that would be sent; and questions to the partner by an unfinished document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from adapters.contract import Option
from adapters.registry import describe
from relay.connectors.completeness import missing_secrets
from relay.connectors.drafts import connectors_of
from relay.connectors.live import document_of
from relay.connectors.secret_names import partner_secret_names
from relay.console.editing.connecting import why_not_connected_here
from relay.console.editing.lacking import Lacking, lacking_of, without_command
from relay.console.editing.opened import Opened
from relay.console.editing.recent import chosen_sample
from relay.console.editing.sampling import Sample, made_up
from relay.console.editing.unpublished import addresses, connector_to_ask, partners
from relay.console.pages.connect import lead_away
from relay.console.pages.edit import queueing
from relay.console.pages.edit.blueprint import page, to_step
from relay.console.parts import backend, now, parts, visitor
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, DocumentError, PartnerError
from relay.health.asking import require_may_call
from relay.operating.checking import check_credentials, why_not
from relay.operating.direct_test import TEST_AUDIENCE_NAME, Tried, lacking_to_send, send_test, why_not_to_send
from relay.operating.previewing import PreviewedStep, previewed
from relay.operating.queue_test import Stays


class Answer(NamedTuple):
    """What the partner said of the credentials. `style`: how the page shows it."""

    sentence: str
    style: str


class Offered(NamedTuple):
    """The values that the partner offers for a field; or why there are none."""

    options: list[Option]
    problem: str = ""


def check(opened: Opened, *, environment: str = "") -> Answer:
    """Asks the partner whether it accepts the credentials that are stored under the draft's names, or the environment's."""
    try:
        return _check(connector_to_ask(opened, environment=environment))
    except DocumentError as error:
        return Answer(f"The partner was not asked: {error}", "warning")


def options(opened: Opened, field: str, *, environment: str = "", is_setting: bool = True) -> Offered:
    """Asks the partner what this field can be, given the settings that are there. is_setting: it is one of these itself."""
    try:
        connector = connector_to_ask(opened, asked=field if is_setting else "", environment=environment)
        description = describe(connector.adapter, connector.settings)
        if description and (lacking := list(missing_secrets(connector, description, backend().secrets))):
            sentences = " ".join(without_command(sentence) for sentence in lacking)
            return Offered([], f"The partner cannot be asked yet. {sentences}")
        require_may_call(backend(), connector.name, now())
        _note("ask partner by draft", connector)
        found = partners().open_unfinished(connector).options(field, connector.settings)
    except (DocumentError, Conflict) as error:
        return Offered([], f"The partner was not asked: {error}")
    except PartnerError as error:
        return Offered([], f"The partner did not say: {error.hint}")
    return Offered(found, "" if found else "The partner offers no value.")


def connect(opened: Opened) -> Response | str:
    """The way to the partner, where somebody allows the access of a draft of whose name nothing runs."""
    try:
        connector = connector_to_ask(opened)
    except DocumentError as error:
        flash(f"It cannot be connected yet: {error}", "warning")
        return to_step(opened, "configure", checked=True)
    if reason := why_not_connected_here(opened, opened.description):
        flash(reason, "warning")
        return to_step(opened, "configure", checked=True)
    _note("connect draft", connector)
    return lead_away(connector.name, opened.draft.key)


def show(
    opened: Opened,
    sample: Sample | None = None,
    *,
    chosen: Connector | None = None,
    answer: Answer | None = None,
    tested: list[Tried] | None = None,
) -> str:
    """sample: the user that was chosen. chosen: which of the document's connectors; that of the address or the first, unless
    given."""
    user = sample or made_up()
    connectors, problems = connectors_of(opened.unfinished, describe)
    connector = chosen or _among(connectors, request.args.get("connector", ""))
    running = _running(opened, connector)
    found: list[PreviewedStep] = []
    lacking: list[Lacking] = []
    trouble = why_not = ""
    if connector:
        try:
            adapter = partners().open_for_preview(connector)
            found = previewed(connector, user.user, adapter, now=now(), is_somebody=user.is_somebody)
        except PartnerError as error:
            trouble = error.hint
        description = describe(connector.adapter, connector.settings)
        why_not = why_not_to_send(connector, description, backend())
        lacking = lacking_of({one: [connector.name] for one in lacking_to_send(connector, description, backend())})
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
        lacking=lacking,
        test_audience=TEST_AUDIENCE_NAME,
        answer=answer,
        tested=tested,
        running=running,
        queued=queueing.seen(running, request.args) if running else None,
        queue_audience=queueing.TEST_AUDIENCE_NAME,
    )


def take(opened: Opened) -> Response | str:
    """Nothing is kept: the user who was chosen is shown again, and what came of it."""
    connectors, _ = connectors_of(opened.unfinished, describe)
    chosen = _among(connectors, request.form.get("connector", ""))
    running = _running(opened, chosen)
    sample = chosen_sample(opened, request.form, chosen, name=running.name if running else "")
    does = request.form.get("do", "preview")
    if chosen is None or sample.problem or does in ("preview", "recent", "made_up"):
        return show(opened, sample, chosen=chosen)
    if does == "check":
        return show(opened, sample, chosen=chosen, answer=_check(chosen))
    if sample.is_somebody:
        sentence = "Nothing was sent: somebody who is not a test is not sent as one. Type a user, or take the made-up one."
        return show(opened, sample, chosen=chosen, answer=Answer(sentence, "warning"))
    if does == "queue":
        return _through_the_queue(opened, sample, chosen, running)
    _note("test draft", chosen)
    try:
        tested = send_test(backend(), parts().clock, chosen, sample.user)
    except Conflict as error:
        return show(opened, sample, chosen=chosen, answer=Answer(str(error), "warning"))
    return show(opened, sample, chosen=chosen, tested=tested)


def _through_the_queue(opened: Opened, sample: Sample, chosen: Connector, running: Connector | None) -> Response | str:
    """By the version that runs; what came of it stands in the page when it is there."""
    try:
        if running is None:
            raise Conflict(f"No version of {chosen.name} runs, so nothing would take the user from the queue.")
        asked: dict[str, Any] = queueing.begin(running, sample.user)
    except Stays as error:
        return show(opened, sample, chosen=chosen, answer=Answer(str(error), "danger"))
    except (Conflict, PartnerError) as error:
        sentence = without_command(error.hint if isinstance(error, PartnerError) else str(error))
        return show(opened, sample, chosen=chosen, answer=Answer(f"Nothing was sent: {sentence}", "warning"))
    place = url_for("edit.step", draft=opened.draft.key, step="test", connector=running.name, _anchor="queued", **asked)
    return redirect(place, 303)


def _running(opened: Opened, chosen: Connector | None) -> Connector | None:
    """What runs by that name. A draft that only names a connector of another document sees nothing of its people."""
    if chosen is None or document_of(chosen.name) != opened.document:
        return None
    return queueing.running(chosen.name)


def _among(connectors: Sequence[Connector], name: str) -> Connector | None:
    return next((one for one in connectors if one.name == name), connectors[0] if connectors else None)


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
        return Answer(f"The partner was not asked: {without_command(str(error))}", "warning")
    except PartnerError as error:
        return Answer(without_command(why_not(error)), "danger")
    return Answer("The partner accepts the credentials.", "success")
