"""`/users`: one person, by an identifier that somebody types, and how they are forgotten.

The identifier comes in the body of a POST and is in nothing but its answer: no address, no log, no flash, no audit. So these
answers are pages themselves, and not redirects to one.
"""

from __future__ import annotations

from flask import Blueprint, render_template, request

from relay.console import parts
from relay.console.roles import needs
from relay.console.users_reading import answer_of
from relay.domain.person import Person
from relay.health import people

pages = Blueprint("users", __name__)

LONGEST = 5_000
"""Characters of an identifier."""


@pages.get("/users")
@needs("viewer")
def find() -> str:
    """Only the form; and to a viewer, who cannot use it."""
    return render_template("users.html", longest=LONGEST, answer=None)


@pages.post("/users")
@needs("operator")
def search() -> str | tuple[str, int]:
    """Operators search: where a person's data is, is personal data itself, and a viewer is let in to see how connectors do."""
    typed, person, problem = _typed()
    if person is None:
        return render_template("users.html", longest=LONGEST, answer=None, problem=problem), 400
    return render_template("users.html", longest=LONGEST, answer=answer_of(parts.backend(), person), typed=typed)


@pages.post("/users/forget")
@needs("admin")
def forget() -> str | tuple[str, int]:
    """Asks first; once it is sure, forgets, and says what is left."""
    typed, person, problem = _typed()
    if person is None:
        return render_template("users.html", longest=LONGEST, answer=None, problem=problem), 400
    backend = parts.backend()
    if request.form.get("sure") != "yes":
        found = backend.traces.find(person)
        return render_template(
            "forget.html",
            typed=typed,
            hash=person.hash,
            known=bool(found.traces),
            summary=(*people.summary(found), *found.unseen),
            remains=people.REMAINS,
        )
    forgotten = people.audited(backend.audit, parts.visitor().name, person, lambda: backend.traces.forget(person))
    return render_template(
        "forgotten.html",
        typed=typed,
        hash=person.hash,
        told=people.told(forgotten, again="forget the person once more"),
        unfinished=people.is_unfinished(forgotten),
        remains=people.remains(forgotten),
    )


def _typed() -> tuple[str, Person | None, str]:
    """What was typed, who is meant, or why nobody is."""
    typed = request.form.get("identifier", "").strip()
    if len(typed) > LONGEST:
        return "", None, f"An identifier has {LONGEST:,} characters at most."
    try:
        return typed, Person(typed), ""
    except ValueError as error:
        return "", None, str(error)
