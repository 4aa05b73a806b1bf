"""Values of secrets that were typed into a step: stored at once under their names, and never shown again."""

from __future__ import annotations

from collections.abc import Iterable

from flask import flash, request

from relay.connectors.secret_values import in_one_line
from relay.console.editing.configuring import AskedSecret
from relay.console.editing.opened import Opened
from relay.console.editing.secrets_in_use import why_not_stored
from relay.console.parts import publishing
from relay.domain.errors import ConfigurationError


def store_typed(opened: Opened, asked: Iterable[AskedSecret], environment: str = "") -> bool:
    """What was typed as a secret is stored under its name, and never shown again. environment: whose it is. False: one could not
    be."""
    well = True
    for secret in asked:
        typed = in_one_line(request.form.get(f"{secret.place}:value", "").strip())
        if not typed:
            continue
        if reason := why_not_stored(opened, secret.name, environment):
            flash(reason, "danger")
            well = False
            continue
        try:
            publishing().set_secret(secret.name, typed)
        except ConfigurationError as error:
            flash(str(error), "danger")
            well = False
        else:
            flash(f"The secret {secret.name} is set. It is not shown again.")
    return well
