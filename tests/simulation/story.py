"""What happened, in order, and the few lines of it that concern one audience."""

from __future__ import annotations

from typing import NamedTuple

MOST_LINES = 34


class Event(NamedTuple):
    """`audience` empty: it concerns all."""

    time: float
    who: str
    what: str
    audience: str

    def __str__(self) -> str:
        return f"{self.time:9.3f}  {self.who:<10} {self.what}"


class Story:
    """Everything that was told, oldest first."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, time: float, who: str, what: str, audience: str = "") -> None:
        """who: a process, or who else does something."""
        self.events.append(Event(time, who, what, audience))

    def about(self, audience: str) -> str:
        """The newest lines that concern this audience, or all of them; the first ones where they are many."""
        events = [event for event in self.events if not audience or event.audience in ("", audience)]
        left_out = len(events) - MOST_LINES
        lines = [str(event) for event in events[-MOST_LINES:]]
        if left_out > 0:
            lines.insert(0, f"           … {left_out} earlier lines")
        return "\n".join(lines)

    def whole(self) -> str:
        """All of it."""
        return "\n".join(str(event) for event in self.events)
