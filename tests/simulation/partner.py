"""Pangolin as a script, right below the real adapter and the real client: connections that open no socket.

What a call meets is its `Fate`. Its answers have the form of `relay.pangolin`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any, Literal, NamedTuple
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from adapters.connection import Call
from adapters.contract import Mapped, Prepared, Rejected
from adapters.incoming import Answer
from adapters.outgoing import Place
from adapters.pangolin import Pangolin
from relay.domain.message import decode
from tests.simulation.boundaries import CALL, Moment, Watching
from tests.simulation.invariants import Broken, InHand, Invariants
from tests.simulation.ledger import Ledger
from tests.simulation.scheduler import Scheduler

TOKEN = "pangolin-token-value"
URL = "http://pangolin.example"
CONNECT_S = 1.0
"""The connector's time-out for connecting."""

LATEST_S = 25.0
"""So long after the caller gave up a call is applied at the latest. The least wait before a probe is 27 s: what comes after the
next probe is an exception that docs/guarantees.md names."""

_DIRECTIONS = {"POST": "joined", "DELETE": "left"}


class Fate(NamedTuple):
    """What becomes of one call.

    status       of the answer; 0: none comes
    takes_s      from its arrival to its answer, half of it before it is applied
    applies      whether what was asked for is done; `part`: half of its users
    late_s       with status 0: applied so long after the caller gave up, 0: before it
    retry_after  seconds; as a date with `date`
    html         the answer is a page of somebody else's
    unsent       no connection at all
    """

    status: int = 200
    takes_s: float = 0.02
    applies: Literal["whole", "part", "no"] = "whole"
    late_s: float = 0.0
    retry_after: float = 0.0
    date: bool = False
    html: bool = False
    unsent: bool = False


class Request(NamedTuple):
    """A call as the client sends it. target: path and query."""

    method: str
    target: str
    headers: dict[str, str]
    content: bytes


class Flight:
    """A call under way. `apply` does what was asked for, once; `answer` is what it came to."""

    def __init__(self, partner: ScriptedPartner, request: Request, fate: Fate, hand: InHand) -> None:
        self._partner = partner
        self._fate = fate
        self.method = request.method
        self.path = urlsplit(request.target).path.removeprefix("/api/audiences").strip("/")
        self.body = msgspec.json.decode(request.content) if request.content else {}
        self.hand = hand
        self.audience = partner.audience_of(self.path, self.body)
        self.is_new = self.path == "" and partner.lists_of(self.body["reference"]) == []
        self.given_up = False
        self.is_done = False
        self.answer: tuple[int, Any] = (0, None)

    def apply(self, *, whole: bool = True) -> None:
        """whole: as its fate says; False: it is never done."""
        if not self.is_done:
            self.is_done = True
            if whole:
                self.answer = self._partner.carry_out(self, self._fate)


class PartnerList(NamedTuple):
    """One audience at the partner."""

    id: str
    name: str
    reference: str
    members: set[str]


class ScriptedPartner:
    """One account. It counts what it allows itself, in true time.

    rejected, poison  users that it refuses by themselves, or with the whole call
    refuses_all       it refuses every user, with one code
    gone              it knows none of its audiences
    scripted          fates of the next calls; behind them `weather` is asked
    racy              looks for the reference and makes the audience in two steps
    """

    alive = True
    frozen_until = 0.0

    def __init__(
        self,
        scheduler: Scheduler,
        watching: Watching,
        invariants: Callable[[], Invariants],
        ledger: Ledger,
        wall: Callable[[], float],
        tell: Callable[[str, str], None],
    ) -> None:
        self._scheduler = scheduler
        self._watching = watching
        self._invariants = invariants
        self._ledger = ledger
        self._wall = wall
        self._tell = tell
        self.lists: list[PartnerList] = []
        self.rejected: set[str] = set()
        self.poison: set[str] = set()
        self.refuses_all = False
        self.gone = False
        self.scripted: deque[Fate] = deque()
        self.weather: Callable[[], Fate] = Fate
        self.racy = False
        self.limit: tuple[int, float] | None = None
        self.calls = 0
        self._several = False
        self._arrivals: deque[float] = deque()
        self._flights: list[Flight] = []

    # what happens to a call

    def exchange(self, request: Request, call: Call) -> Answer:
        """One call of the current task, from its leaving to its answer."""
        answer_s = call.answer_s
        task = self._scheduler.current
        assert task is not None
        assert isinstance(task.note, InHand), "only a turn or a creation calls"
        hand = task.note
        fate = self.scripted.popleft() if self.scripted else self.weather()
        flight = Flight(self, request, fate, hand)
        self._watching.reached(Moment("before", CALL, hand.process, flight.audience))
        self._invariants().may_call(hand, CONNECT_S + answer_s, flight.audience)
        hand.sending = False
        what = f"{flight.method} /{flight.path} {[user['id'] for user in flight.body.get('users', ())]}"
        if fate.unsent:
            self._tell(f"{what}: no connection", flight.audience)
            raise ConnectionRefusedError
        call.sent = True
        self.calls += 1
        self._count(flight.audience)
        self._flights.append(flight)
        self._tell(what, flight.audience)
        if fate.status == 0:
            self._never_answer(flight, fate, answer_s)
        self._scheduler.sleep(fate.takes_s / 2)
        flight.apply()
        self._flights.remove(flight)
        self._scheduler.sleep(fate.takes_s / 2)
        response = _response(request, *flight.answer, fate, self._wall())
        if fate.retry_after:
            hand.wishes.append(self._wall() + fate.retry_after)
        self._watching.reached(Moment("after", CALL, hand.process, flight.audience))
        return response

    def _never_answer(self, flight: Flight, fate: Fate, answer_s: float) -> None:
        if fate.late_s:
            # By its own time: a caller that is frozen meanwhile gives up when it wakes.
            self._scheduler.spawn("late", self, lambda: self._apply_late(flight, answer_s + min(fate.late_s, LATEST_S)))
        else:
            self._scheduler.sleep(min(fate.takes_s / 2, answer_s / 2))
            flight.apply(whole=fate.applies != "no")
        self._scheduler.sleep(answer_s)
        flight.given_up = True
        if flight.is_done and flight in self._flights:
            self._flights.remove(flight)
        self._watching.reached(Moment("after", CALL, flight.hand.process, flight.audience))
        raise TimeoutError

    def _apply_late(self, flight: Flight, seconds: float) -> None:
        self._scheduler.sleep(seconds)
        if flight in self._flights:
            self._flights.remove(flight)
            flight.apply()

    # what is under way, seen from outside

    def under_way(self, audience: str = "") -> list[Flight]:
        """Calls that may still be applied."""
        return [flight for flight in self._flights if not audience or flight.audience == audience]

    def land(self, flight: Flight, *, applied: bool = True) -> None:
        """It is applied at this moment, or never."""
        flight.apply(whole=applied)
        if flight.given_up or not flight.hand.process.alive:
            self._flights.remove(flight)  # nobody waits for its answer

    def allow(self, calls: int, per_s: float) -> None:
        """At most so many calls in any period."""
        self.limit = (calls, per_s)

    def forget_counts(self) -> None:
        """The clock was set forward: no program that keeps its account by the clock can know how long ago its calls were."""
        self._arrivals.clear()

    def _count(self, audience: str) -> None:
        if self.limit is None:
            return
        calls, per_s = self.limit
        now = self._scheduler.time
        while self._arrivals and self._arrivals[0] <= now - per_s:
            self._arrivals.popleft()
        self._arrivals.append(now)
        if len(self._arrivals) > calls:
            raise Broken(f"{len(self._arrivals)} calls within {per_s:g} s; the partner allows {calls}", audience)

    @contextmanager
    def knows_several(self) -> Iterator[None]:
        """Meanwhile a user has several identifiers, `a/b`, and whoever shares one of them is the same member here."""
        real = Pangolin.prepare

        def prepare(adapter: Pangolin, operation: str, users: Mapped) -> list[Prepared | Rejected]:
            return [
                replace(one, keys=tuple(one.values["id"].split("/"))) if isinstance(one, Prepared) else one
                for one in real(adapter, operation, users)
            ]

        self._several = True
        with patch.object(Pangolin, "prepare", prepare):
            yield
        self._several = False

    # what it does

    def lists_of(self, reference: str) -> list[PartnerList]:
        """The audiences with this reference; more than one is one too many."""
        return [one for one in self.lists if one.reference == reference]

    def audience_of(self, path: str, body: Any) -> str:
        """Our ID of the audience that a call concerns."""
        if not path:
            return str(body["reference"]).partition("/")[2]
        found = self._list(path)
        return found.reference.partition("/")[2] if found else ""

    def members(self) -> dict[str, set[str]]:
        """Our audience ID → users."""
        return {one.reference.partition("/")[2]: one.members for one in self.lists}

    def carry_out(self, flight: Flight, fate: Fate) -> tuple[int, Any]:
        """Status and body, once done."""
        answer = (0, None) if fate.applies == "no" else self._do(flight, fate)
        return answer if fate.status == 200 else (fate.status, {"error": "Something went wrong."})

    def _do(self, flight: Flight, fate: Fate) -> tuple[int, Any]:
        if not flight.path:
            return self._create(flight)
        found = self._list(flight.path)
        if found is None or self.gone:
            return 404, {"error": "There is no audience with this ID."}
        if flight.path.endswith("/users"):
            return self._change(flight, found, fate)
        return 200, _shown(found)

    def _create(self, flight: Flight) -> tuple[int, Any]:
        reference = flight.body["reference"]
        known = self.lists_of(reference)
        if known and not (self.racy and flight.is_new and not flight.given_up):
            return 200, _shown(known[0])
        if known:
            raise Broken("two audiences at the partner for one of ours", flight.audience)
        made = PartnerList(f"L{len(self.lists) + 1}", flight.body["name"], reference, set())
        self.lists.append(made)
        return 201, _shown(made)

    def _change(self, flight: Flight, found: PartnerList, fate: Fate) -> tuple[int, Any]:
        users = [user["id"] for user in flight.body["users"]]
        refused = set(users) if self.refuses_all else self.rejected
        if not self.poison.isdisjoint(users):
            if len(users) == 1:
                self._ledger.refused(flight.audience, users[0], "call_refused")
            return 400, {"error": "One of the users makes the whole call unreadable."}
        taken = [user for user in users if user not in refused]
        rejected: list[dict[str, Any]] = [
            {"index": index, "code": "user_rejected", "message": "This user is not accepted."}
            for index, user in enumerate(users)
            if user in refused
        ]
        for each in rejected:
            certain = bool(taken) or len(users) == 1 or _are_of_as_many_batches(flight, users)
            self._ledger.refused(flight.audience, users[each["index"]], "user_rejected", certain=certain)
        if fate.applies == "part":
            taken = taken[: len(taken) // 2]
        direction = _DIRECTIONS[flight.method]
        if direction == "joined":
            found.members.update(taken)
        else:
            found.members.difference_update(self._same(found.members, taken))
        self._ledger.applied(flight.audience, direction, taken)
        self._tell(f"{'+' if direction == 'joined' else '-'}{taken} applied", flight.audience)
        return 200, {"accepted": len(taken), "rejected": rejected}

    def _same(self, members: set[str], users: list[str]) -> set[str]:
        if not self._several:
            return set(users)
        parts = {part for user in users for part in user.split("/")}
        return {member for member in members if not parts.isdisjoint(member.split("/"))}

    def _list(self, path: str) -> PartnerList | None:
        wanted = unquote(path.partition("/")[0])
        return next((one for one in self.lists if one.id == wanted), None)


def _are_of_as_many_batches(flight: Flight, users: list[str]) -> bool:
    """Whether no two of these users of a call come from one of the messages whose turn it is: then each is refused by itself."""
    leased = flight.hand.leased
    if leased is None:
        return False
    messages = [decode(body) for body in (leased.body, *(one.body for one in leased.following))]
    if messages[0].kind != "change":
        return False
    newest = {one.user["id"].lower(): place for place, message in enumerate(messages) for one in message.mutations}
    return len({newest.get(user) for user in users}) == len(users)


def _shown(one: PartnerList) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "reference": one.reference, "size": len(one.members)}


def _response(request: Request, status: int, body: Any, fate: Fate, now: float) -> Answer:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        status, body = 401, {"error": "A valid bearer token is needed."}
    headers = {"Content-Type": "text/html" if fate.html else "application/json"}
    if fate.retry_after:
        date = formatdate(math.ceil(now + fate.retry_after), usegmt=True)
        headers["Retry-After"] = date if fate.date else f"{math.ceil(fate.retry_after)}"
    content = b"<!doctype html><title>Error</title>" if fate.html else msgspec.json.encode(body)
    return Answer(status, headers, content)


class ScriptedConnections:
    """In the place of `adapters.connection.Connections`: calls go to the script."""

    def __init__(self, partner: ScriptedPartner) -> None:
        self._partner = partner

    def send(
        self, call: Call, method: str, _place: Place, target: str, headers: dict[str, str], content: bytes, **_: float
    ) -> Answer:
        """As the real ones do."""
        return self._partner.exchange(Request(method, target, headers, content), call)


@contextmanager
def without_sockets(partner: ScriptedPartner) -> Iterator[None]:
    """Connections that the real client opens meanwhile lead to the script."""
    with patch("adapters.client.Connections", lambda: ScriptedConnections(partner)):
        yield
