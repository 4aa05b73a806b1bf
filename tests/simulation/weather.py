"""What a seed makes of a story: its setting, what goes wrong at boundaries, what the partner answers, what people do."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation import faults
from tests.simulation.boundaries import CALL, Moment
from tests.simulation.dmp import Dmp, Wanted
from tests.simulation.invariants import InHand
from tests.simulation.operators import Operators
from tests.simulation.partner import Fate
from tests.simulation.pubsub import Accepting, PubSub
from tests.simulation.world import Setting, World

AUDIENCES = ("a.1", "a.1", "a.1", "a.2")
USERS = ("u1", "U1", "u2", "u3", "u4")
"""u1 and U1 are one row at the partner."""

SETTINGS = (
    Setting(),
    Setting(workers=2),
    Setting(workers=2, max_items=2),
    Setting(workers=3),
    Setting(workers=2, max_age="60s"),
    Setting(workers=2, calls=3),
    Setting(workers=2, journal_days=7),
    Setting(workers=2, journal_days=7, max_items=2),
    Setting(workers=2, max_items=2, calls=4, per_s=20.0),
    Setting(workers=2, pushed=True),
    Setting(workers=3, pushed=True, max_items=2),
    Setting(workers=2, pushed=True, max_age="60s"),
    Setting(workers=2, pushed=True, journal_days=7),
)

FREEZES_S = (4.0, 45.0, 118.0, 151.0, 400.0)
DELAYS_S = (0.0, 0.0, 0.01, 0.3, 2.5)
JUMPS_S = (-3_600.0, -70.0, -2.0, 2.0, 70.0, 3_600.0)

CALM = Fate()
SKIES: dict[str, tuple[Fate, ...]] = {
    "fine": (CALM,),
    "slow": (Fate(takes_s=4.0), Fate(takes_s=0.6)),
    "down": (Fate(503, applies="no"), Fate(500, applies="no")),
    "unreachable": (Fate(unsent=True),),
    "flaky": (CALM, CALM, Fate(500, applies="no"), Fate(unsent=True), Fate(502, applies="no", html=True)),
    "later": (Fate(429, applies="no", retry_after=90),),
    "later, by date": (Fate(429, applies="no", retry_after=40, date=True), Fate(503, applies="no", retry_after=75)),
    "soon": (CALM, Fate(429, applies="no", retry_after=1), Fate(429, applies="no")),
    "silent": (Fate(0, applies="no"),),
    "silent and done": (Fate(0), CALM),
    "late": (CALM, Fate(0, late_s=9.0), Fate(0, late_s=24.0)),
    "done, and it says not": (CALM, Fate(500), Fate(502, html=True)),
    "in part": (CALM, Fate(500, applies="part"), Fate(0, applies="part")),
    "nonsense": (Fate(200, html=True), CALM),
    "credentials": (Fate(401, applies="no"), Fate(403, applies="no"), CALM),
}


class Rates(NamedTuple):
    """How often each happens, of the boundaries."""

    crash: float = 0.0
    store: float = 0.0
    freeze: float = 0.0
    clocks: float = 0.0
    delay: float = 0.0


class QueueRates(NamedTuple):
    """How often a publish is not confirmed, the acknowledgement of a push is lost, a push breaks off, publish times are equal."""

    publish: float = 0.0
    back: float = 0.0
    off: float = 0.0
    equal: float = 0.0


class Weather:
    """The plan of a seed. `blows`: until it is calm."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.blows = True

        def some(most: float) -> float:
            return most * chance.random() if chance.random() < 0.6 else 0.0

        self.rates = Rates(some(0.012), some(0.04), some(0.015), some(0.02), 0.05 + some(0.2))
        self.queue = QueueRates(some(0.4), some(0.15), some(0.15), some(0.5))

    def at(self, world: World, moment: Moment, hand: InHand | None) -> None:
        """One thing, or nothing; and then it may be somebody else's turn."""
        what = self._chance.random()
        if not self.blows:
            if what < 0.2:
                world.scheduler.sleep(0)
            return
        rates = self.rates
        if (what := what - rates.crash) < 0:
            faults.crash(world, moment)
        elif hand is not None and hand.sending:
            # It has looked at the clock and the rate, and sends: what may be longer on its way than the margin of the rate is
            # no promise of ours.
            if what < 0.2:
                faults.delay(world, 0.02)
        elif (what := what - rates.store) < 0:
            faults.store_fails(world, moment)
        elif (what := what - rates.freeze) < 0:
            faults.freeze(world, moment, self._chance.choice(FREEZES_S), monotonic=self._chance.random() < 0.5)
        elif (what := what - rates.clocks) < 0:
            faults.freeze_with_clocks(world, moment, self._chance.choice(FREEZES_S))
        elif (what := what - rates.delay) < 0:
            faults.delay(world, self._chance.choice(DELAYS_S))
        elif what < 0.2 or moment.name == CALL:
            world.scheduler.sleep(0)

    def over(self, queue: PubSub) -> None:
        """The queue meets it too."""
        chance, rates = self._chance, self.queue
        queue.accepting = lambda: chance.choice(_UNSURE) if self._happens(rates.publish) else "yes"
        queue.goes_back = lambda: chance.choice((1, 1, 2, 3)) if self._happens(rates.back) else 0
        queue.breaks_off = lambda: chance.choice((10.0, 30.0)) if self._happens(rates.off) else 0.0
        queue.equal_times = lambda: chance.random() < rates.equal

    def _happens(self, rate: float) -> bool:
        return self.blows and self._chance.random() < rate


_UNSURE: tuple[Accepting, ...] = ("no", "unconfirmed", "lost")


class Seeded:
    """One seed's story, played to its end."""

    def __init__(self, seed: int, *, settings: tuple[Setting, ...] = SETTINGS) -> None:
        self.chance = random.Random(seed)
        self.plan = Weather(self.chance)
        self.world = World(self.chance, self.chance.choice(settings), self.plan)
        if self.world.pubsub:
            self.plan.over(self.world.pubsub)
        self.dmp = Dmp(self.world)
        self.operators = Operators(self.world)
        self.world.partner.racy = self.chance.random() < 0.5

    def play(self) -> None:
        """Raises `Broken`."""
        world = self.world
        world.start("receiver", works=False)
        for number in range(world.setting.workers):
            world.start(f"worker-{number + 1}")
        ended = False

        def direct() -> None:
            nonlocal ended
            for _ in range(self.chance.randint(5, 14)):
                self._step()
                world.scheduler.sleep(self._pause_s())
            ended = True

        world.scheduler.spawn("director", world.cloud, direct)
        world.run(lambda: ended)
        self._calm()
        world.arrive()

    def _pause_s(self) -> float:
        return self.chance.choice((0.0, 0.0, 0.1, 0.5, 1.0, 3.0, 12.0, 31.0, 61.0, 200.0))

    def _step(self) -> None:
        what = self.chance.random()
        if what < 0.35:
            self._request()
        elif what < 0.47:
            self._question()
        elif what < 0.5:
            self.dmp.create(self.chance.choice(AUDIENCES))
        elif what < 0.75:
            self._sky()
        elif what < 0.8:
            self._refusals()
        elif what < 0.83:
            self._clock()
        elif what < 0.87:
            self._end_of_a_process()
        elif self.world.setting.journal_days and what < 0.95:
            self._journal()
        else:
            self.operators.do_something(self.chance)

    def _request(self) -> None:
        wanted: list[Wanted] = [
            (self.chance.choice(AUDIENCES), self.chance.choice(USERS), self.chance.choice(("joined", "left")))
            for _ in range(self.chance.choice((1, 1, 2, 3, 5)))
        ]
        self.dmp.send(wanted, parts=self.chance.choice((1, 1, 2)), visits=self.chance.random() < 0.4)

    def _question(self) -> None:
        audience = self.chance.choice(AUDIENCES)
        wanted: list[Wanted] = [
            (audience, self.chance.choice(USERS), self.chance.choice(("joined", "left")))
            # What the rate leaves too little time for never ends: docs/mediarithmics.md says how large a batch may be.
            for _ in range(1 if self.world.setting.calls else self.chance.choice((1, 1, 2, 4)))
        ]
        self.dmp.ask(wanted, parts=self.chance.choice((1, 1, 2)), made=self.chance.random() < 0.4)

    def _sky(self) -> None:
        name = self.chance.choice([*SKIES, "fine", "fine"])
        self.world.tell("partner", f"weather: {name}")
        fates = SKIES[name]
        self.world.partner.weather = (lambda: fates[0]) if len(fates) == 1 else (lambda: self.chance.choice(fates))

    def _refusals(self) -> None:
        partner = self.world.partner
        what = self.chance.choice(("rejected", "poison", "all", "gone", "none"))
        user = self.chance.choice(("u1", "u2"))
        self.world.tell("partner", f"refuses: {what} {user if what in ('rejected', 'poison') else ''}")
        partner.rejected = {user} if what == "rejected" else set()
        partner.poison = {user} if what == "poison" else set()
        partner.refuses_all = what == "all"
        partner.gone = what == "gone"

    def _journal(self) -> None:
        if self.chance.random() < 0.75:
            self.operators.replay(self.chance.choice(AUDIENCES), back_s=self.chance.choice((3.0, 60.0, 100_000.0)))
        else:
            self.operators.journal(days=self.chance.choice((0, self.world.setting.journal_days)))

    def _clock(self) -> None:
        if any(process.is_sending for process in self.world.processes.values()):
            return
        self.world.jump(self.chance.choice(JUMPS_S))

    def _end_of_a_process(self) -> None:
        process = self.chance.choice([one for one in self.world.processes.values() if one.works])
        if not process.alive or process.stopping:
            return
        if self.chance.random() < 0.5:
            self.world.kill(process)
        else:
            self.world.tell(process.name, "SIGTERM")
            process.stop()

    def _calm(self) -> None:
        self.world.tell("weather", "calm")
        self.plan.blows = False
        partner = self.world.partner
        partner.weather = Fate
        partner.rejected, partner.poison, partner.refuses_all, partner.gone = set(), set(), False, False
        self.operators.switch_everything_on()
