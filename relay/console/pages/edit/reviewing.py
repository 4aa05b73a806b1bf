"""The step "review": the document that results, what it changes, everything that is wrong, and what will be missing."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

import msgspec

from adapters.registry import describe
from relay.connectors.completeness import missing, missing_for_notices
from relay.connectors.drafts import Problem, connectors_of, lost_comments, text_of
from relay.console.editing.configuring import empty_settings
from relay.console.editing.diffs import Line, lines_of_diff
from relay.console.editing.lacking import Lacking, lacking_of
from relay.console.editing.opened import Opened
from relay.console.editing.steps import anchor_of, environment_of, step_of
from relay.console.pages.edit.blueprint import page
from relay.console.parts import backend, configuration, now
from relay.domain.connector import DocumentVersion
from relay.domain.errors import NotFound
from relay.health.journal_loss import journal_losses

_NUMBER = re.compile("[0-9][0-9,]*")


class Wrong(NamedTuple):
    """A problem, with the step in which it is solved and the place in that page. `environment`: whose override it is in."""

    problem: Problem
    step: str
    anchor: str
    environment: str = ""


class Review(NamedTuple):
    """What somebody who is about to publish must know.

    running  the version that runs; None: nothing does
    newer    whether another version was published since the draft was begun
    lacking  what the connectors cannot run without
    losses   what the journals lose by it
    gone     connectors of the version that runs which this one does not make
    """

    text: str
    wrong: list[Wrong]
    running: DocumentVersion | None
    newer: bool
    diff: list[Line]
    lost_comments: list[str]
    lacking: list[Lacking]
    losses: list[str]
    makes: list[str]
    gone: list[str]

    @property
    def shown(self) -> str:
        """What somebody who says yes has seen: the number of the version that runs, and a digest of what goes. The numbers of a
        journal that grows change from one second to the next: they count by their length, else nobody could ever say yes."""
        parts = [sentence.partition(": ") for sentence in self.losses]
        losses = [(whose, _NUMBER.sub(lambda found: str(len(found.group())), what)) for whose, _, what in parts]
        digest = hashlib.sha256(msgspec.json.encode([losses, self.lost_comments])).hexdigest()
        return f"{self.running.number if self.running else 0}-{digest}"


def show(opened: Opened) -> str:
    problems = opened.problems()
    return page("edit_review.html", opened, "review", problems=problems, review=review_of(opened))


def review_of(opened: Opened) -> Review:
    """Of the draft as it is."""
    text = text_of(opened.unfinished)
    connectors, _ = connectors_of(opened.unfinished, describe)
    running = running_version(opened.name)
    counted = configuration().backend != "google"
    losses = journal_losses(backend(), opened.name, connectors, now=now(), counted=counted) if connectors and running else []
    lacking: dict[str, list[str]] = {}
    for connector in connectors:
        description = describe(connector.adapter, connector.settings)
        sentences = missing(connector, description, backend().secrets) if description else []
        for sentence in [*sentences, *missing_for_notices(connector, backend().secrets)]:
            lacking.setdefault(sentence, []).append(connector.name)
    if not connectors and opened.description:
        empty = {problem.place for problem in empty_settings(opened)}
        for field in opened.description.settings:
            if f"settings.{field.name}" in empty:
                lacking[f"The setting '{field.title}' (`settings.{field.name}`) is empty."] = [opened.name]
    made = {connector.name for connector in connectors}
    gone = [one.name for one in running.connectors if one.name not in made] if running else []
    return Review(
        text=text,
        wrong=[
            Wrong(problem, step_of(problem.place), anchor_of(problem.place), environment_of(problem.place))
            for problem in opened.problems()
        ],
        running=running,
        newer=running is not None and running.number != opened.draft.base,
        diff=lines_of_diff(running.text, text) if running else [],
        lost_comments=lost_comments(opened.unfinished) if opened.unfinished.text else [],
        lacking=lacking_of(lacking),
        losses=losses,
        makes=[connector.name for connector in connectors],
        gone=gone if connectors else [],
    )


def running_version(document: str) -> DocumentVersion | None:
    """The version of this document that runs."""
    try:
        live = backend().connectors.state(document).live
        return backend().connectors.version(document, live) if live else None
    except NotFound:
        return None
