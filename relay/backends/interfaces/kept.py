"""How long a back end keeps records that no connector's document says anything of."""

from __future__ import annotations

ATTEMPTS_KEPT = 1_000
"""Attempts kept of each connector, of the last `FAILED_ATTEMPTS_KEPT_S` at least."""

FAILED_ATTEMPTS_KEPT_S = 7 * 86400.0
"""Failed attempts are kept so long, beyond that number too."""

DRAFTS_KEPT_S = 90 * 86400.0
"""Versions that were never published are kept so long, and drafts that nobody changes."""

COUNTERS_KEPT_S = 40 * 86400.0

AUDIT_KEPT_S = 400 * 86400.0
