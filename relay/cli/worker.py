"""`diy worker`: delivers what is queued."""

from __future__ import annotations

import sys

import click

from relay.cli.session import Session, with_state


@click.command()
@with_state()
def worker(session: Session) -> None:
    """Delivers what is queued to the partners, until Ctrl-C.

    It works on the state that STATE_DIR names, and writes one line of JSON for every attempt to standard error. Several
    workers can share a state. With BACKEND=google there is nothing to start: the function deliver is the worker.

    \b
    Example:
      diy worker --quiet
    """
    session.name_state()
    session.close()
    from worker.process import run_worker

    sys.exit(run_worker(session.configuration))
