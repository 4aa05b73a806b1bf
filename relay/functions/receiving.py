"""`diy`: the receiver, with what creates audiences for it."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

from relay.configuration import Configuration
from relay.domain.clock import SystemClock
from relay.functions import parts
from relay.functions.ending import process_is_ending, see_to_the_end
from relay.functions.parts import Once

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from handlers.creation import AudienceMode, Creator
    from handlers.inbound import InboundView
    from handlers.mapp.receiver import Receiver

_REREAD_EMBEDDED_S = 1.0
"""The inbound document is a file beside us here, and looking at it costs microseconds."""

_REREAD_GOOGLE_S = 60.0
"""It is mounted as a file, or read over the network without one: each look is an access to Secret Manager, which is billed."""

_COLLECTED_AFTER = 50_000
"""New objects that can hold others: those of about a hundred requests of 100 mutations, a few megabytes."""

_THREADS_TAKE_TURNS_S = 0.0002
"""Creations run in threads beside the event loop. By default each of them may keep it waiting for five milliseconds."""

REREAD_STAND_IN_S = 2.0
"""Where Secret Manager is a stand-in on this machine, looking costs nothing, and a rotation is seen at once."""


def load_ahead() -> None:
    """Imports what the first request would wait for, longer than its answer may take, and reads the inbound document where that
    is a mounted file. Nothing connects, since the server forks after this.

    What a request makes holds no circles, and there is much of it: the collector comes less often than by default.
    """
    import handlers.mapp.receiver  # noqa: F401 - to have it, like those below

    parts.load_publisher_ahead()
    if parts.configuration().backend == "google":
        import relay.backends.google.inbound  # noqa: F401 - to have it

        if parts.configuration().inbound_file:
            _view().read_ahead()
    parts.keep_what_is_loaded()
    gc.set_threshold(_COLLECTED_AFTER)
    sys.setswitchinterval(_THREADS_TAKE_TURNS_S)


async def receive(request: Request) -> Response:
    """`diy`: one request of the DMP."""
    return await _receiver()(request)


@Once
def _receiver() -> Receiver:
    from handlers.mapp.receiver import Receiver

    return Receiver(_view(), parts.backend().publisher(), _LateCreator(), SystemClock())


@Once
def _view() -> InboundView:
    from handlers.inbound import InboundView

    return InboundView(parts.backend().inbound, reread_s=_reread_s(parts.configuration()))


def _reread_s(configuration: Configuration) -> float:
    if configuration.backend == "embedded":
        return _REREAD_EMBEDDED_S
    return REREAD_STAND_IN_S if configuration.secret_manager_emulator else _REREAD_GOOGLE_S


@Once
def _creator() -> Creator:
    if url := parts.configuration().create_url:
        from handlers.remote_creator import RemoteCreator

        return RemoteCreator(url)
    from worker.creator import InProcessCreator

    see_to_the_end()
    return InProcessCreator(parts.backend(), SystemClock(), stopping=process_is_ending)


def _import_creator() -> None:
    if parts.configuration().create_url:
        import handlers.remote_creator  # noqa: F401 - to have it
    else:
        import worker.creator  # noqa: F401 - to have it


class _LateCreator:
    """The creator, loaded with the first creation, while other requests go on: a receiver that only takes changes never loads an
    adapter."""

    def __init__(self) -> None:
        self._imported = False

    async def create(
        self,
        *,
        connector: str,
        audience: str,
        name: str,
        customer: int | str | None,
        mode: AudienceMode,
        request_id: str,
    ) -> str:
        if not self._imported:
            await asyncio.to_thread(_import_creator)
            self._imported = True
        return await _creator().create(
            connector=connector, audience=audience, name=name, customer=customer, mode=mode, request_id=request_id
        )
