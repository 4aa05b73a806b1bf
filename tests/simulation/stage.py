"""Where a named scenario is played: a world without chance weather, whose faults happen at boundaries that the scenario names."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from relay.domain.audience import Hold
from relay.domain.outcome import Rejection
from tests.simulation.boundaries import Moment
from tests.simulation.dmp import Dmp, Wanted
from tests.simulation.invariants import InHand
from tests.simulation.operators import Operators
from tests.simulation.world import CONNECTOR, Setting, World

ONE = Setting()
Doing = Callable[[World, Moment], None]


class _Planned:
    """One thing that happens the nth time that its boundary is reached."""

    def __init__(self, when: str, name: str, do: Doing, audience: str, process: str, nth: int) -> None:
        self.when, self.name, self.do = when, name, do
        self.audience, self.process, self.left = audience, process, nth

    def is_it(self, moment: Moment) -> bool:
        if (moment.when, moment.name) != (self.when, self.name):
            return False
        if (self.audience and moment.audience != self.audience) or (self.process and moment.process.name != self.process):
            return False
        self.left -= 1
        return self.left == 0


class Script:
    """The plan of a scenario. `reached`: boundaries, in order."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self.reached: list[tuple[str, str]] = []
        self.at_number: tuple[int, Doing] | None = None
        self._counts = False

    def on(
        self,
        when: Literal["before", "after"],
        name: str,
        do: Doing,
        *,
        audience: str = "",
        process: str = "",
        nth: int = 1,
    ) -> None:
        """From here on, the nth time that this boundary is reached."""
        self._planned.append(_Planned(when, name, do, audience, process, nth))

    def count(self) -> None:
        """The boundaries of workers are counted from here on."""
        self._counts = True
        self.reached.clear()

    def is_over(self) -> bool:
        """Whether everything that was planned has happened."""
        return not self._planned

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None:
        """See `Plan`."""
        if self._counts and moment.process.works:
            self.reached.append((moment.when, moment.name))
            if self.at_number and self.at_number[0] == len(self.reached):
                self.at_number[1](world, moment)
        for planned in list(self._planned):
            if planned.is_it(moment):
                self._planned.remove(planned)
                planned.do(world, moment)


class Stage:
    """One world with a receiver and its workers. To be used as a context; `arrives` ends every scenario."""

    def __init__(self, setting: Setting = ONE, seed: int = 1) -> None:
        self.script = Script()
        self.world = World(random.Random(seed), setting, self.script)
        self.dmp = Dmp(self.world)
        self.operators = Operators(self.world)
        self.partner = self.world.partner

    def __enter__(self) -> Stage:
        self.world.__enter__()
        self.world.start("receiver", works=False)
        for number in range(self.world.setting.workers):
            self.world.start(f"worker-{number + 1}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.world.__exit__(kind, error, trace)

    @property
    def queue(self) -> object:
        return self.world.pubsub

    def passes(self, seconds: float) -> None:
        """So much time goes by; whatever can happen happens."""
        over = False

        def wait() -> None:
            nonlocal over
            self.world.scheduler.sleep(seconds)
            over = True

        self.world.scheduler.spawn("time", self.world.cloud, wait)
        self.world.run(lambda: over)

    def sends(self, *wanted: str, audience: str = "a.1", parts: int = 1, within_s: float = 3.0) -> None:
        """One request: `+u1` joined, `-u1` left; then some time."""
        mutations: list[Wanted] = [(audience, each[1:], "joined" if each[0] == "+" else "left") for each in wanted]
        self.dmp.send(mutations, parts=parts)
        self.passes(within_s)

    def asks(
        self, *wanted: str, audience: str = "a.1", parts: int = 1, made: bool = False, within_s: float = 3.0
    ) -> None:
        """One request that waits for its outcome, as a feed's; then some time."""
        mutations: list[Wanted] = [(audience, each[1:], "joined" if each[0] == "+" else "left") for each in wanted]
        self.dmp.ask(mutations, parts=parts, made=made)
        self.passes(within_s)

    def hold(self, audience: str = "a.1") -> Hold | None:
        """As an operator sees it."""
        found = self.world.plain.audiences.get(CONNECTOR, audience)
        return found.hold if found else None

    def members(self, audience: str = "a.1") -> set[str]:
        """At the partner."""
        return self.partner.members().get(audience, set())

    def rejections(self) -> list[Rejection]:
        """Oldest first."""
        return [one for _, one in self.world.plain.reports.rejections(limit=1_000)]

    def told(self, what: str) -> bool:
        """Whether the story says so."""
        return any(what in event.what for event in self.world.story.events)

    def arrives(self) -> None:
        """What was planned has happened; it is calm; everything arrives by itself, and is as it should be."""
        assert self.script.is_over(), "what the scenario is about did not happen"
        self.operators.switch_everything_on()
        self.world.arrive()
