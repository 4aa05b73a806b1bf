"""Documents become versions, versions become live; and whatever the receiver must know of it is written at once."""

from __future__ import annotations

import difflib
import secrets as chance
from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from relay.backends.interfaces import Backend
from relay.connectors.document import Describe, expand
from relay.connectors.inbound_document import refresh_inbound
from relay.connectors.live import all_live, live
from relay.connectors.secret_names import partner_secret_names, secret_names
from relay.domain.audience import HoldReason
from relay.domain.clock import Clock, SystemClock
from relay.domain.connector import VERSION, ActionSwitch, Connector, ConnectorState, DocumentVersion, Notify
from relay.domain.errors import ConfigurationError, Conflict, DocumentError, NotFound
from relay.domain.malformed import Malformed, suggestion
from relay.reading import values

_SYSTEM_CLOCK = SystemClock()


def generate_secret() -> str:
    """A new value for an inbound secret: 256 bits of chance, safe in URLs and forms."""
    return chance.token_urlsafe(32)


class Publishing:
    """Every change to connectors and their secrets, as one person makes it (`by`, for the audit)."""

    def __init__(self, backend: Backend, describe: Describe, by: str, clock: Clock = _SYSTEM_CLOCK) -> None:
        self._backend = backend
        self._clock = clock
        self._describe = describe
        self._by = by

    # documents

    def apply(self, text: str, *, note: str = "", draft: bool = False) -> DocumentVersion:
        """Validates the document, stores it as a new version and, unless it is a draft, publishes it. A document that says what
        the current version says makes no new one. Of two who apply at once each makes a version, and the last to publish is
        heard. Raises `DocumentError`, `Conflict`."""
        connectors = expand(text, describe=self._describe)
        self._refuse_vain_notices(connectors)
        document = connectors[0].document
        versions = self._versions_or_none(document)
        self._refuse_other_modes(versions, connectors)
        running = self._live_number(document)
        current = [one for one in versions if one.number == running] + versions[-1:]
        same = next((one for one in current if one.text == text and _equal(one.connectors, connectors)), None)
        if same is None:
            same = self._backend.connectors.add_version(
                DocumentVersion(VERSION, document, 0, text, by=self._by, at=self._clock.now(), note=note, connectors=connectors)
            )
            self._note("draft" if draft else "apply", document, f"version {same.number}")
        if draft:
            return same
        if same.number == running:
            refresh_inbound(self._backend)
            return same
        return self._make_live(document, same.number)

    def publish(self, document: str, number: int) -> DocumentVersion:
        """This version runs from now on. Raises `NotFound`, `Conflict`."""
        self._refuse_other_modes(
            self._backend.connectors.versions(document), self._backend.connectors.version(document, number).connectors
        )
        published = self._make_live(document, number)
        self._note("publish", document, f"version {number}")
        return published

    def version_before(self, document: str) -> int:
        """The newest that was published before the one that runs. Raises `NotFound`."""
        running = self._live_number(document)
        older = [one.number for one in self._backend.connectors.versions(document) if one.published_at and one.number < running]
        if not older:
            raise NotFound(f"The document '{document}' has no version that was published before version {running}.")
        return older[-1]

    def rollback(self, document: str, number: int | None = None) -> DocumentVersion:
        """Publishes an older version: this one, or `version_before`. Raises `NotFound`, `Conflict`."""
        versions = self._backend.connectors.versions(document)
        running = self._live_number(document)
        if number is None:
            number = self.version_before(document)
        self._refuse_other_modes(versions, self._backend.connectors.version(document, number).connectors)
        published = self._make_live(document, number)
        self._note("rollback", document, f"version {running} to version {number}")
        return published

    def diff(self, document: str, a: int, b: int) -> str:
        """What changed from version `a` to version `b`, as a unified diff of the YAML; empty if nothing. Raises `NotFound`."""
        before, after = (self._backend.connectors.version(document, number).text.splitlines() for number in (a, b))
        lines = difflib.unified_diff(before, after, f"{document} version {a}", f"{document} version {b}", lineterm="")
        return "".join(f"{line}\n" for line in lines)

    def delete(self, document: str) -> None:
        """Removes the document, its versions, and its connectors with their audiences. Raises `NotFound`; `Conflict` while
        anything of them is queued or held."""
        self._backend.connectors.delete(document)
        refresh_inbound(self._backend)
        self._note("delete", document)

    def set_default(self, document: str) -> None:
        """The document whose connector answers at `/`. Raises `NotFound`."""
        self._backend.connectors.versions(document)
        self._backend.connectors.set_default(document)
        refresh_inbound(self._backend)
        self._note("default", document)

    # connectors

    def live(self, connector_name: str) -> Connector:
        """The connector as it runs. Raises `NotFound`."""
        return live(self._backend.connectors, connector_name)

    def all_live(self) -> list[Connector]:
        """All connectors that run, switched off or not."""
        return all_live(self._backend.connectors)

    def set_enabled(self, connector: str, enabled: bool) -> ConnectorState:
        """Switches it on or off; while it is off its batches wait. Raises `NotFound`."""
        self._backend.connectors.state(connector)
        state = self._backend.connectors.set_enabled(connector, enabled)
        self._note("enable" if enabled else "disable", connector)
        return state

    def set_action(self, connector: str, action: str, switch: ActionSwitch | None) -> ConnectorState:
        """Switches an action off (`paused`: the audiences wait; `skipped`: its mutations are skipped), or on again (None).
        Raises `NotFound`."""
        names = [one.name for one in self.live(connector).actions]
        # A switch may outlive its action: taking it away must stay possible.
        if action not in names and (switch or action not in self._backend.connectors.state(connector).actions):
            raise NotFound(f"The connector '{connector}' has no action '{action}'.{suggestion(action, names)}")
        state = self._backend.connectors.set_action(connector, action, switch)
        self._note("action", connector, f"{action}: {switch or 'on'}")
        return state

    # secrets

    def set_secret(self, name: str, value: str) -> None:
        """Sets the value and forgets the previous one. Raises `ConfigurationError` for what cannot be a name or a value."""
        _check_secret(name, value)
        self._backend.secrets.set(name, value)
        self._secret_changed("set secret", name)

    def rotate_secret(self, name: str, value: str) -> None:
        """Sets the value; the present one is accepted from the DMP until it is retired. To repeat it with the same value changes
        nothing. Raises `NotFound` if none is set, and `ConfigurationError`."""
        _check_secret(name, value)
        self._backend.secrets.rotate(name, value)
        self._secret_changed("rotate secret", name)

    def retire_secret(self, name: str) -> None:
        """Forgets the previous value. Raises `NotFound` if the secret is not set."""
        if not self._backend.secrets.get(name):
            raise NotFound(f"The secret '{name}' is not set.")
        self._backend.secrets.retire(name)
        self._secret_changed("retire secret", name)

    def delete_secret(self, name: str) -> None:
        """Forgets the secret. Raises `NotFound` if it is not set, `Conflict` while a connector that runs names it."""
        users = [connector.name for connector in self.all_live() if name in secret_names(connector, self._describe)]
        if users:
            raise Conflict(f"The secret '{name}' is named by {', '.join(users)}; without it that could not run.")
        if not self._backend.secrets.get(name):
            raise NotFound(f"The secret '{name}' is not set.")
        self._backend.secrets.delete(name)
        self._secret_changed("delete secret", name)

    # access that somebody allowed at the partner

    def connected(self, connector: str) -> None:
        """After somebody has allowed access to the partner anew: what waits for credentials is tried again. Raises `NotFound`."""
        self._backend.connectors.state(connector)
        self._note("connect", connector)
        self._try_again([connector], {"credentials_refused"})

    # the parts of these

    def _versions_or_none(self, document: str) -> list[DocumentVersion]:
        try:
            return self._backend.connectors.versions(document)
        except NotFound:
            return []

    def _live_number(self, document: str) -> int:
        try:
            return self._backend.connectors.state(document).live
        except NotFound:
            return 0

    def _make_live(self, document: str, number: int) -> DocumentVersion:
        self._backend.connectors.publish(document, number)
        refresh_inbound(self._backend)
        version = self._backend.connectors.version(document, number)
        # What the old version could not do the new one may: the partner is asked again at once.
        self._try_again([connector.name for connector in version.connectors], {"misconfigured", "credentials_refused"})
        return version

    def _refuse_other_modes(self, versions: list[DocumentVersion], connectors: Iterable[Connector]) -> None:
        """The audience's key depends on the mode, so it is fixed once there are audiences."""
        running = self._live_number(versions[0].document) if versions else 0
        ran = sorted((one for one in versions if one.published_at), key=lambda one: (one.number == running, one.published_at))
        modes = {connector.name: connector.inbound.audience_id for version in ran for connector in version.connectors}
        for connector in connectors:
            mode = modes.get(connector.name, connector.inbound.audience_id)
            if mode != connector.inbound.audience_id and self._backend.audiences.all(connector.name):
                raise Conflict(
                    f"The connector '{connector.name}' already has audiences, so `inbound.audience_id` stays '{mode}'. "
                    "Use a connector with another name for the other mode."
                )

    def _refuse_vain_notices(self, connectors: Iterable[Connector]) -> None:
        """Whoever relies on being told must not wait in vain."""
        if self._backend.notices is None and (named := [one for one in connectors if one.notify != Notify()]):
            place = f"environments.{named[0].environment}.notify" if named[0].environment else "notify"
            sentence = (
                "Here nobody would be told by the connector: on Google Cloud alerts are Cloud Monitoring's, and "
                "`deploy/deploy.sh … --notify EMAIL` makes them (docs/operations.md). Take this out of the document."
            )
            raise DocumentError([(place, sentence)])

    def _secret_changed(self, what: str, name: str) -> None:
        self._note(what, name)
        live = self.all_live()
        self._try_again(
            [connector.name for connector in live if name in partner_secret_names(connector, self._describe)],
            {"credentials_refused"},
        )
        # Last, since it tells of every secret that cannot be read, be it another connector's.
        refresh_inbound(self._backend)

    def _try_again(self, connectors: Collection[str], reasons: Collection[HoldReason]) -> None:
        for name in connectors:
            state = self._backend.connectors.state(name)
            if state.not_before and state.not_before_reason in reasons:
                self._backend.connectors.not_before(name, 0, reason=state.not_before_reason, detail="")
            self._backend.audiences.make_due(name, reasons=reasons)

    def _note(self, what: str, subject: str, detail: str = "") -> None:
        self._backend.audit.add(by=self._by, what=what, subject=subject, detail=detail)


def _equal(stored: Iterable[Connector], expanded: Iterable[Connector]) -> bool:
    """Whether these say the same, whatever their version: an adapter's defaults may have changed under the same text."""
    plain = [msgspec.json.encode([replace(one, document_version=0) for one in some]) for some in (stored, expanded)]
    return plain[0] == plain[1]


def _check_secret(name: str, value: str) -> None:
    if name in values.RESERVED_SECRETS:
        raise ConfigurationError(f"The secret '{name}' is the installation's own, made by itself; choose another name.")
    try:
        values.secret_name(name)
    except Malformed:
        raise ConfigurationError(
            "The name of a secret has small letters, digits, hyphens and underscores, and begins with a letter."
        ) from None
    if not value or value != value.strip() or not value.isprintable():
        raise ConfigurationError(
            f"The value for the secret '{name}' is empty, begins or ends with a blank, or contains a line break."
        )
