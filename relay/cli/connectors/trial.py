"""`diy connectors test`: the credentials, then one test user through the real queue and worker, joining and leaving again."""

from __future__ import annotations

from typing import Any, Literal

import click
import msgspec
from msgspec.structs import replace

from adapters.contract import Adapter
from relay.backends.interfaces import Backend
from relay.cli.connectors.chosen import require_may_call
from relay.cli.connectors.given_user import EXAMPLE, read_user, user_option
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import printable, show_json, whole
from relay.cli.session import Session, with_state
from relay.connectors.live import live
from relay.domain.audience import Hold
from relay.domain.clock import Clock
from relay.domain.connector import Connector
from relay.domain.errors import Conflict, CredentialsRefused, PartnerError, Unsupported
from relay.domain.message import Direction, Mutation
from relay.domain.outcome import Outcome, Report
from relay.health.advice import ADVICE, meaning, what_to_do
from relay.operating.trial_message import trial_message

TEST_AUDIENCE = "diy-relay-test"
TEST_USER = "diy-relay-test-user"
TEST_AUDIENCE_NAME = "DIY Relay test - may be deleted"

_POLL_S = 0.2


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


@click.command()
@click.argument("name")
@user_option
@click.option("--user-id", metavar="ID", help=f"The test user's ID. Unless any identifier is given: {TEST_USER!r}.")
@click.option("--identifier", "identifiers", multiple=True, metavar="NAME=VALUE", help="Another identifier; may be repeated.")
@click.option("--audience", metavar="ID", help=f"An audience to use, instead of {TEST_AUDIENCE!r}, which is made if need be.")
@click.option("--keep", is_flag=True, help="Does not remove the user at the end.")
@click.option("--timeout", type=click.FloatRange(1, 600), default=30.0, show_default=True, help="Seconds to wait for each step.")
@with_state(json=True)
def test(
    session: Session,
    name: str,
    given: dict[str, Any] | None,
    user_id: str | None,
    identifiers: tuple[str, ...],
    audience: str | None,
    keep: bool,
    timeout: float,
) -> None:
    """Checks the credentials, then sends a test user. It joins an audience and leaves it again, through the queue and the worker.

    The audience is one for tests, named "DIY Relay test - may be deleted" at the partner, unless another is given. A connector
    that gathers sends at once what waits for this audience. Ends with 1 if the partner did not take the user.

    \b
    Examples:
      diy connectors test pangolin
      diy connectors test pangolin --user-id test-1
      diy connectors test pangolin --user '{"Email": "test@example.com"}'
      diy connectors test pangolin --identifier email=test@example.com --keep
    """
    from worker.creation import create_audience
    from worker.partners import Partners

    if given is not None and (user_id or identifiers):
        raise click.UsageError("Give the user by --user, or by --user-id and --identifier.")
    connector = live(session.backend.connectors, name)
    user = _user(connector, given, user_id, identifiers)
    _require_complete(session.backend, connector)
    adapter = Partners(session.backend, session.clock).open(connector)
    credentials = _credentials(session, connector, adapter)
    steps: list[Step] = []
    if credentials.outcome in ("accepted", "unchecked"):
        steps = _unsendable(session, connector, adapter, audience, user)
        if not steps:
            if audience is None:
                made = create_audience(
                    session.backend, name, TEST_AUDIENCE, name=TEST_AUDIENCE_NAME, customer=None, clock=session.clock
                )
                audience = made.id
            trial = _Trial(session.backend, session.clock, connector, audience, user, timeout)
            steps = trial.send("joined")
            if not keep:
                steps += trial.send("left")
    session.backend.audit.add(by=session.by, what="test", subject=name)
    outcomes = {step.outcome for step in steps}
    passed = "delivered" in outcomes and not outcomes & _FAILED
    if session.as_json:
        tested = {"passed": passed, "audience": audience, "credentials": credentials, "steps": steps}
        show_json(whole(tested))
    else:
        click.echo(printable(f"credentials: {credentials}"))
        for step in steps:
            click.echo(printable(str(step)))
    if "rejected" in outcomes and given is None and not user_id and not identifiers:
        session.note(f"The user was made up. To give one that this connector can send: --user {EXAMPLE}")
    if not passed:
        raise click.exceptions.Exit(SOMEONE_MUST_ACT)


class Credentials(msgspec.Struct, frozen=True):
    """What the partner says of the credentials. `failed`: it could not be asked."""

    outcome: Literal["accepted", "refused", "unchecked", "failed"]
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}{f': {self.hint}' if self.hint else ''}"


def _require_complete(backend: Backend, connector: Connector) -> None:
    """Raises `Conflict`."""
    from adapters.registry import describe
    from relay.connectors.completeness import in_a_row, missing

    description = describe(connector.adapter, connector.settings)
    if description is not None and (lacking := missing(connector, description, backend.secrets)):
        raise Conflict(f"{connector.name} is incomplete: {in_a_row(lacking)}")


def _credentials(session: Session, connector: Connector, adapter: Adapter) -> Credentials:
    try:
        require_may_call(session.backend, connector.name, session.now)
        adapter.check_credentials()
    except (Conflict, Unsupported) as error:
        return Credentials("unchecked", str(error))
    except CredentialsRefused as error:
        return Credentials("refused", error.hint)
    except PartnerError as error:
        return Credentials("failed", error.hint)
    return Credentials("accepted")


def _unsendable(session: Session, connector: Connector, adapter: Adapter, audience: str | None, user: Mutation) -> list[Step]:
    """Why nothing would be sent of this user who joins; empty if something would."""
    from worker.preview import preview

    known = session.backend.audiences.get(connector.name, audience) if audience else None
    name = (known.name if known else "") or audience or TEST_AUDIENCE_NAME
    message = trial_message(connector, audience or TEST_AUDIENCE, user, session.now)
    found = preview(connector, adapter, [message], audience_name=name, partner_id=(known.partner_id if known else None) or "")
    if found.calls:
        return []
    return [Step("joined", result.outcome, result.action, result.hint or result.code) for result in found.settled]


class _Trial:
    """The changes of one test, one after the other."""

    def __init__(
        self, backend: Backend, clock: Clock, connector: Connector, audience: str, user: Mutation, patience_s: float
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._connector = connector
        self._audience = audience
        self._user = user
        self._patience_s = patience_s

    def send(self, direction: Direction) -> list[Step]:
        """Queues the change and waits for what becomes of it."""
        message = trial_message(self._connector, self._audience, replace(self._user, direction=direction), self._clock.now())
        self._backend.queue.publish([message])
        give_up_at = self._clock.monotonic() + self._patience_s
        while True:
            report = self._report(message.request_id)
            if report is not None and not report.held:
                return _steps(direction, report, message.request_id)
            hold = self._hold_of(message.request_id)
            left_s = give_up_at - self._clock.monotonic()
            if hold is not None and (left_s <= 0 or hold.due_at is None or hold.due_at > self._clock.now() + left_s):
                return [self._waiting(direction, hold)]
            if left_s <= 0:
                hint = "no worker took it from the queue in time; it goes on waiting there. Is one running? diy worker"
                return [Step(direction, "unhandled", hint=hint)]
            self._clock.sleep(_POLL_S)

    def _report(self, request_id: str) -> Report | None:
        """The newest report of an attempt that included the request."""
        reports = self._backend.reports.attempts(self._connector.name, limit=1_000)
        return next((report for report in reports if request_id in report.request_ids), None)

    def _hold_of(self, request_id: str) -> Hold | None:
        """The hold that the request waits in. One that only gathers is sent off now, and then due."""
        audience = self._backend.audiences.get(self._connector.name, self._audience)
        if audience is None or audience.hold is None:
            return None
        waiting = self._backend.audiences.peek(self._connector.name, self._audience, limit=1_000)
        if all(batch.message.request_id != request_id for batch in waiting):
            return None
        now = self._clock.now()
        if audience.hold.reason == "gathering" and (audience.hold.due_at is None or audience.hold.due_at > now):
            self._backend.audiences.make_due(self._connector.name, self._audience, reasons={"gathering"})
            return replace(audience.hold, due_at=now)
        return audience.hold

    def _waiting(self, direction: Direction, hold: Hold) -> Step:
        audience = self._backend.audiences.get(self._connector.name, self._audience)
        why, do = ADVICE[hold.reason].meaning, ""
        if audience is not None:
            state = self._backend.connectors.state(self._connector.name)
            why = meaning(audience, hold, self._connector, state)
            do = what_to_do(audience, hold, self._connector, state)
        detail = f" ({hold.detail})" if hold.detail else ""
        return Step(direction, "waiting", hint=f"{why}{detail}{f' -> {do}' if do else ''}")


def _steps(direction: Direction, report: Report, request_id: str) -> list[Step]:
    """One step for what was delivered, and one for each action that did not deliver."""
    delivered = [Step(direction, "delivered")] if report.counts.get("delivered") else []
    return delivered + [
        Step(direction, result.outcome, result.action, result.hint or result.code)
        for result in report.exceptions
        if result.request_id == request_id and result.outcome not in ("delivered", "retry")
    ]


def _user(connector: Connector, given: dict[str, Any] | None, user_id: str | None, identifiers: tuple[str, ...]) -> Mutation:
    """The user, who joins."""
    if given is not None:
        read = read_user(given, connector)
        if read.audience:
            raise click.UsageError("A test uses its own audience or the one of --audience: leave it out of --user.")
        return replace(read.mutation, direction="joined")
    user = {"id": user_id} if user_id else {}
    for text in identifiers:
        identifier, separator, value = text.partition("=")
        if not separator or not identifier or not value:
            raise click.BadParameter("An identifier looks like email=test@example.com.", param_hint="--identifier")
        user[identifier] = value
    return Mutation(index=0, user=user or {"id": TEST_USER})
