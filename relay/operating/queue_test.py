"""One test user sent as the DMP's users are: through the queue and the worker, by the version that runs. It joins an audience for
tests and leaves it again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from adapters.contract import Adapter
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.completeness import in_a_row, missing
from relay.domain.audience import Hold
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, CredentialsRefused, PartnerError, RelayError, Unsupported
from relay.domain.message import VERSION, Direction, Message, Mutation
from relay.domain.outcome import Outcome, Report
from relay.health.advice import ADVICE, meaning, what_to_do
from relay.health.asking import require_may_call
from relay.health.causes import cause
from relay.operating.previewing import why_stays
from relay.operating.trial_message import TEST_AUDIENCE, TEST_AUDIENCE_NAME, trial_message
from worker.creation import create_audience
from worker.preview import preview

_POLL_S = 0.2
_LOOKED_AT = (50, 250, 1_000)
"""So many of the newest attempts, and more while these do not reach back to the test's beginning."""

_CLOCKS_S = 60.0
"""By so much the worker's clock may be behind."""

StepOutcome = Outcome | Literal["waiting", "unhandled"]

_FAILED: frozenset[StepOutcome] = frozenset({"rejected", "waiting", "unhandled"})


class Step(msgspec.Struct, frozen=True):
    """What became of one change. `action`: empty where it concerns the change as a whole."""

    direction: Direction
    outcome: StepOutcome
    action: str = ""
    hint: str = ""

    def __str__(self) -> str:
        action = f" by {self.action!r}" if self.action else ""
        return f"{self.direction}: {self.outcome}{action}{f': {self.hint}' if self.hint else ''}"

    @property
    def failed(self) -> bool:
        """Whether somebody has to look at it."""
        return self.outcome in _FAILED


class Credentials(msgspec.Struct, frozen=True):
    """What the partner says of the credentials. `failed`: it could not be asked."""

    outcome: Literal["accepted", "refused", "unchecked", "failed"]
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}{f': {self.hint}' if self.hint else ''}"

    @property
    def usable(self) -> bool:
        """Whether a user can be sent with them, as far as that is known."""
        return self.outcome in ("accepted", "unchecked")


class Stays(Conflict):
    """The leaving could not be queued."""


def passed(steps: list[Step]) -> bool:
    """Whether the partner took the user, and nothing went wrong."""
    return any(step.outcome == "delivered" for step in steps) and not any(step.failed for step in steps)


def require_complete(backend: Backend, connector: Connector) -> None:
    """Raises `Conflict` where something is missing that it needs to run."""
    description = describe(connector.adapter, connector.settings)
    if description is not None and (lacking := missing(connector, description, backend.secrets)):
        raise Conflict(f"{connector.name} is incomplete: {in_a_row(lacking)}")


def ask_credentials(backend: Backend, connector: Connector, adapter: Adapter, *, now: float) -> Credentials:
    """Asks the partner, unless it asked not to be called."""
    try:
        require_may_call(backend, connector.name, now)
        adapter.check_credentials()
    except (Conflict, Unsupported) as error:
        return Credentials("unchecked", str(error))
    except CredentialsRefused as error:
        return Credentials("refused", error.hint)
    except PartnerError as error:
        return Credentials("failed", error.hint)
    return Credentials("accepted")


def unsendable(
    backend: Backend, connector: Connector, adapter: Adapter, audience: str | None, user: Mutation, *, now: float,
    leaves: bool = True
) -> list[Step]:
    """Why nothing would be sent of this user who joins, or why they would stay although they are to leave; empty if there is no
    such reason. audience: None for the one for tests."""
    known = backend.audiences.get(connector.name, audience) if audience else None
    name = (known.name if known else "") or audience or TEST_AUDIENCE_NAME
    message = trial_message(connector, audience or TEST_AUDIENCE, user, now)
    partner_id = (known.partner_id if known else None) or ""
    found = preview(connector, adapter, [message], audience_name=name, partner_id=partner_id)
    if found.calls:
        stays = why_stays(connector, adapter, message, audience_name=name, partner_id=partner_id) if leaves else ""
        return [Step("left", "unhandled", hint=stays)] if stays else []
    return [Step("joined", result.outcome, result.action, result.hint or result.code) for result in found.settled]


def audience_for_tests(backend: Backend, clock: Clock, connector: Connector) -> str:
    """Its ID; made at the partner if need be. Raises `Conflict` where the connector does not run now, or what the partner
    answers."""
    return create_audience(backend, connector.name, TEST_AUDIENCE, name=TEST_AUDIENCE_NAME, customer=None, clock=clock).id


class QueueTest:
    """The changes of one test, one after the other. audience: the DMP's ID of the one that the user joins. since: when it began,
    in seconds since the epoch; now, unless given."""

    def __init__(
        self, backend: Backend, clock: Clock, connector: Connector, audience: str, *, since: float | None = None
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._connector = connector
        self._audience = audience
        self._since = clock.now() if since is None else since

    def send(self, user: Mutation, direction: Direction) -> str:
        """Queues the change. Returns its request ID."""
        message = trial_message(self._connector, self._audience, replace(user, direction=direction), self._clock.now())
        self._backend.queue.publish([message])
        return message.request_id

    def leave(self, user: Mutation) -> str:
        """Queues the leaving of somebody whose joining is queued. Raises `Stays`, which says where the user stays."""
        try:
            self._part()
            return self.send(user, "left")
        except RelayError as error:
            where = f"the audience {self._audience} of {self._connector.name}"
            sentence = f"The test user may stay at the partner, in {where}, since the leaving could not be queued: {error}"
            raise Stays(sentence) from error

    def _part(self) -> None:
        """What follows has a turn of its own: together with the joining, nothing but the leaving would be tried. A resume that
        nobody needs does nothing else."""
        now, connector = self._clock.now(), self._connector.name
        resume = Message(VERSION, "resume", connector, self._audience, f"test-{uuid.uuid4().hex}", now)
        self._backend.queue.publish([resume])

    def wait(self, request_id: str, direction: Direction, patience_s: float) -> list[Step]:
        """What becomes of it, once that is known or the patience is at its end. What only gathers is sent off meanwhile."""
        give_up_at = self._clock.monotonic() + patience_s
        while True:
            report = _newest_of(request_id, self._reports())
            if report is not None and not report.held:
                return _steps(direction, report, request_id)
            hold = self._hurried(self._hold_of(request_id))
            left_s = give_up_at - self._clock.monotonic()
            if hold is not None and (left_s <= 0 or not self._goes_on(hold, left_s)):
                return [self._waiting(direction, hold)]
            if left_s <= 0:
                hint = "no worker took it from the queue in time; it goes on waiting there. Is one running? diy worker"
                return [Step(direction, "unhandled", hint=hint)]
            self._clock.sleep(_POLL_S)

    def look(self, sent: Mapping[Direction, str]) -> list[tuple[Direction, list[Step]]]:
        """What has become of each change until now; empty while it is in the queue. Changes nothing. sent: their request IDs."""
        reports = self._reports()
        return [(direction, self._seen(direction, request_id, reports)) for direction, request_id in sent.items()]

    def _seen(self, direction: Direction, request_id: str, reports: list[Report]) -> list[Step]:
        report = _newest_of(request_id, reports)
        if report is not None and not report.held:
            return _steps(direction, report, request_id)
        hold = self._hold_of(request_id)
        return [self._waiting(direction, hold)] if hold is not None else []

    def _reports(self) -> list[Report]:
        """Of the attempts for this audience since the test began, newest first."""
        found: list[Report] = []
        for limit in _LOOKED_AT:
            found = self._backend.reports.attempts(self._connector.name, limit=limit, brief=True)
            if len(found) < limit or found[-1].at < self._since - _CLOCKS_S:
                break
        ours = [one for one in found if one.audience == self._audience and one.at >= self._since - _CLOCKS_S]
        whole = (self._backend.reports.attempt_by_id(one.attempt_id) for one in ours)
        return [report for report in whole if report is not None]

    def _hold_of(self, request_id: str) -> Hold | None:
        """The hold that the request waits in."""
        audience = self._backend.audiences.get(self._connector.name, self._audience)
        if audience is None or audience.hold is None:
            return None
        waiting = self._backend.audiences.peek(self._connector.name, self._audience, limit=1_000)
        return audience.hold if any(batch.message.request_id == request_id for batch in waiting) else None

    def _goes_on(self, hold: Hold, within_s: float) -> bool:
        """Whether it may be tried within that time. A connector that is on was complete when the test began: where a worker still
        knows it otherwise, what it holds for that goes on by itself."""
        if hold.reason == "connector_off":
            return self._backend.connectors.state(self._connector.name).enabled
        return hold.due_at is not None and hold.due_at <= self._clock.now() + within_s

    def _hurried(self, hold: Hold | None) -> Hold | None:
        """One that only gathers is sent off now, and then due."""
        now = self._clock.now()
        if hold is not None and hold.reason == "gathering" and (hold.due_at is None or hold.due_at > now):
            self._backend.audiences.make_due(self._connector.name, self._audience, reasons={"gathering"})
            return replace(hold, due_at=now)
        return hold

    def _waiting(self, direction: Direction, hold: Hold) -> Step:
        audience = self._backend.audiences.get(self._connector.name, self._audience)
        why, do = ADVICE[hold.reason].meaning, ""
        if audience is not None:
            state = self._backend.connectors.state(self._connector.name)
            why = meaning(audience, hold, self._connector, state)
            do = what_to_do(audience, hold, self._connector, state)
        said = cause(hold.reason, why, hold.detail)
        return Step(direction, "waiting", hint=f"{said} -> {do}" if do else said)


def _newest_of(request_id: str, reports: list[Report]) -> Report | None:
    """That of the newest attempt which included the request."""
    return next((report for report in reports if request_id in report.request_ids), None)


def _steps(direction: Direction, report: Report, request_id: str) -> list[Step]:
    """One step for what was delivered, and one for each action that did not deliver."""
    delivered = [Step(direction, "delivered")] if report.counts.get("delivered") else []
    return delivered + [
        Step(direction, result.outcome, result.action, result.hint or result.code)
        for result in report.exceptions
        if result.request_id == request_id and result.outcome not in ("delivered", "retry")
    ]
