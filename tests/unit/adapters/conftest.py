"""What tests of several modules use."""

from __future__ import annotations

from tests.unit.adapters.internet import authority, internet

__all__ = ["authority", "internet"]
