"""Whoever is told of trouble: a webhook's server that keeps what it got."""

from __future__ import annotations

from typing import Any

from tests.partners.serving import Answer, Call, Serving


class NoticeReceiver(Serving):
    """`said`: what it answers from now on."""

    def __init__(self) -> None:
        super().__init__()
        self.said = Answer(200, b"ok")

    def answer(self, call: Call) -> Answer:
        return self.said

    @property
    def notices(self) -> list[dict[str, Any]]:
        """All that came, in order."""
        return [call.json for call in list(self.served)]

    @property
    def states(self) -> list[tuple[str, str | None]]:
        """State and reason of each."""
        return [(one["state"], one["reason"]) for one in self.notices]
