"""Replies: what became of messages that somebody waits for."""

from __future__ import annotations

from typing import Protocol

from relay.domain.reply import Reply


class Replies(Protocol):
    """Written by the turn that ends a message with `Message.answer_by`, read by the request that waits for it. Kept for
    `domain.reply.KEPT_S`, also when it has been read: a turn asks whether somebody may have been told."""

    def give(self, reply: Reply) -> None:
        """A later reply to the same message takes the place of an earlier one."""
        ...

    def find(self, request_id: str, part: int) -> Reply | None:
        """The reply; None as long as there is none, and once it is too old."""
        ...
