"""The local run on the embedded back end: everything is in the state directory, and a worker process delivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import relay.configuration
from relay.configuration import Configuration
from relay.local_run.preparation import Prepared
from relay.local_run.stack import PYTHON, Process, Remarks, console, feeds, pangolin, receiver


class EmbeddedStack:
    """See `stack.Stack`."""

    remarks = Remarks((), "", "the state is kept")

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        directory = configuration.state_dir
        self.state = f"{directory.resolve()}{'' if directory.exists() else ' (new)'}"

    def check(self) -> None:
        pass

    def foundation(self) -> Sequence[Process]:
        return ()

    def lay(self) -> None:
        pass

    def processes(self, prepared: Prepared) -> Sequence[Process]:
        settings = self.configuration
        worker = (*PYTHON, "relay.cli", "worker", "--quiet")
        return (
            pangolin(settings),
            Process("worker", worker, relay.configuration.environment(settings), sign="worker_started"),
            receiver(settings, prepared),
            console(settings),
            *feeds(settings),
        )

    def attended(self, complain: Callable[[str], None]) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        return nullcontext()
