"""Looks how connectors stand, and tells whom their documents name of each change, once.

What changed is written down first, by a conditional write, and sent then: of several workers one makes a notice, and none is
forgotten when a process ends in between. Who sends one claims it for a minute; a process that ends within it leaves a notice that
is sent again, under the same ID.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from relay.backends.interfaces import Backend, Notices
from relay.domain import notice as policy
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.connector import Connector, ConnectorState
from relay.domain.errors import ConfigurationError, NotTaken
from relay.domain.notice import Channel, Notice, Situation, Watch
from relay.health.gravest import Explanation, Trouble, explained, trouble
from relay.wide_log import log
from worker.catalog import Catalog, Running
from worker.holds import running_or_why
from worker.notice_sending import NoticeSending, channels_of

T = TypeVar("T")

LOOK_S = 5.0
_SHARE = 0.05
"""Of the time at most so much is spent looking, however many audiences wait."""
_SENDING_S = 10.0
"""After so long no look begins to send another notice: what happens meanwhile must be seen, however slow a receiver is."""


class NoticeKeeper:
    """For one worker process, in a thread of its own. `stopping`: nothing further is begun."""

    def __init__(
        self,
        backend: Backend,
        catalog: Catalog,
        sending: NoticeSending,
        clock: Clock,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._backend = backend
        self._store = _store(backend)
        self._catalog = catalog
        self._sending = sending
        self._clock = clock
        self._stopping = stopping
        self._looked_for_s = 0.0

    def look(self) -> None:
        """Notes what changed, and sends what is to be sent now, or a part of it; the next look goes on. Raises
        `StoreUnavailable`."""
        began = self._clock.monotonic()
        states = {state.name: state for state in self._backend.connectors.states()}
        notified = {name: running for name, state in states.items() if (running := self._notified(state)) is not None}
        watches = {watch.connector: watch for watch in self._store.all()}
        for name in watches.keys() - notified.keys():
            if self._is_gone(states.get(name)):
                self._store.replace(name, watches.pop(name), None)
        held = self._held() if notified else {}
        current: dict[str, Watch | None] = {}

        def note(name: str) -> None:
            current[name] = self._note(states[name], notified[name], held.get(name, []), watches.get(name))

        def send(watch: Watch) -> None:
            self._send(watch, notified[watch.connector].connector, until=until)

        errors = _for_each(notified, note)
        noted_at = self._clock.monotonic()
        self._looked_for_s = noted_at - began
        until = noted_at + _SENDING_S
        errors += _for_each(sorted(filter(None, current.values()), key=_untried_first), send)
        if errors:
            raise errors[0]

    def pause_s(self) -> float:
        """Seconds until the next look."""
        return max(LOOK_S, self._looked_for_s / _SHARE)

    def _notified(self, state: ConnectorState) -> Running | None:
        """The connector as it runs, if it names anybody to be told."""
        running, _ = running_or_why(self._catalog, state)
        return running if running is not None and channels_of(running.connector.notify) else None

    def _is_gone(self, state: ConnectorState | None) -> bool:
        """Whether nobody is to be told of this connector any more: it was deleted, or names nobody. One that only cannot be read
        is watched again when it can."""
        return state is None or not state.live or running_or_why(self._catalog, state)[0] is not None

    def _held(self) -> dict[str, list[Audience]]:
        held: defaultdict[str, list[Audience]] = defaultdict(list)
        for audience in self._backend.audiences.held():
            held[audience.connector].append(audience)
        return held

    def _note(self, state: ConnectorState, running: Running, held: list[Audience], before: Watch | None) -> Watch | None:
        """The record after this look; None where another worker has changed it meanwhile."""
        watch = before or Watch(policy.VERSION, state.name)
        if not state.enabled or state.paused or running.missing:
            after = policy.unwatched(watch)
        else:
            found = trouble(held, state)
            after = policy.look(watch, found.standing, found.reason, self._clock.now())
            if found.standing == "fine" and self._is_hidden(watch, held, state):
                after = policy.unwatched(watch)
            if policy.begins(watch, after):
                after = replace(after, delivered_before=self._delivered(state.name, (after.seen or after.told).since))
            if after.told != watch.told:
                notice = self._notice(watch, after, found, explained(found, running.connector, state))
                after = policy.told(after, notice, channels_of(running.connector.notify))
        if after == before or (before is None and after == watch):
            return after
        return after if self._store.replace(state.name, before, after) else None

    def _notice(self, before: Watch, after: Watch, found: Trouble, why: Explanation) -> Notice:
        situation, name = after.told, after.connector
        notice = Notice(
            id=uuid.uuid4().hex,
            connector=name,
            at=self._clock.now(),
            situation=situation,
            meaning=why.meaning,
            detail=why.detail,
            what_to_do=why.what_to_do,
            audiences=found.audiences,
            batches=found.batches,
            mutations=found.mutations,
        )
        if situation.standing != "fine":
            return notice
        began = before.trouble_since
        return replace(notice, lasted_s=max(0.0, situation.since - began), delivered=self._delivered_since(before))

    def _is_hidden(self, watch: Watch, held: list[Audience], state: ConnectorState) -> bool:
        """Whether what was told has not passed, since an operator has paused the audiences in which it stands. That the partner
        takes nothing at all has passed once it took something."""
        if watch.told.standing == "fine" or not any(audience.paused for audience in held):
            return False
        behind = trouble([replace(audience, paused=False) for audience in held], state)
        if not Situation(behind.standing, behind.reason).same_as(watch.told):
            return False
        return behind.standing == "needs_someone" or not self._delivered_since(watch)

    def _delivered_since(self, watch: Watch) -> int:
        """Mutations since its trouble began."""
        return max(0, self._delivered(watch.connector, watch.trouble_since) - watch.delivered_before)

    def _delivered(self, name: str, since: float) -> int:
        return self._backend.reports.totals(name, since=since).get("delivered", 0)

    def _send(self, watch: Watch, connector: Connector, *, until: float) -> None:
        """What is due of this notice, to those whom the document names now. until: when nothing more is begun (monotonic)."""
        for one in watch.untaken:
            if self._stopping() or self._clock.monotonic() >= until:
                return
            if one.due_at > self._clock.now() or one.channel not in channels_of(connector.notify):
                continue
            claimed = policy.claimed(watch, one.channel, until=self._clock.now() + policy.retry_s(one.tries + 1))
            if not self._store.replace(watch.connector, watch, claimed):
                return
            watch = self._try(claimed, one.channel, first=not one.tries, connector=connector)
            if watch.notice != claimed.notice:
                return  # overtaken meanwhile: the next look sees to that one

    def _try(self, watch: Watch, channel: Channel, *, first: bool, connector: Connector) -> Watch:
        notice = watch.notice
        assert notice is not None  # noqa: S101 - somebody is to take it
        fields: dict[str, Any] = {
            "connector": watch.connector, "notice": notice.id, "state": notice.situation.standing, "channel": channel,
        }  # fmt: skip
        try:
            self._sending.send(channel, connector.notify, notice)
        except NotTaken as error:
            if first:
                log("notice_not_taken", "WARNING", **fields, code=error.code, hint=str(error))
            return watch
        log("notice_taken", **fields)
        return self._taken(watch, notice.id, channel)

    def _taken(self, watch: Watch, notice_id: str, channel: Channel) -> Watch:
        """Written down, whatever others have changed meanwhile."""
        while True:
            after = policy.taken(watch, notice_id, channel)
            if after == watch or self._store.replace(watch.connector, watch, after):
                return after
            current = self._store.get(watch.connector)
            if current is None:
                return after
            watch = current


def _untried_first(watch: Watch) -> tuple[int, float]:
    """What nobody has tried to send comes before what was not taken, of which the longest due comes first."""
    return min(((one.tries, one.due_at) for one in watch.untaken), default=(0, 0.0))


def _for_each(each: Iterable[T], work: Callable[[T], None]) -> list[Exception]:
    """What one connector meets costs the others nothing."""
    errors = []
    for one in each:
        try:
            work(one)
        except Exception as error:
            errors.append(error)
    return errors


def _store(backend: Backend) -> Notices:
    if backend.notices is None:
        raise ConfigurationError("Notices are not sent from here: another service watches the connectors.")
    return backend.notices
