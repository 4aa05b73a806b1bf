"""Single things to know about a connector, or about everything: what is the matter, whether someone must act, and how."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from relay.backends.interfaces import AudienceSummary, QueueDepth
from relay.domain.audience import Audience, Hold, HoldReason
from relay.domain.connector import Connector, ConnectorState, Notify
from relay.domain.notice import Watch
from relay.health.advice import due_at, hold_reason, meaning, needs_someone, what_to_do
from relay.health.causes import cause
from relay.health.wording import count, duration, stopped

UNTOUCHED_S = 30.0
"""A queue whose oldest message is older than this, while none is being handled, has no worker."""

OVERDUE_S = 120.0
"""A hold is resumed within a minute of its due time; twice that and nobody looks at holds."""


class Concern(msgspec.Struct, frozen=True):
    """One thing to know.

    act: someone must do something. kind: a stable word for scripts. do: how, in words and commands; empty where nothing is asked.
    """

    act: bool
    kind: str
    what: str
    do: str = ""


class Held(msgspec.Struct, frozen=True):
    """An audience that waits, with its hold. state: the switches of its connector."""

    audience: Audience
    hold: Hold
    state: ConnectorState | None = None

    @property
    def reason(self) -> HoldReason:
        """As it is now."""
        return hold_reason(self.audience, self.hold)

    @property
    def needs_someone(self) -> bool:
        """Whether it does not pass without a person."""
        return needs_someone(self.audience, self.hold)

    @property
    def due_at(self) -> float | None:
        """When it is tried again by itself, seconds since the epoch."""
        return due_at(self.audience, self.hold, self.state)


def about_queue(depth: QueueDepth | None) -> Concern | None:
    """That no worker takes from the queue, if so, and if the queue can tell."""
    if depth is None or not depth.messages or depth.leased or depth.oldest_s <= UNTOUCHED_S:
        return None
    waiting = f"{count(depth.messages, 'message')} in the queue, the oldest for {duration(depth.oldest_s)}"
    return Concern(True, "no_worker", f"No worker takes what waits: {waiting}.", "diy worker")


def about_room(depth: QueueDepth | None) -> Concern | None:
    """That nothing more is accepted, if so."""
    if depth is None or not depth.full:
        return None
    what = "The disk is nearly full: requests are refused (503), while what was accepted is still delivered."
    return Concern(True, "disk_full", what, "make room on the disk that holds STATE_DIR")


def about_overdue(flowing: Iterable[AudienceSummary], now: float, *, pushed: bool = False) -> Concern | None:
    """That nobody tries again what is due, if so. flowing: the sums of connectors that run, and whose partners may be called.
    pushed: behind a queue that calls the worker, it is the function `tick` that should look."""
    dues = (hold.next_due for one in flowing for hold in one.holds.values() if hold.next_due is not None)
    overdue = [due for due in dues if due < now - OVERDUE_S]
    if not overdue:
        return None
    late = f"the longest since {duration(now - min(overdue))}"
    if pushed:
        do = "see in Cloud Scheduler whether tick is called and succeeds, and in the logs of tick and deliver what they meet"
        return Concern(True, "no_worker", f"What waits is due, and not tried again, {late}.", do)
    return Concern(True, "no_worker", f"No worker tries again what is due, {late}.", "diy worker")


def about_unpublished(state: ConnectorState, newest: int) -> Concern:
    """Of a connector that no version runs. newest: number of its document's newest version."""
    if "@" in state.name:
        return Concern(False, "not_published", "The version that runs has no such environment.")
    do = f"diy connectors publish {shlex.quote(state.name)} {newest}"
    return Concern(False, "not_published", "No version of it is published.", do)


def about_state(state: ConnectorState, lacking: Sequence[str], now: float) -> Iterator[Concern]:
    """What keeps the connector as a whole, or an action of it. lacking: sentences of `completeness.missing`."""
    name = shlex.quote(state.name)
    for sentence in lacking:
        what, command, arguments = sentence.partition(": diy ")  # sentences about secrets end with the command that helps
        do = f"diy {arguments}" if command else "complete the document: diy connectors apply FILE"
        yield Concern(state.enabled, "incomplete", f"It does not run: {what.rstrip('.')}.", do)
    if not state.enabled:
        yield Concern(False, "off", "It is off; what comes in waits.", f"diy connectors enable {name}")
    if state.paused:
        yield Concern(False, "paused", "It is paused; what comes in waits.", f"diy holds resume {name}")
    if state.not_before > now:
        reason = state.not_before_reason.replace("_", " ")
        detail = f": {state.not_before_detail.rstrip('.')}" if state.not_before_detail else ""
        what = f"The partner is left alone for {duration(state.not_before - now)} ({reason}{detail})."
        yield Concern(False, "left_alone", what)
    for action, switch in state.actions.items():
        effect = "what comes in waits" if switch == "paused" else "its mutations are skipped"
        what = f"The action {action!r} is off; {effect}."
        yield Concern(False, "action_off", what, f"diy actions enable {name} {shlex.quote(action)}")


def about_holds(held: Iterable[Held], state: ConnectorState, connector: Connector | None) -> Iterator[Concern]:
    """Why audiences wait; those that wait for the same and need the same are one concern. What gathers is as it should be, and
    what the connector's own state explains is not said twice."""
    groups: dict[tuple[HoldReason, str, str, bool], list[Held]] = {}
    for one in held:
        if one.reason in ("gathering", "connector_off") or (one.reason == "paused" and state.paused):
            continue
        do = what_to_do(one.audience, one.hold, connector, state)
        why = meaning(one.audience, one.hold, connector, state)
        explained = cause(one.reason, why, one.hold.detail)
        groups.setdefault((one.reason, explained, do, one.needs_someone), []).append(one)
    for (reason, explained, do, act), group in groups.items():
        yield Concern(act, f"hold_{reason}", stopped(f"{_waiting(group)}: {explained}"), do)


def about_paused(audiences: Iterable[Audience], state: ConnectorState) -> Iterator[Concern]:
    """Of paused audiences in which nothing waits yet; a pause of the whole connector says it for all of them."""
    for audience in audiences:
        if audience.paused and not audience.hold and not state.paused:
            do = f"diy holds resume {shlex.quote(audience.connector)} {shlex.quote(audience.id)}"
            yield Concern(False, "audience_paused", f"The audience {_called(audience)} is paused; what comes in waits.", do)


def about_old_holds(held: Iterable[Held], state: ConnectorState, connector: Connector, now: float) -> Iterator[Concern]:
    """Of batches that have waited so long that someone should know before they become rejections."""
    retention = connector.retention
    groups: dict[tuple[HoldReason, str], list[Held]] = {}
    for one in held:
        if one.hold.oldest_at and one.hold.oldest_at < now - retention.warning_s:
            groups.setdefault((one.reason, what_to_do(one.audience, one.hold, connector, state)), []).append(one)
    for (reason, do), group in groups.items():
        oldest_s = now - min(one.hold.oldest_at for one in group)
        fate = f"at {duration(retention.holds_s)} they become rejections"
        what = f"{_waiting(group)}, the oldest for {duration(oldest_s)} ({reason.replace('_', ' ')}); {fate}."
        yield Concern(True, "old_hold", what, do or _to_look_at(group))


def _waiting(group: Sequence[Held]) -> str:
    batches = sum(one.hold.batches for one in group)
    whose = f"audience {_called(group[0].audience)}" if len(group) == 1 else f"{len(group):,} audiences"
    return f"{count(batches, 'batch', 'batches')} of {whose} {'waits' if batches == 1 else 'wait'}"


def _to_look_at(group: Sequence[Held]) -> str:
    first = group[0].audience
    if len(group) > 1:
        return f"diy holds list {shlex.quote(first.connector)}"
    return f"diy holds show {shlex.quote(first.connector)} {shlex.quote(first.id)}"


def about_creations(audiences: Sequence[Audience], *, more: int = 0) -> Iterator[Concern]:
    """Of audiences of a connector whose creation the partner refused for good. more: how many there are beside these."""
    for audience in audiences:
        if audience.status != "failed":
            continue
        why = audience.error or "no reason is on record"
        what = f"The audience {_called(audience)} could not be created at the partner: {why}"
        which = f"{shlex.quote(audience.connector)} {shlex.quote(audience.id)}"
        link = f"diy audiences link {which} PARTNER_ID"
        do = f"create it again: diy audiences create {which} --name NAME; or name an existing one: {link}"
        yield Concern(True, "creation_failed", what, do)
    if audiences and more > 0:
        what = f"{count(more, 'other audience')} could not be created at the partner."
        yield Concern(True, "creation_failed", what, f"diy audiences list {shlex.quote(audiences[0].connector)}")


def about_notice(watch: Watch, notify: Notify) -> Iterator[Concern]:
    """That somebody whom the connector names did not take the newest notice, at the second try either."""
    for one in watch.untaken:
        if one.tries > 1 and getattr(notify, one.channel):
            what = f"Nobody could be told how it stands, by {one.channel}, in {one.tries} tries."
            yield Concern(True, "notice_not_taken", what, f"diy connectors notify {shlex.quote(watch.connector)}")


def about_telling(state: ConnectorState, lacking: Iterable[str]) -> Iterator[Concern]:
    """That nobody is told how the connector stands, though it names somebody. lacking: sentences of
    `completeness.missing_for_notices`."""
    for sentence in lacking:
        what, command, arguments = sentence.partition(": diy ")
        do = f"diy {arguments}" if command else ""
        yield Concern(state.enabled, "notice_secret_missing", f"Nobody is told how it stands: {what.rstrip('.')}.", do)


def about_rejections(connector: str, rejected: int, unreadable: int) -> Iterator[Concern]:
    """That the partner refused mutations in the last hour, and that some could not be read."""
    do = f"diy rejections list {shlex.quote(connector)}"
    if rejected:
        yield Concern(False, "rejections", f"{count(rejected, 'mutation')} rejected in the last hour.", do)
    if unreadable:
        what = f"{count(unreadable, 'mutation')} of the last hour could not be read, as the DMP sent them."
        yield Concern(False, "unreadable", what, do)


def _called(audience: Audience) -> str:
    """By its name, for people, and by its ID, for commands."""
    return f"“{audience.name}” ({audience.id})" if audience.name not in ("", audience.id) else audience.id
