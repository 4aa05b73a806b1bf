"""What one call's trouble means for all of a connector's calls: remembered where every worker looks before it calls."""

from __future__ import annotations

from relay.backends.interfaces import Connectors
from relay.domain.clock import Clock
from relay.domain.errors import CredentialsRefused, PartnerError, TryAgain
from worker.retries import PROBE_FIRST_S


def remember(error: PartnerError, store: Connectors, connector: str, clock: Clock, *, login: str = "") -> None:
    """No worker starts a call to the account before the moment that the partner named. Where it gives no token at all, none does
    for 30 seconds: what holds for every call need not be found out by every audience.

    login: whose access it was (see `domain.feed.Use`); what is refused to that is nothing to the others."""
    partners_wish = error.account if isinstance(error, TryAgain) else True  # one without is about the rate, and kept there
    if partners_wish and error.after_s is not None:
        store.not_before(connector, clock.now() + error.after_s, reason="come_back_later", detail=error.hint)
    if isinstance(error, CredentialsRefused) and error.account and not login:
        store.not_before(connector, clock.now() + PROBE_FIRST_S, reason="credentials_refused", detail=error.hint)
