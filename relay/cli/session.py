"""The state that a command works on: opened, named on standard error, and closed again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from relay import configuration as environment
from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import Configuration
from relay.domain.clock import Clock, SystemClock
from relay.domain.errors import ConfigurationError


class Session:
    """What one run of a command has in hand: the state, opened when it is first asked for, and how to speak.

    as_json: the result is for a script. create: a state may be made where there is none.
    """

    def __init__(self, configuration: Configuration, clock: Clock, *, as_json: bool, quiet: bool, create: bool) -> None:
        self.configuration = configuration
        self.clock = clock
        self.as_json = as_json
        self._quiet = quiet or as_json
        self._create = create
        self._backend: Backend | None = None

    @property
    def backend(self) -> Backend:
        """The state. The first use names it on standard error, and says so if it was made just now.

        Raises `ConfigurationError` where there is none and the command must not make one.
        """
        if self._backend is None:
            self._backend, new = _open(self.configuration, self.clock, create=self._create)
            if new:
                click.echo(f"state: {_where(self.configuration)}, new", err=True)
            else:
                self.note(f"state: {_where(self.configuration)}")
        return self._backend

    def name_state(self) -> None:
        """Opens the state now, for a command that hands the work to others: see `backend`."""
        _ = self.backend

    @property
    def by(self) -> str:
        """Who does it, for the audit."""
        return self.configuration.user

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now()

    def note(self, text: str) -> None:
        """A remark beside the result: on standard error, left out with --quiet and --json."""
        if not self._quiet:
            click.echo(text, err=True)

    def close(self) -> None:
        """Closes the state if it was opened."""
        if self._backend is not None:
            self._backend.close()


Command = TypeVar("Command", bound=Callable[..., None])


def quiet_option(command: Command) -> Command:
    """Adds --quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="Only the result: no line about the state.")(command)


def json_option(command: Command) -> Command:
    """Adds --json."""
    return click.option("--json", "as_json", is_flag=True, help="The result as JSON.")(command)


def with_state(*, json: bool = False, create: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that works on the state: it is given the `Session` first.

    json: it has a result to show, and --json. create: it may make a state where there is none, and says so even with --quiet; any
    other command ends with a `ConfigurationError` there.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*arguments: Any, quiet: bool, as_json: bool = False, **named: Any) -> None:
            session = Session(environment.read(), SystemClock(), as_json=as_json, quiet=quiet, create=create)
            try:
                command(session, *arguments, **named)
            finally:
                session.close()

        with_quiet = quiet_option(run)
        return json_option(with_quiet) if json else with_quiet

    return decorate


def _open(configuration: Configuration, clock: Clock, *, create: bool) -> tuple[Backend, bool]:
    """The back end, and whether its state was made just now."""
    try:
        return open_backend(configuration, clock, create=False), False
    except ConfigurationError:
        if not create:
            raise
        return open_backend(configuration, clock, create=True), True


def _where(configuration: Configuration) -> str:
    if configuration.backend == "embedded":
        return f"{configuration.state_dir.absolute()} (embedded)"
    return f"project {configuration.google_cloud_project} ({configuration.backend})"
