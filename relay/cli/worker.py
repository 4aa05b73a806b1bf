"""`diy worker`: delivers what is queued."""

from __future__ import annotations

import sys

import click

from relay import configuration as environment


@click.command()
def worker() -> None:
    """Delivers what is queued to the partners, until Ctrl-C.

    It works on the state that BACKEND and STATE_DIR name, and writes one line of JSON for every attempt to standard error.
    Several workers can share a state.
    """
    from worker.process import run_worker

    sys.exit(run_worker(environment.read()))
