"""People who switch, pause, publish and resume."""

from __future__ import annotations

import random
from collections.abc import Callable

from relay.domain.errors import NotFound, StoreUnavailable
from relay.domain.message import VERSION, Message, Replay
from tests.simulation.invariants import CONNECTOR_OFF
from tests.simulation.world import CONNECTOR, World

ACTION = "Remove"


class Operators:
    """They use a process of their own, whose steps are whole."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_on = True
        self._is_paused = False
        self._replays = 0

    def do_something(self, chance: random.Random) -> None:
        """Any of these."""
        what: Callable[[], None] = chance.choice(
            (
                lambda: self.switch(on=False),
                lambda: self.switch(on=True),
                lambda: self.pause(chance.random() < 0.6),
                lambda: self.pause_audience("a.1", chance.random() < 0.6),
                lambda: self.switch_action(chance.choice(("paused", "skipped", None))),
                lambda: self.publish(chance.choice((1, 2))),
                self.resume,
                lambda: self._world.surplus_resume("a.1"),
            )
        )
        what()
        self._world.scheduler.stir()

    def switch(self, *, on: bool) -> None:
        self._tell(f"connector {'on' if on else 'off'}")
        self._world.publishing().set_enabled(CONNECTOR, on)
        self._is_on = on
        self._switched()

    def pause(self, paused: bool) -> None:
        self._tell(f"connector {'paused' if paused else 'goes on'}")
        self._world.plain.connectors.set_paused(CONNECTOR, paused)
        self._is_paused = paused
        self._switched()

    def pause_audience(self, audience: str, paused: bool) -> None:
        try:
            self._world.plain.audiences.set_paused(CONNECTOR, audience, paused)
        except NotFound:
            return
        self._tell(f"audience {'paused' if paused else 'goes on'}", audience)
        self._world.invariants.switched(self._world.effects, audience, off=paused)

    def switch_action(self, switch: str | None) -> None:
        self._tell(f"action {ACTION!r} {switch or 'on'}")
        self._world.publishing().set_action(CONNECTOR, ACTION, switch)  # type: ignore[arg-type]

    def publish(self, version: int) -> None:
        """1: as the setting says; 2: gathers for a minute."""
        self._tell(f"version {version} is published")
        self._world.bring_forward()
        self._world.publishing().publish(CONNECTOR, version)

    def journal(self, *, days: int) -> None:
        """Another version of the connector, whose journal is kept for so long; 0: it is off."""
        self._tell(f"the journal is {'on' if days else 'off'}")
        self._world.bring_forward()
        self._world.publishing().apply(self._world.setting._replace(journal_days=days).document)

    def resume(self, audience: str | None = None) -> None:
        """`diy holds resume`: holds are due now."""
        self._tell("resumes the holds", audience or "")
        self._world.bring_forward()
        self._world.plain.audiences.make_due(CONNECTOR, audience)

    def replay(self, audience: str, *, back_s: float) -> None:
        """`diy replay`: what was accepted within so many seconds is sent again."""
        now = self._world.machine.now()
        self._replays += 1
        message = Message(
            VERSION,
            "replay",
            CONNECTOR,
            audience,
            f"replay{self._replays}",
            now,
            replay=Replay(since=now - back_s),
            journal_days=self._world.setting.journal_days,
        )
        pubsub = self._world.pubsub
        queue = pubsub.queue_for(self._world.processes["receiver"]) if pubsub else self._world.plain.queue
        try:
            queue.publish([message])
        except StoreUnavailable:
            self._tell("asks for a replay, and is told that it is not certain", audience)
        else:
            self._tell(f"asks for a replay of the last {back_s:g} s", audience)
        self._world.scheduler.stir()

    def switch_everything_on(self) -> None:
        """Nothing is off or paused any more."""
        self.switch(on=True)
        self.switch_action(None)
        self.pause(False)
        for audience in self._world.plain.audiences.all():
            if audience.paused:
                self.pause_audience(audience.id, False)
        self._world.scheduler.stir()

    def _switched(self) -> None:
        off = not self._is_on or self._is_paused
        self._world.invariants.switched(self._world.effects, CONNECTOR_OFF, off=off)

    def _tell(self, what: str, audience: str = "") -> None:
        self._world.tell("operator", what, audience)
