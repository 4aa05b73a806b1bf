"""`diy connectors test`: the credentials, then one test user through the real queue and worker, joining and leaving again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from relay.cli.connectors.given_user import EXAMPLE, read_user, user_option
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import printable, show_json, whole
from relay.cli.seconds import Seconds
from relay.cli.session import Session, with_state
from relay.connectors.live import live
from relay.domain.connector import Connector
from relay.domain.message import Mutation
from relay.operating.trial_message import TEST_AUDIENCE, TEST_USER

if TYPE_CHECKING:
    from relay.operating.queue_test import Step


@click.command()
@click.argument("name")
@user_option
@click.option("--user-id", metavar="ID", help=f"The test user's ID. Unless any identifier is given: {TEST_USER!r}.")
@click.option("--identifier", "identifiers", multiple=True, metavar="NAME=VALUE", help="Another identifier; may be repeated.")
@click.option("--audience", metavar="ID", help=f"An audience to use, instead of {TEST_AUDIENCE!r}, which is made if need be.")
@click.option("--keep", is_flag=True, help="Does not remove the user at the end.")
@click.option("--timeout", type=Seconds(1, 600), default="30s", show_default=True, help="How long to wait for each step.")
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
    from relay.operating.queue_test import (
        QueueTest,
        ask_credentials,
        audience_for_tests,
        passed,
        require_complete,
        unsendable,
    )
    from worker.partners import Partners

    if given is not None and (user_id or identifiers):
        raise click.UsageError("Give the user by --user, or by --user-id and --identifier.")
    connector = live(session.backend.connectors, name)
    user = _user(connector, given, user_id, identifiers)
    require_complete(session.backend, connector)
    adapter = Partners(session.backend, session.clock).open(connector)
    credentials = ask_credentials(session.backend, connector, adapter, now=session.now)
    steps: list[Step] = []
    if credentials.usable:
        steps = unsendable(session.backend, connector, adapter, audience, user, now=session.now, leaves=not keep)
        if not steps:
            audience = audience or audience_for_tests(session.backend, session.clock, connector)
            trial = QueueTest(session.backend, session.clock, connector, audience)
            joined, left = trial.send(user, "joined"), ""
            try:
                steps = trial.wait(joined, "joined", timeout)
            finally:
                if not keep:
                    left = trial.leave(user)
            if left:
                steps += trial.wait(left, "left", timeout)
    session.backend.audit.add(by=session.by, what="test", subject=name)
    well = passed(steps)
    if session.as_json:
        tested = {"passed": well, "audience": audience, "credentials": credentials, "steps": steps}
        show_json(whole(tested))
    else:
        click.echo(printable(f"credentials: {credentials}"))
        for step in steps:
            click.echo(printable(str(step)))
    if any(step.outcome == "rejected" for step in steps) and given is None and not user_id and not identifiers:
        session.note(f"The user was made up. To give one that this connector can send: --user {EXAMPLE}")
    if not well:
        raise click.exceptions.Exit(SOMEONE_MUST_ACT)


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
