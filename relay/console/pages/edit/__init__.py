"""`/edit`: adding and editing a connector in steps. All of it is for admins."""

from __future__ import annotations

from relay.console.pages.edit import choosing, moving, publishing, steps
from relay.console.pages.edit.blueprint import pages

__all__ = ["choosing", "moving", "pages", "publishing", "steps"]
